"""HTTP/1.1 over real sockets: order, bodies, limits, answers. The tables are in tests/security and tests/unit/edge."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.http_application import Served, SmallApplication, serving, until
from tests.support.raw_http import RawClient, get, post, post_chunked, request


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(SmallApplication()) as served:
        yield served


@pytest.fixture
async def client(served: Served) -> AsyncIterator[RawClient]:
    async with RawClient(served.address) as client:
        yield client


async def test_connection_is_kept_alive(client: RawClient, served: Served) -> None:
    for number in range(5):
        answer = await client.ask(get(f"/echo?{number}"))
        assert (answer.json()["query"], answer.is_last) == (str(number), False)
    assert served.server.connection_count == 1


@pytest.mark.parametrize(
    ("lines", "version"),
    [pytest.param(["Connection: close"], "HTTP/1.1", id="1.1_close"), pytest.param([], "HTTP/1.0", id="1.0")],
)
async def test_connection_ends_where_the_client_wants_it(client: RawClient, lines: list[str], version: str) -> None:
    answer = await client.ask(request("GET", "/echo", *lines, version=version))
    assert answer.is_last
    assert await client.rest() == b""


async def test_http_1_0_may_stay(client: RawClient) -> None:
    for _ in range(2):
        answer = await client.ask(request("GET", "/echo", "Connection: keep-alive", version="HTTP/1.0"))
        assert answer.header(b"connection") == b"keep-alive"


async def test_pipelined_requests_are_answered_in_order(client: RawClient, served: Served) -> None:
    """H3, the valid part: a slow first request holds back the answers, not the order."""
    await client.send(get("/hold") + post(b"two") + post_chunked(b"th", b"ree") + get("/echo?4"))
    await until(lambda: served.application.held)
    served.application.release()
    assert (await client.answer()).body == b"released"
    assert [(await client.answer()).json()["body"] for _ in range(3)] == ["two", "three", None]


async def test_malformed_second_request(client: RawClient, served: Served) -> None:
    """H3: first answered right, second 400 and close, third never executed."""
    await client.send(get("/echo?1") + b"GET /echo HTTP/1.1\r\nHost : a\r\n\r\n" + get("/echo?3"))
    assert (await client.answer()).status == 200
    refused = await client.answer()
    assert (refused.status, refused.is_last, refused.reason) == (400, True, "INVALID_HTTP")
    assert await client.rest() == b""
    assert served.application.targets == ["/echo"]


async def test_many_requests_in_tiny_segments(client: RawClient) -> None:
    stream = post(b"hello") + post_chunked(b"a", b"bc") + get("/echo?last")
    await client.send(*(stream[at : at + 1] for at in range(len(stream))))
    assert [(await client.answer()).json()["body"] for _ in range(3)] == ["hello", "abc", None]


async def test_large_body_is_received_whole(client: RawClient) -> None:
    body = bytes(range(256)) * 4_000
    answer = await client.ask(post(body))
    assert answer.json()["body"].encode("latin-1") == body


async def test_100_continue(client: RawClient) -> None:
    """H15."""
    await client.send(request("POST", "/echo", "Content-Length: 5", "Expect: 100-continue"))
    assert (await client.answer()).status == 100
    assert (await client.ask(b"hello")).json()["body"] == "hello"


async def test_body_above_the_limit_is_refused_before_it_comes(client: RawClient) -> None:
    """H12: 10 GB declared."""
    answer = await client.ask(request("POST", "/echo", "Content-Length: 10000000000", "Expect: 100-continue"))
    assert (answer.status, answer.is_last, answer.reason) == (413, True, "BODY_TOO_LARGE")
    assert await client.rest() == b""


async def test_endless_body_is_refused_at_the_limit_and_its_rest_not_read(client: RawClient) -> None:
    """H12: the answer reaches even a client that goes on sending, and who does is stopped, not swallowed."""
    await client.send(request("POST", "/echo", "Transfer-Encoding: chunked"))
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    taken = await client.send_until_blocked(chunk, limit_bytes=200_000_000)
    assert taken < 30_000_000, "limit, what lingers, and what the kernel holds for both sides"
    answer = await client.answer()
    assert (answer.status, answer.reason) == (413, "BODY_TOO_LARGE")


async def test_head_request_gets_the_head_of_get(client: RawClient) -> None:
    """Semantics 8."""
    head = await client.ask(request("HEAD", "/sized?4000"), is_head=True)
    assert head.header(b"content-length") == b"4000"
    assert len((await client.ask(get("/sized?4000"))).body) == 4_000


async def test_large_answer_is_sent_whole(client: RawClient) -> None:
    answer = await client.ask(get("/sized?5000000", "Connection: close"))
    assert (len(answer.body), answer.is_last) == (5_000_000, True)
    assert await client.rest() == b""


@pytest.mark.parametrize(
    ("target", "lines", "status"),
    [
        pytest.param("/echo?" + "x" * 8_187, [], 414, id="uri"),
        pytest.param("/echo", ["X: " + "v" * 65_536], 431, id="header_size"),
        pytest.param("/echo", [f"X-{n}: v" for n in range(100)], 431, id="header_count"),
    ],
)
async def test_limits_of_heads(client: RawClient, served: Served, target: str, lines: list[str], status: int) -> None:
    """Semantics 46."""
    answer = await client.ask(get(target, *lines))
    assert (answer.status, answer.is_last) == (status, True)
    assert await client.rest() == b""
    assert served.application.targets == []


async def test_largest_heads_that_are_allowed(client: RawClient) -> None:
    """Semantics 46."""
    assert (await client.ask(get("/echo?" + "x" * 8_186))).status == 200
    assert (await client.ask(get("/echo", "X: " + "v" * 65_000))).status == 200
    assert (await client.ask(get("/echo", *(f"X-{n}: v" for n in range(99))))).status == 200


async def test_answer_reaches_who_still_sends(client: RawClient) -> None:
    """A close with unread bytes in the kernel is a reset, which destroys the answer on its way."""
    rest = bytes(300_000)
    answer = await client.ask(b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n" + rest)
    assert answer.status == 400
    await client.send(rest)
    assert await client.rest() == b""


async def test_answer_before_its_body_reaches_who_still_sends(client: RawClient) -> None:
    answer = await client.ask(request("POST", "/ignore", "Content-Length: 1000000") + bytes(300_000))
    assert (answer.status, answer.is_last) == (200, True)
    await client.send(bytes(300_000))
    assert await client.rest() == b""
