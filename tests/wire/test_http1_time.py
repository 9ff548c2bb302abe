"""Deadlines over real sockets, with limits of a fraction of a second. Their rules are tested in tests/unit/edge."""

from __future__ import annotations

import asyncio
import time

import pytest

from api_gateway.edge.application import EdgeLimits
from tests.support.http_application import SmallApplication, serving, until
from tests.support.raw_http import RawClient, get, request

LIMITS = EdgeLimits(header_timeout_s=0.3, body_timeout_s=0.3, idle_timeout_s=0.3, linger_s=0.1)


async def trickle(client: RawClient, byte: bytes, seconds: float) -> None:
    """Send a byte every 20 ms."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        try:
            await client.send(byte)
        except (ConnectionResetError, BrokenPipeError):
            return
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("start", "byte", "after_s"),
    [
        pytest.param(b"GET /echo HTTP/1.1\r\nHost: a\r\nX: ", b"x", 0.3, id="head"),
        pytest.param(request("POST", "/echo", "Content-Length: 1000"), b"x", 0.6, id="body"),
        pytest.param(request("POST", "/echo", "Transfer-Encoding: chunked") + b"1;", b"e", 0.6, id="chunk_extension"),
    ],
)
async def test_trickled_request_times_out(start: bytes, byte: bytes, after_s: float) -> None:
    """F10, F11: 408 at the deadline, however steadily bytes come."""
    async with serving(SmallApplication(), LIMITS) as served, RawClient(served.address) as client:
        started_s = time.monotonic()
        await client.send(start)
        trickling = asyncio.get_running_loop().create_task(trickle(client, byte, 1.2))
        answer = await client.answer()
        assert (answer.status, answer.reason, answer.is_last) == (408, "REQUEST_TIMEOUT", True)
        assert after_s - 0.05 <= time.monotonic() - started_s < after_s + 0.5
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
        chatting = asyncio.get_running_loop().create_task(trickle(chatty, b"\r\n", 1.0))
        for client in (asked, silent, chatty):
            assert await client.rest(timeout_s=2) == b""
        await chatting
        await until(lambda: served.server.connection_count == 0)


async def test_answer_that_nobody_reads_is_dropped() -> None:
    """F11: a finished answer, a client that does not read."""
    limits = EdgeLimits(write_timeout_s=0.2)
    async with (
        serving(SmallApplication(), limits) as served,
        RawClient(served.address, receive_buffer_bytes=8_192) as client,
    ):
        await client.send(get("/sized?9000000"))
        await until(lambda: served.application.targets)
        await until(lambda: served.server.connection_count == 0)


async def test_answer_that_is_read_slowly_is_sent_whole() -> None:
    """More than a KiB a second is taken: the write timeout passes many times."""
    limits = EdgeLimits(write_timeout_s=0.3)
    async with (
        serving(SmallApplication(), limits) as served,
        RawClient(served.address, receive_buffer_bytes=8_192) as client,
    ):
        await client.send(get("/sized?9000000"))
        received = b""
        while len(received) < 9_000_000:
            received += await client.read_at_least(min(150_000, 9_000_000 - len(received)))
            await asyncio.sleep(0.02)
        assert served.server.connection_count == 1


async def test_expected_body_that_never_comes() -> None:
    """H15."""
    async with serving(SmallApplication(), LIMITS) as served, RawClient(served.address) as client:
        await client.send(request("POST", "/echo", "Content-Length: 5", "Expect: 100-continue"))
        assert (await client.answer()).status == 100
        assert (await client.answer()).status == 408


async def test_client_that_never_closes_its_side_does_not_stay() -> None:
    async with serving(SmallApplication(), LIMITS) as served, RawClient(served.address) as client:
        assert (await client.ask(b"\0")).status == 400
        await until(lambda: served.server.connection_count == 0)
