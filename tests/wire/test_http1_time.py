"""Deadlines over real sockets, on a clock that jumps. Their rules are tested in tests/unit/edge.

That the loop the gateway runs on keeps them too is in test_http1_limits.
"""

from __future__ import annotations

import asyncio

import pytest

from api_gateway.edge.application import EdgeLimits
from tests.support.http_application import SmallApplication, serving, until
from tests.support.raw_http import RawClient, get, request

LIMITS = EdgeLimits(header_timeout_s=10, body_timeout_s=10, idle_timeout_s=10, linger_s=1)
PACE_S = 0.5
"""Between two bytes of a slow client."""
SLACK_S = 0.05
"""For the ticks of deadlines and the turns of the loop."""


async def trickle(client: RawClient, byte: bytes, seconds: float) -> None:
    """Send a byte again and again."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + seconds
    while loop.time() < end_s:
        try:
            await client.send(byte)
        except (ConnectionResetError, BrokenPipeError):
            return
        await asyncio.sleep(PACE_S)


@pytest.mark.parametrize(
    ("start", "byte", "after_s"),
    [
        pytest.param(b"GET /echo HTTP/1.1\r\nHost: a\r\nX: ", b"x", 10, id="head"),
        pytest.param(request("POST", "/echo", "Content-Length: 1000"), b"x", 20, id="body"),
        pytest.param(request("POST", "/echo", "Transfer-Encoding: chunked") + b"1;", b"e", 20, id="chunk_extension"),
    ],
)
async def test_trickled_request_times_out(start: bytes, byte: bytes, after_s: float) -> None:
    """F10, F11: 408 at the deadline, however steadily bytes come."""
    async with serving(SmallApplication(), LIMITS) as served, RawClient(served.address) as client:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        await client.send(start)
        trickling = loop.create_task(trickle(client, byte, 40))
        answer = await client.answer()
        assert (answer.status, answer.reason, answer.is_last) == (408, "REQUEST_TIMEOUT", True)
        assert after_s - SLACK_S <= loop.time() - started_s < after_s + SLACK_S
        await client.rest()
        await trickling


async def test_many_slow_clients_are_all_closed_and_a_quick_one_notices_nothing() -> None:
    """F10, small: nobody stays beyond the header deadline."""
    async with serving(SmallApplication(), LIMITS) as served:
        slow = [RawClient(served.address) for _ in range(200)]
        try:
            for client in slow:
                await client.__aenter__()
                await client.send(b"GET /ec")
            async with RawClient(served.address) as quick:
                while served.server.connection_count > 1:
                    assert (await quick.ask(get())).status == 200
                    await asyncio.sleep(PACE_S)
            assert [(await client.answer()).status for client in slow] == [408] * 200
        finally:
            for client in slow:
                client.close()


async def test_idle_connections_are_closed() -> None:
    """F12: one that asked before, one that never did, one that sends empty lines."""
    async with (
        serving(SmallApplication(), LIMITS) as served,
        RawClient(served.address) as asked,
        RawClient(served.address) as silent,
        RawClient(served.address) as chatty,
    ):
        assert (await asked.ask(get())).status == 200
        chatting = asyncio.get_running_loop().create_task(trickle(chatty, b"\r\n", 40))
        for client in (asked, silent, chatty):
            assert await client.rest() == b""
        await chatting
        await until(lambda: served.server.connection_count == 0)


async def test_answer_that_is_read_slowly_is_sent_whole() -> None:
    """More than a KiB a second is taken: the write timeout passes many times."""
    limits = EdgeLimits(write_timeout_s=10)
    async with (
        serving(SmallApplication(), limits) as served,
        RawClient(served.address, receive_buffer_bytes=8_192) as client,
    ):
        await client.send(get("/sized?9000000"))
        received = b""
        while len(received) < 9_000_000:
            received += await client.read_at_least(min(150_000, 9_000_000 - len(received)))
            await asyncio.sleep(6 * PACE_S)
        assert served.server.connection_count == 1
