"""Streams are as long as they like, and the gateway's memory is not (semantics 23, reliability B16)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator

import pytest

from tests.support.backends import Backend
from tests.support.gateway import RunningGateway, serving, start_gateway
from tests.support.memory import resident_bytes
from tests.support.raw_http import RawClient, get

MESSAGES = int(os.environ.get("STREAM_MESSAGES", "10000"))
"""`STREAM_MESSAGES=100000` is the whole length, for which the backend needs ten seconds."""
GROWTH_BYTES = 8 * 1024 * 1024
LINE_BYTES = 20_000


@pytest.fixture(scope="module")
def gateway(grpcio_backend: Backend) -> Iterator[RunningGateway]:
    """A gateway that has streamed before, so that what it keeps for ever is there."""
    with start_gateway(serving(grpcio_backend.endpoint)) as gateway:
        gateway.get("/echo/v1/stream?behaviour.messageCount=200&behaviour.responseSizeBytes=1000")
        yield gateway


async def test_long_stream_runs_in_constant_memory(gateway: RunningGateway) -> None:
    before_bytes = resident_bytes(gateway.process.pid)
    most_bytes = received = 0
    async with RawClient(("127.0.0.1", gateway.port)) as client:
        await client.send(get(f"/echo/v1/stream?behaviour.messageCount={MESSAGES}"))
        looked_s = 0.0
        data = b""
        while not data.endswith(b"0\r\n\r\n"):
            data = data[-16:] + await client.read_at_least(1)
            received += data[16:].count(b"\n\r\n")
            if time.monotonic() - looked_s > 0.5:
                looked_s = time.monotonic()
                most_bytes = max(most_bytes, resident_bytes(gateway.process.pid))
    assert received > MESSAGES * 0.9, "each message is a chunk of its own"
    assert most_bytes - before_bytes < GROWTH_BYTES


async def test_client_that_hardly_reads_holds_the_backend_and_not_our_memory(gateway: RunningGateway) -> None:
    """20 clients, 40 MB each, of which nobody reads more than a few KiB."""
    before_bytes = resident_bytes(gateway.process.pid)
    clients = [RawClient(("127.0.0.1", gateway.port), receive_buffer_bytes=4_096) for _ in range(20)]
    target = f"/echo/v1/stream?behaviour.messageCount=2000&behaviour.responseSizeBytes={LINE_BYTES}"
    try:
        for client in clients:
            await client.__aenter__()
            await client.send(get(target))
        most_bytes = 0
        for _ in range(15):
            for client in clients:
                await client.read_at_least(1_024)
            await asyncio.sleep(0.1)
            most_bytes = max(most_bytes, resident_bytes(gateway.process.pid))
        assert gateway.get("/health/live").status == 200
        # A window of 128 KiB, and what a transport takes before it says stop.
        assert most_bytes - before_bytes < len(clients) * 512 * 1024 + GROWTH_BYTES, (before_bytes, most_bytes)
    finally:
        for client in clients:
            client.reset()
