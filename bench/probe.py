"""One request with its whole answer, to check a target before it is measured."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass

from bench.load import Request
from bench.processes import BenchError

_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Status and body of one answer."""

    status: int
    body: bytes


def ask(port: int, request: Request) -> Answer:
    """Send one request to a loopback port. Raises OSError when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        connection.request(request.method, request.path, request.body or None, dict(request.headers))
        response = connection.getresponse()
        return Answer(status=response.status, body=response.read())
    except http.client.HTTPException as error:
        raise ConnectionError(f"not an HTTP answer: {error!r}") from error
    finally:
        connection.close()


def check_refused(who: str, port: int, request: Request, status: int) -> None:
    """Raise BenchError unless the answer has this status."""
    answer = ask(port, request)
    if answer.status != status:
        raise BenchError(f"{who} answered {request.method} {request.path} with {answer.status}, not {status}")


def check_answer(who: str, port: int, request: Request, expected: Mapping[str, object]) -> None:
    """Raise BenchError unless the answer is 200 and means exactly the expected JSON."""
    answer = ask(port, request)
    said = f"{who} answered {request.method} {request.path} with"
    if answer.status != 200:
        raise BenchError(f"{said} {answer.status}: {answer.body[:500]!r}")
    try:
        found = json.loads(answer.body)
    except ValueError:
        raise BenchError(f"{said} broken JSON: {answer.body[:500]!r}") from None
    if found != expected:
        raise BenchError(
            f"{said} other content than expected:\n"
            f"  expected {json.dumps(expected)[:500]}\n  got      {answer.body[:500].decode(errors='replace')}"
        )
