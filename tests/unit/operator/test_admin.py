"""Refreshing on demand, and who may do it when there is no authentication."""

from __future__ import annotations

import orjson
import pytest

from api_gateway.model.errors import GatewayError
from api_gateway.model.exchange import Exchange
from api_gateway.model.message import Request
from api_gateway.operator.admin import LoopbackOnly, RefreshReport, RefreshRoutes


def request(peer: str = "127.0.0.1", headers: dict[bytes, bytes] | None = None) -> Request:
    return Request(
        method="POST",
        path="/admin/refresh-routes",
        query="",
        headers=headers or {},
        repeated=frozenset(),
        body=None,
        peer=peer,
        started_s=0.0,
    )


async def test_semantics_43_refresh_answers_with_what_it_found() -> None:
    async def refresh() -> RefreshReport:
        return RefreshReport(added=["GET /a"], removed=("GET /b",), changed=(), failed={"users": "down"})

    response = await RefreshRoutes(refresh, ()).answer(request())
    assert (response.status, response.headers) == (200, [(b"content-type", b"application/json")])
    assert orjson.loads(response.body) == {
        "added": ["GET /a"],
        "removed": ["GET /b"],
        "changed": [],
        "failed": {"users": "down"},
    }


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "::1%lo"])
def test_semantics_33_programs_on_this_machine_pass(peer: str) -> None:
    policy = LoopbackOnly()
    exchange = Exchange(request(peer))
    policy.admit(exchange, 0.0)
    policy.settle(exchange, 1.0)


@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        pytest.param("192.0.2.1", {}, id="another machine"),
        pytest.param("0.0.0.0", {}, id="nobody"),
        pytest.param("::ffff:192.0.2.1", {}, id="another machine, mapped"),
        pytest.param("", {}, id="no address"),
        pytest.param("localhost", {}, id="a name"),
        pytest.param("127.0.0.1", {b"x-forwarded-for": b"127.0.0.1"}, id="through a proxy"),
        pytest.param("127.0.0.1", {b"forwarded": b"for=127.0.0.1"}, id="through a proxy of RFC 7239"),
        pytest.param("127.0.0.1", {b"x-real-ip": b"127.0.0.1"}, id="through a proxy with a habit of nginx"),
        pytest.param("127.0.0.1", {b"via": b"1.1 proxy"}, id="through a proxy of RFC 9110"),
        pytest.param("127.0.0.1", {b"x-forwarded-proto": b"http"}, id="through a proxy that ends TLS"),
        pytest.param("127.0.0.1", {b"x-forwarded-host": b"localhost"}, id="through a proxy that keeps the host"),
    ],
)
def test_semantics_33_everybody_else_is_refused(peer: str, headers: dict[bytes, bytes]) -> None:
    with pytest.raises(GatewayError) as caught:
        LoopbackOnly().admit(Exchange(request(peer, headers)), 0.0)
    assert (caught.value.http, caught.value.reason) == (403, "LOOPBACK_ONLY")


@pytest.mark.parametrize("host", [b"localhost", b"LOCALHOST:8080", b"127.0.0.1:8080", b"[::1]", b"[::1]:8080", b""])
def test_names_of_this_machine_pass(host: bytes) -> None:
    LoopbackOnly().admit(Exchange(request("127.0.0.1", {b"host": host})), 0.0)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({b"origin": b"https://evil.example"}, id="another page"),
        pytest.param({b"origin": b"null"}, id="a sandboxed page"),
        pytest.param({b"host": b"evil.example"}, id="rebound name"),
        pytest.param({b"host": b"evil.example:8080"}, id="rebound name and port"),
        pytest.param({b"host": b"127.0.0.1.evil.example"}, id="name like an address"),
        pytest.param({b"host": b"localhost.evil.example:80"}, id="name like localhost"),
        pytest.param({b"host": b"192.0.2.1:80"}, id="another address"),
        pytest.param({b"host": b"\xff\xfe"}, id="junk"),
    ],
)
def test_pages_in_a_browser_on_this_machine_are_refused(headers: dict[bytes, bytes]) -> None:
    """H21: neither by a form sent across origins nor after DNS rebinding."""
    with pytest.raises(GatewayError) as caught:
        LoopbackOnly().admit(Exchange(request("127.0.0.1", headers)), 0.0)
    assert caught.value.reason == "LOOPBACK_ONLY"
