"""A published key set that is rotated, and one that cannot be had, in front of four real workers (J47 to J50, J52)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat
from typing import Final

from joserfc.jwk import ECKey

from scenarios.guard.flood import Answers, flood, request, steady
from scenarios.guard.stage import Stage
from tests.support.gateway import RunningGateway, eventually
from tests.support.token_factory import claims, ec_key, key_set, signed

REFRESH_S: Final = 30
"""The shortest interval that may be configured."""
WORKERS: Final = 4
RATE_PER_S: Final = 200.0
_MARGIN_S: Final = 3.0
_CONNECTIONS: Final = 32
"""So many that each of four workers gets some."""


@dataclass
class Issuer:
    """Publishes what it is told, over HTTP on loopback."""

    body: bytes = b""
    status: int = 200
    fetched_s: list[float] = field(default_factory=list)
    port: int = 0


@contextmanager
def _issuer() -> Iterator[Issuer]:
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.fetched_s.append(time.monotonic())
            self.send_response(issuer.status)
            self.send_header("content-length", str(len(issuer.body)))
            self.end_headers()
            self.wfile.write(issuer.body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  named by http.server
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield issuer
        server.shutdown()
        thread.join()


def rotation(stage: Stage) -> None:
    """J50, J52: a key comes, both are good, the old one goes: all workers follow within one interval."""
    old, new = ec_key("old"), ec_key("new")
    with _issuer() as issuer:
        issuer.body = key_set(old)
        with stage.gateway(workers=WORKERS, auth=_auth(issuer)) as gateway:
            of_old, of_new = _item(_token(old)), _item(_token(new))
            stage.marks.equals("workers that accept the first key", _accepting(gateway, of_old), _CONNECTIONS)
            issuer.body = key_set(old, new)
            with _watched(gateway, of_old) as before:
                accepted_s = _seconds_until(lambda: _accepting(gateway, of_new) == _CONNECTIONS)
            issuer.body = key_set(new)
            with _watched(gateway, of_new) as after:
                refused_s = _seconds_until(lambda: _accepting(gateway, of_old) == 0)
    marks = stage.marks
    marks.at_most("all workers accept the new key after", accepted_s, REFRESH_S + _MARGIN_S, " s")
    marks.at_most("all workers refuse the old key after", refused_s, REFRESH_S + _MARGIN_S, " s")
    for name, answers in (("old, while the new one came", before), ("new, while the old one went", after)):
        marks.at_least(f"requests with the key that is {name}", answers.statuses.total(), 100)
        marks.equals("refused of these", answers.statuses.total() - answers.statuses[200] + answers.lost, 0)


def outage(stage: Stage) -> None:
    """J47 to J49: no set at start is 503; one that breaks later refuses nobody; random ids cause no flood."""
    key = ec_key("only")
    with _issuer() as issuer:
        issuer.status = 500
        with stage.gateway(workers=WORKERS, auth=_auth(issuer)) as gateway:
            good = _item(_token(key))
            stage.marks.equals("status before any set is there", gateway.get("/health/ready").status, 503)
            before = flood(gateway.port, repeat(good, 50), connections=_CONNECTIONS)
            stage.marks.equals("requests answered with 503 then", before.statuses[503], 50)
            issuer.status, issuer.body = 200, key_set(key)
            eventually(lambda: _accepting(gateway, good) == _CONNECTIONS, "all workers have keys", timeout_s=60)
            for name, status, body in (("500", 500, b""), ("junk", 200, b"\x00junk"), ("empty set", 200, key_set())):
                issuer.status, issuer.body = status, body
                fetches = len(issuer.fetched_s)
                guesses = [_item(_token(ec_key("other"), kid=f"random-{number}")) for number in range(200)]
                with _watched(gateway, good) as answers:
                    flood(gateway.port, guesses)
                    # Long enough for the interval to bring every worker the broken answer.
                    time.sleep((REFRESH_S + _MARGIN_S) * min(1.0, stage.scale))
                stage.marks.equals(
                    f"{name}: good tokens refused", answers.statuses.total() - answers.statuses[200] + answers.lost, 0
                )
                stage.marks.at_least(f"{name}: good tokens", answers.statuses.total(), 100)
                # One a worker for the guesses, and then the retries of each: after 1, 2, 4, 8, 16 s.
                stage.marks.at_most(f"{name}: fetches", len(issuer.fetched_s) - fetches, WORKERS * 8)
            failed = gateway.metric("api_gateway_key_set_fetches_total", {"result": "failed"})
            stage.marks.at_least("failed fetches in the metric", failed, WORKERS)


def _auth(issuer: Issuer) -> dict[str, object]:
    url = f"http://127.0.0.1:{issuer.port}/keys"
    jwt = {"jwks_url": url, "algorithms": ["ES256"], "jwks_refresh_seconds": REFRESH_S}
    return {"jwt": jwt, "default_policy": "require_auth"}


def _token(key: ECKey, **header: str) -> bytes:
    """Return a token that is good for an hour from now."""
    return signed(key, "ES256", claims(exp=int(time.time()) + 3_600), **header)


def _item(token: bytes) -> bytes:
    return request("/api/items/7", f"authorization: Bearer {token.decode()}")


def _accepting(gateway: RunningGateway, message: bytes) -> int:
    """Return how many of many new connections get 200."""
    return sum(flood(gateway.port, [message], connections=1).statuses[200] for _ in range(_CONNECTIONS))


def _seconds_until(holds: Callable[[], bool]) -> float:
    started_s = time.monotonic()
    eventually(holds, "the workers follow", timeout_s=2 * REFRESH_S)
    return time.monotonic() - started_s


@contextmanager
def _watched(gateway: RunningGateway, message: bytes) -> Iterator[Answers]:
    """Ask steadily while the context lasts; the answers are there when it has ended."""
    over = threading.Event()
    total = Answers()

    def work() -> None:
        while not over.is_set():
            some = steady(gateway.port, repeat(message), rate_per_s=RATE_PER_S, seconds=1)
            total.statuses.update(some.statuses)
            total.lost += some.lost

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield total
    finally:
        over.set()
        thread.join()
