"""The limit comes first (semantics 32): no way to be refused is a way around it. What never counts is in a list."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from tests.support.backends import Backend
from tests.support.gateway import Answer, RunningGateway, serving, start_gateway

PAGE = "https://app.example"
ITEM = ("GET", "/api/items/7")
REFRESH = "/admin/refresh-routes"
KNOWN, UNMATCHED = "/api/items/:id", "_unmatched"
SOCKET = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "7"}
PREFLIGHT = {"access-control-request-method": "GET"}
EXCEEDED = "gateway_rate_limit_exceeded_total"
clients = count(1)


@pytest.fixture(scope="module")
def gateway(grpcio_backend: Backend) -> Iterator[RunningGateway]:
    """Each client may ask once; we are the load balancer of all clients."""
    config = serving(
        grpcio_backend.endpoint,
        rate_limit={"enabled": True, "requests_per_minute": 1, "window_seconds": 60},
        trusted_proxies=["127.0.0.1/32"],
        cors={"enabled": True, "allowed_origins": [PAGE]},
        auth={"default_policy": "public", "jwt": {"algorithms": ["HS256"], "secret": "s" * 32}},
    )
    with start_gateway(config) as started:
        started.wait_until_routed(ITEM[1])
        yield started


def ask_twice(gateway: RunningGateway, target: tuple[str, str], body: object, headers: dict[str, str]) -> list[Answer]:
    """Send the same request twice, as a client that has not asked before."""
    fields = {"x-forwarded-for": f"192.0.2.{next(clients)}", **headers}
    return [gateway.ask(*target, body, headers=fields) for _ in range(2)]


def with_header(name: str, value: str) -> dict[str, Any]:
    return {"headers": {name: value}}


@pytest.mark.parametrize(
    ("target", "request_", "status", "route"),
    [
        pytest.param(ITEM, {}, 200, KNOWN, id="fine"),
        pytest.param(ITEM, with_header("x-request-timeout", "soon"), 400, KNOWN, id="30 malformed X-Request-Timeout"),
        pytest.param(ITEM, with_header("grpc-timeout", "5x"), 400, KNOWN, id="30 malformed grpc-timeout"),
        pytest.param(ITEM, with_header("grpc-metadata-a-bin", "*"), 400, KNOWN, id="27 malformed metadata"),
        pytest.param(
            ("POST", REFRESH), with_header("authorization", "Bearer x.y.z"), 401, UNMATCHED, id="35 bad token"
        ),
        pytest.param(("GET", "/api/items/7?no=1"), {}, 400, KNOWN, id="12 unknown parameter"),
        pytest.param(("POST", "/api/items"), {"body": b"{"}, 400, "/api/items", id="16 broken JSON"),
        pytest.param(
            ("POST", "/api/items"),
            {"body": b"<a/>", **with_header("content-type", "text/xml")},
            415,
            "/api/items",
            id="14 XML",
        ),
        pytest.param(
            ("POST", "/api/items"),
            {"body": b"{}", **with_header("content-encoding", "gzip")},
            415,
            "/api/items",
            id="14 encoded body",
        ),
        pytest.param(("GET", "/echo/v1/chat"), {"headers": SOCKET}, 426, "/echo/v1/chat", id="25 another WebSocket"),
        pytest.param(("GET", "/nowhere"), {}, 404, UNMATCHED, id="8 unknown path"),
        pytest.param(("PATCH", "/api/items/7"), {}, 405, UNMATCHED, id="8 other method"),
        pytest.param(("GET", "/api/%2e%2e/items"), {}, 400, UNMATCHED, id="9 path that climbs"),
        pytest.param(("OPTIONS", "/api/items/7"), {}, 204, UNMATCHED, id="8 OPTIONS"),
        pytest.param(
            ("OPTIONS", "/api/items/7"),
            {"headers": {"origin": "https://evil.example", **PREFLIGHT}},
            204,
            UNMATCHED,
            id="8 preflight of another origin",
        ),
        pytest.param(
            ("OPTIONS", "/nowhere"),
            {"headers": {"origin": PAGE, **PREFLIGHT}},
            404,
            UNMATCHED,
            id="8 preflight nowhere",
        ),
        pytest.param(("POST", REFRESH), {}, 401, UNMATCHED, id="38 admin without a token"),
        pytest.param(("GET", REFRESH), {}, 405, UNMATCHED, id="38 admin by another method"),
    ],
)
def test_semantics_32_the_second_request_is_one_too_many(
    gateway: RunningGateway, target: tuple[str, str], request_: dict[str, Any], status: int, route: str
) -> None:
    before = gateway.metric(EXCEEDED, {"route": route})
    first, second = ask_twice(gateway, target, request_.get("body"), request_.get("headers", {}))
    assert (first.status, second.status) == (status, 429), first
    assert second.reason == "RATE_LIMITED"
    assert first.headers["ratelimit-remaining"] == "0"
    assert second.headers["retry-after"] == second.headers["ratelimit-reset"]
    assert gateway.metric(EXCEEDED, {"route": route}) == before + 1


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        pytest.param(("OPTIONS", "/api/items/7"), {"origin": PAGE, **PREFLIGHT}, 204, id="preflight"),
        *(
            pytest.param((method, path), {}, status, id=f"{method} {path}")
            for method, status in (("GET", 200), ("HEAD", 200), ("POST", 405), ("OPTIONS", 405))
            for path in ("/health", "/health/live", "/health/ready", "/metrics")
        ),
    ],
)
def test_semantics_38_what_never_counts(
    gateway: RunningGateway, target: tuple[str, str], headers: dict[str, str], status: int
) -> None:
    answers = ask_twice(gateway, target, None, headers)
    assert [answer.status for answer in answers] == [status, status]
    assert not any("ratelimit-limit" in answer.headers for answer in answers)
