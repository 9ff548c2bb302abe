"""Around the guards of a running gateway: paths, targets, methods and bytes behind refused bodies (H3, H4, H10, H21).

One route is public, all others want a token, `/admin` wants a role. Nobody here has what is wanted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import jwt
import pytest

from tests.support.backends import Backend, grpcio_backend
from tests.support.gateway import RunningGateway, serving, start_gateway
from tests.support.raw_http import RawClient, get, parse_answer, post, post_chunked, request

__all__ = ["grpcio_backend"]

SHARED = "a shared secret of more than thirty-two bytes"
REFRESH = "/admin/refresh-routes"
EVIL = get("/evil", "Connection: close")
"""What must be a request of its own behind a body that has come, and nothing at all inside one that has not."""


@pytest.fixture(scope="module")
def gateway(grpcio_backend: Backend) -> Iterator[RunningGateway]:
    config = serving(
        grpcio_backend.endpoint,
        auth={
            "jwt": {"algorithms": ["HS256"], "secret": SHARED},
            "public_routes": [{"path": "/api/items", "method": "GET"}],
        },
        body_limit={"default_limit": 1_000},
    )
    with start_gateway(config) as started:
        started.wait_until_routed("/api/items")
        yield started


@pytest.fixture(scope="module")
def bearer() -> str:
    """The header line of somebody without roles."""
    claims = {"sub": "grace", "roles": ["user"], "exp": int(time.time()) + 3_600}
    return f"Authorization: Bearer {jwt.encode(claims, SHARED, algorithm='HS256')}"


async def statuses(gateway: RunningGateway, data: bytes) -> list[int]:
    """Send bytes, and no more; return the statuses of all answers up to the end of the connection."""
    async with RawClient(("127.0.0.1", gateway.port)) as client:
        await client.send(data)
        received = await client.rest()
    found = []
    while received:
        parsed = parse_answer(received, is_ended=True)
        assert parsed is not None
        found.append(parsed[0].status)
        received = parsed[1]
    return found


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        pytest.param("GET", "/api/items", 200, id="the public one"),
        pytest.param("HEAD", "/api/items", 200, id="HEAD of it"),
        pytest.param("GET", "/api/%69tems", 200, id="another spelling of it"),
        pytest.param("POST", "/api/items", 401, id="another method"),
        pytest.param("GET", "/api/items/7", 401, id="below it"),
        pytest.param("GET", "/api/items/7;/..", 400, id="parameters and up"),
        pytest.param("GET", "/api/items/7/..", 400, id="up"),
        pytest.param("GET", "/api/items/7/%2E%2e", 400, id="up, escaped"),
        pytest.param("GET", "/api/items/..%2f7", 400, id="up, with its slash escaped"),
        pytest.param("GET", "/api/items/%252e%252e", 401, id="up, escaped twice, is a name"),
        pytest.param("GET", "/api/./items/7", 400, id="dot"),
        pytest.param("GET", "/api//items/7", 400, id="empty segment"),
        pytest.param("GET", "/api/items%2F7", 404, id="slash escaped"),
        pytest.param("GET", "/api/items%5c7", 400, id="backslash"),
        pytest.param("GET", "/api/items%00", 400, id="NUL"),
        pytest.param("GET", "/api/items%c0%af7", 400, id="overlong slash"),
        pytest.param("GET", "/api/items/", 404, id="slash at the end"),
        pytest.param("GET", "/API/items/7", 404, id="capitals"),
        pytest.param("GET", "http://gateway.test/api/items/7", 400, id="absolute"),
        pytest.param("GET", "*", 400, id="asterisk"),
        pytest.param("POST", REFRESH, 403, id="admin"),
        pytest.param("POST", f"{REFRESH}?role=admin", 403, id="admin with a query"),
        pytest.param("POST", "/%61dmin/refresh-%72outes", 403, id="admin, escaped"),
        pytest.param("POST", "/admin%2frefresh-routes", 404, id="admin, slash escaped"),
        pytest.param("POST", f"/health/..{REFRESH}", 400, id="admin through health"),
        pytest.param("POST", f"/health;/..{REFRESH}", 400, id="admin through health with parameters"),
        pytest.param("POST", f"/metrics{REFRESH}", 404, id="admin below metrics"),
        pytest.param("POST", f"/{REFRESH}", 400, id="admin, two slashes"),
        pytest.param("POST", f"http://127.0.0.1{REFRESH}", 400, id="admin, absolute"),
    ],
)
async def test_h10_no_spelling_gets_around_a_guard(
    gateway: RunningGateway, bearer: str, method: str, target: str, status: int
) -> None:
    token = (bearer, "X-User-Roles: admin") if "admin" in target or "%61dmin" in target else ()
    async with RawClient(("127.0.0.1", gateway.port)) as client:
        answer = await client.ask(request(method, target, *token), is_head=method == "HEAD")
    assert answer.status == status


@pytest.mark.parametrize(
    "line",
    [
        "X-HTTP-Method-Override: GET",
        "X-HTTP-Method: GET",
        "X-Method-Override: GET",
        "X-Original-URL: /api/items",
        "X-Rewrite-URL: /api/items",
    ],
)
async def test_no_header_overrides_method_or_path(gateway: RunningGateway, line: str) -> None:
    async with RawClient(("127.0.0.1", gateway.port)) as client:
        assert (await client.ask(post(b"{}", "/api/items?_method=GET", line))).status == 401


LARGE = b"{" + b" " * 1_000 + b"}"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(post(EVIL, "/api/items") + EVIL, [401, 404], id="401, length, whole"),
        pytest.param(post_chunked(EVIL, target="/api/items") + EVIL, [401, 404], id="401, chunks, whole"),
        pytest.param(request("POST", "/api/items", "Content-Length: 9999") + EVIL, [401], id="401, length, cut"),
        pytest.param(post_chunked(EVIL, target="/api/items")[:-5] + EVIL, [401], id="401, chunks, broken"),
        pytest.param(
            request("POST", "/api/items", "Content-Length: 9", "Expect: 100-continue"), [401], id="401, not sent"
        ),
        pytest.param(post(b"{}", "/api/items", "Expect: 100-continue") + EVIL, [401, 404], id="401, did not wait"),
        pytest.param(post(EVIL, "/nowhere") + EVIL, [404, 404], id="404, whole"),
        pytest.param(request("POST", "/nowhere", "Content-Length: 9999") + EVIL, [404], id="404, cut"),
        pytest.param(request("GET", "/health/live", "Content-Length: 9999") + EVIL, [200], id="200, body not wanted"),
        pytest.param(request("POST", "/api/items", "TOKEN", "Content-Length: 9999") + EVIL, [413], id="413, cut"),
        pytest.param(
            request("POST", "/api/items", "TOKEN", "Content-Length: 9999", "Expect: 100-continue"),
            [413],
            id="413, not sent",
        ),
        pytest.param(post(LARGE, "/api/items", "TOKEN") + EVIL, [413], id="413, whole"),
        pytest.param(
            request("POST", "/api/items", "TOKEN", "Content-Encoding: gzip", "Content-Length: 9999") + EVIL,
            [415],
            id="415, cut",
        ),
        pytest.param(
            request("GET", "/api/items/7", "TOKEN", "Connection: Upgrade", "Upgrade: h2c") + EVIL, [400], id="h2c"
        ),
    ],
)
async def test_h3_bytes_behind_a_refusal_are_a_request_only_where_they_are_one(
    gateway: RunningGateway, bearer: str, data: bytes, expected: list[int]
) -> None:
    """A body that has come whole, and is not too large, is passed over unread; else the connection closes."""
    assert await statuses(gateway, data.replace(b"TOKEN", bearer.encode())) == expected
