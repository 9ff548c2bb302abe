"""Limits on time, on the loop that the gateway runs on: whoever exceeds one is sent away, whenever exactly that is.

When it must be is in test_http1_time; nothing here depends on how quick the machine is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from api_gateway.edge.application import EdgeLimits
from tests.support.http_application import Served, SmallApplication, serving, until
from tests.support.raw_http import RawClient, get, request

LIMITS = EdgeLimits(header_timeout_s=0.2, body_timeout_s=0.2, idle_timeout_s=0.2, linger_s=0.1)


@asynccontextmanager
async def hurried(data: bytes) -> AsyncIterator[tuple[Served, RawClient]]:
    """A server that waits for nobody, and a client that sends a little at once."""
    async with serving(SmallApplication(), LIMITS) as served:
        with closing(RawClient(served.address)) as client:
            client.connect_and_send(data)
            yield served, client


async def test_trickled_body_times_out() -> None:
    """F11: 408, although bytes come until the end."""
    async with hurried(request("POST", "/echo", "Content-Length: 1000000")) as (_, client):
        trickling = asyncio.get_running_loop().create_task(trickle_for_ever(client))
        answer = await client.answer()
        assert (answer.status, answer.reason, answer.is_last) == (408, "REQUEST_TIMEOUT", True)
        await client.rest()
        await trickling


async def trickle_for_ever(client: RawClient) -> None:
    while True:
        try:
            await client.send(b"x")
        except (ConnectionResetError, BrokenPipeError):
            return
        await asyncio.sleep(0.005)


async def test_unfinished_head_times_out() -> None:
    """F10."""
    async with hurried(b"GET /ec") as (_, client):
        assert (await client.answer()).status == 408


async def test_idle_connection_is_closed() -> None:
    """F12."""
    async with hurried(get()) as (served, client):
        assert (await client.answer()).status == 200
        assert await client.rest() == b""
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


async def test_expected_body_that_never_comes() -> None:
    """H15."""
    async with hurried(request("POST", "/echo", "Content-Length: 5", "Expect: 100-continue")) as (_, client):
        assert (await client.answer()).status == 100
        assert (await client.answer()).status == 408


async def test_client_that_never_closes_its_side_does_not_stay() -> None:
    async with hurried(b"\0") as (served, client):
        assert (await client.answer()).status == 400
        await until(lambda: served.server.connection_count == 0)
