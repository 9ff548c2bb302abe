"""Whatever a client sends, it gets a proper answer, never a 500, and the gateway lives on (C13, C17)."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.backends import Backend, start_backend
from tests.support.gateway import TIMEOUT_S, Answer, RunningGateway, eventually, serving, start_gateway

LIMIT_BYTES = 4096
POST_ITEM = ("POST", "/api/items")
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def gateway(grpcio_backend: Backend) -> Iterator[RunningGateway]:
    """A gateway with small limits, in front of a healthy backend."""
    config = serving(
        grpcio_backend.endpoint,
        server={"max_uri_bytes": 512, "max_header_bytes": 2048, "max_header_count": 20},
        body_limit={"default_limit": LIMIT_BYTES},
    )
    with start_gateway(config) as started:
        yield started


@pytest.fixture(autouse=True)
def _still_alive(gateway: RunningGateway) -> Iterator[None]:
    yield
    assert gateway.get("/api/items/7").status == 200
    assert gateway.process.exit_code is None
    assert "Traceback" not in gateway.process.stderr.text()
    assert not gateway.log("unexpected error")


def body(content: bytes, headers: dict[str, str] | None = None) -> dict[str, Any]:
    return {"body": content, "headers": JSON if headers is None else headers}


CASES = [
    # JSON that is none
    pytest.param(POST_ITEM, body(b"{"), 400, "INVALID_JSON", id="cut JSON"),
    pytest.param(POST_ITEM, body(b'{"id": "1"} x'), 400, "INVALID_JSON", id="bytes behind the JSON"),
    pytest.param(POST_ITEM, body(b""), 200, "", id="empty body is an empty message"),
    pytest.param(POST_ITEM, body(b"\xff\xfe"), 400, "INVALID_JSON", id="not UTF-8"),
    pytest.param(POST_ITEM, body(b'{"id": "\\ud800"}'), 400, "", id="half a surrogate pair"),
    pytest.param(POST_ITEM, body(b"[" * 2000), 400, "", id="deep JSON"),
    pytest.param(POST_ITEM, body(b"null"), 400, "", id="null"),
    pytest.param(POST_ITEM, body(b"NaN"), 400, "INVALID_JSON", id="NaN"),
    # JSON that does not fit
    pytest.param(POST_ITEM, body(b"[]"), 400, "", id="array for a message"),
    pytest.param(POST_ITEM, body(b'{"id": 7}'), 400, "", id="number for a string"),
    pytest.param(POST_ITEM, body(b'{"size": "many"}'), 400, "", id="word for a number"),
    pytest.param(POST_ITEM, body(b'{"size": 9223372036854775808}'), 400, "", id="number out of range"),
    pytest.param(POST_ITEM, body(b'{"size": 1.5}'), 400, "", id="fraction for an integer"),
    pytest.param(POST_ITEM, body(b'{"tags": "a"}'), 400, "", id="string for a list"),
    pytest.param(POST_ITEM, body(b'{"colour": "red"}'), 400, "UNKNOWN_FIELD", id="unknown field"),
    pytest.param(POST_ITEM, body(b'{"id": "1", "id": "2"}'), 400, "", id="field twice"),
    # Parameters
    pytest.param(("GET", "/api/items/7?colour=red"), {}, 400, "UNKNOWN_PARAMETER", id="unknown parameter"),
    pytest.param(("GET", "/api/items/7?size=x"), {}, 400, "INVALID_PARAMETER", id="word for a number in the query"),
    pytest.param(("GET", "/api/items/7?size=1&size=2"), {}, 400, "", id="two values for one field"),
    pytest.param(("GET", "/api/items/7?id=8"), {}, 400, "", id="parameter that the path has bound"),
    pytest.param(("GET", "/api/items/7?size=%ff"), {}, 400, "", id="query not UTF-8"),
    pytest.param(("GET", "/api/items/%ff"), {}, 400, "", id="path not UTF-8"),
    # Bodies
    pytest.param(POST_ITEM, body(b"<a/>", {"content-type": "text/xml"}), 415, "UNSUPPORTED_MEDIA_TYPE", id="XML"),
    pytest.param(POST_ITEM, body(b"{}", {"content-type": "application/json; charset=latin-1"}), 415, "", id="latin-1"),
    pytest.param(POST_ITEM, body(b'"' + b"x" * LIMIT_BYTES + b'"'), 413, "BODY_TOO_LARGE", id="body over the limit"),
    pytest.param(("DELETE", "/api/items/7"), body(b'{"name": "n"}'), 400, "", id="body where none is mapped"),
    # Paths and methods
    pytest.param(("GET", "/nowhere"), {}, 404, "ROUTE_NOT_FOUND", id="unknown path"),
    pytest.param(("GET", "/"), {}, 404, "ROUTE_NOT_FOUND", id="root"),
    pytest.param(("PATCH", "/api/items/7"), {}, 405, "METHOD_NOT_ALLOWED", id="wrong verb"),
    pytest.param(("POST", "/health"), {}, 405, "METHOD_NOT_ALLOWED", id="wrong verb for a system endpoint"),
    pytest.param(("GET", "/api/../health"), {}, 400, "", id="dots"),
    pytest.param(("GET", "/api/%2e%2e/health"), {}, 400, "", id="escaped dots"),
    pytest.param(("GET", "/api/items/a%00b"), {}, 400, "", id="NUL in the path"),
    pytest.param(("GET", "/api/items/a%5cb"), {}, 400, "", id="backslash in the path"),
    pytest.param(("GET", "/api//items"), {}, 400, "", id="empty segment"),
    # Headers
    pytest.param(
        ("GET", "/api/items/7"), {"headers": {"x-request-timeout": "soon"}}, 400, "INVALID_TIMEOUT", id="timeout"
    ),
    pytest.param(
        ("GET", "/api/items/7"), {"headers": {"grpc-timeout": "5x"}}, 400, "INVALID_TIMEOUT", id="grpc-timeout"
    ),
    pytest.param(("GET", "/api/items/7"), {"headers": {"grpc-metadata-a-bin": "*"}}, 400, "", id="broken -bin"),
    # Limits of the edge
    pytest.param(("GET", "/api/items/" + "x" * 600), {}, 414, "URI_TOO_LONG", id="long target"),
    pytest.param(("GET", "/api/items/7"), {"headers": {"x-long": "x" * 3000}}, 431, "", id="long header"),
    pytest.param(
        ("GET", "/api/items/7"), {"headers": {f"x-{number}": "1" for number in range(30)}}, 431, "", id="many headers"
    ),
    pytest.param(("GET", "/api/items/7"), {"headers": {"x-request-timeout": "0"}}, 504, "", id="no time at all"),
]


@pytest.mark.parametrize(("target", "options", "status", "reason"), CASES)
def test_bad_request(
    gateway: RunningGateway, target: tuple[str, str], options: dict[str, Any], status: int, reason: str
) -> None:
    answer = gateway.ask(*target, options.get("body"), headers=options.get("headers"))
    assert answer.status == status, answer
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])
    if status == 200:
        return
    assert re.fullmatch(r"[A-Z][A-Z_]+", answer.reason)
    if reason:
        assert answer.reason == reason
    if status == 405:
        assert "GET" in answer.headers["allow"]


def test_the_message_names_the_field(gateway: RunningGateway) -> None:
    """semantics 16."""
    answer = gateway.ask("POST", "/api/items", {"tags": ["a", 7]})
    assert "tags" in answer.error["message"]


BROKEN_HTTP = [
    pytest.param(b"nonsense\r\n\r\n", id="no request line"),
    pytest.param(b"GET /api/items/7 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", id="two hosts"),
    pytest.param(b"GET /api/items/7 HTTP/1.1\r\n\r\n", id="no host"),
    pytest.param(b"GET /api/items/7 HTTP/1.1\r\nHost: a\r\nbad header: 1\r\n\r\n", id="space in a header name"),
    pytest.param(b"GET /api/items/7 HTTP/1.1\r\nHost: a\r\nx: \x00\r\n\r\n", id="NUL in a header"),
    pytest.param(
        b"POST /api/items HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        id="length and chunks",
    ),
    pytest.param(b"POST /api/items HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", id="negative length"),
    pytest.param(
        b"POST /api/items HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", id="bad chunk size"
    ),
]


@pytest.mark.parametrize("data", BROKEN_HTTP)
def test_broken_http_is_answered_and_the_connection_closed(gateway: RunningGateway, data: bytes) -> None:
    """P9: 400, and nothing behind it is read as a request."""
    answer, rest = exchange(gateway.port, data + b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.status == 400
    assert answer.headers["connection"] == "close"
    assert answer.reason
    assert answer.headers["x-request-id"]
    assert rest == b""


def test_a_declared_body_over_the_limit_is_not_read(gateway: RunningGateway) -> None:
    """semantics 46: refused by its length, without a byte of it."""
    head = f"POST /api/items HTTP/1.1\r\nHost: a\r\nContent-Length: {LIMIT_BYTES + 1}\r\n\r\n"
    answer, rest = exchange(gateway.port, head.encode())
    assert (answer.status, answer.reason, rest) == (413, "BODY_TOO_LARGE", b"")
    assert answer.headers["connection"] == "close"


def exchange(port: int, data: bytes) -> tuple[Answer, bytes]:
    """Send bytes, read until the gateway closes; return the first answer and what came behind it."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        connection.sendall(data)
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, rest = received.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    length = int(headers["content-length"])
    return Answer(status=int(status_line.split()[1]), headers=headers, body=rest[:length]), rest[length:]


def test_a_slow_backend_is_504(grpcio_backend: Backend) -> None:
    """The service's timeout ends the call."""
    with start_gateway(serving(grpcio_backend.endpoint, service={"timeout_ms": 150})) as gateway:
        answer = gateway.ask("POST", "/echo/v1/echo", {"behaviour": {"sleepMs": 3_000}})
        # Who notices first is open: the backend says so without details, the gateway with its own.
        assert (answer.status, answer.error["status"]) == (504, "DEADLINE_EXCEEDED")


def test_a_backend_that_hangs_is_504() -> None:
    """Only the gateway can notice that."""
    with (
        start_backend("grpcio") as backend,
        start_gateway(serving(backend.endpoint, service={"timeout_ms": 200})) as gateway,
    ):
        backend.process.send_signal(signal.SIGSTOP)
        answer = gateway.get("/api/items/7")
        backend.process.send_signal(signal.SIGCONT)
        assert (answer.status, answer.error["status"]) == (504, "DEADLINE_EXCEEDED")
        assert answer.reason
        eventually(lambda: gateway.get("/api/items/7").status == 200, "it goes on")


def test_a_backend_that_is_down_is_503() -> None:
    """After the grace period calls fail at once, and say when to come again (semantics 22)."""
    with (
        start_backend("grpcio") as backend,
        start_gateway(serving(backend.endpoint, service={"reconnect_grace_ms": 0})) as gateway,
    ):
        assert gateway.get("/api/items/7").status == 200
        backend.process.kill()
        gateway.wait_for_event("connection failed")
        answer = gateway.get("/api/items/7")
        assert (answer.status, answer.error["status"]) == (503, "UNAVAILABLE")
        assert answer.reason == "UPSTREAM_UNAVAILABLE"
        assert int(answer.headers["retry-after"]) >= 1


def test_every_line_of_the_log_is_whole(gateway: RunningGateway) -> None:
    """H19: what clients sent forges no line."""
    gateway.ask("GET", "/api/items/%0a%7b%22level%22%3a%22ERROR%22%7d", headers={"x-request-id": "a\tb"})
    for line in gateway.process.stdout.lines:
        assert set(json.loads(line)) == {"timestamp", "level", "target", "fields"}
