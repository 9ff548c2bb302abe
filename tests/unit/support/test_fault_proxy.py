"""Each fault does what its name says, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple, cast

import pytest

from tests.support.fault_proxy import Direction, FaultProxy
from tests.support.scripted_peer import PATIENCE_S


class End(asyncio.Protocol):
    """One end of a line: keeps what comes, and waits for it."""

    def __init__(self) -> None:
        self.received = b""
        self.has_ended = False
        self.error: Exception | None = None
        self.is_closed = False
        self.transport: asyncio.Transport | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._tell()

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._tell()

    def eof_received(self) -> bool:
        self.has_ended = True
        self._tell()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.error, self.is_closed = exc, True
        self._tell()

    def write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def close(self) -> None:
        assert self.transport is not None
        self.transport.close()

    async def wait_until(self, is_true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not is_true():
                waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
                await waiter

    async def read(self, expected: bytes) -> None:
        await self.wait_until(lambda: len(self.received) >= len(expected))
        assert self.received == expected
        self.received = b""

    def _tell(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.set_result(None)


class Line(NamedTuple):
    """A connection through the proxy, both ends in hand."""

    proxy: FaultProxy
    client: End
    server: End


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    loop = asyncio.get_running_loop()
    client, server = End(), End()
    listening = await loop.create_server(lambda: server, "127.0.0.1", 0)
    async with FaultProxy(listening.sockets[0].getsockname()[1]) as proxy:
        await loop.create_connection(lambda: client, "127.0.0.1", proxy.port)
        await server.wait_until(lambda: server.transport is not None)
        yield Line(proxy, client, server)
        listening.close()
        for end in (client, server):
            end.close()
            await end.wait_until(lambda end=end: end.is_closed)  # type: ignore[misc]  # a default binds the variable
    assert proxy.open_sockets == 0


async def test_bytes_pass_both_ways(line: Line) -> None:
    line.client.write(b"question")
    await line.server.read(b"question")
    line.server.write(b"answer")
    await line.client.read(b"answer")
    assert line.proxy.carried_bytes == {Direction.TO_SERVER: 8, Direction.TO_CLIENT: 6}
    assert line.proxy.open_sockets == 2


async def test_much_passes_unharmed(line: Line) -> None:
    """More than the kernel's buffers hold, to an end that reads late."""
    assert line.server.transport is not None
    line.server.transport.pause_reading()
    line.client.write(bytes(10_000_000))
    await line.proxy.wait_until(lambda: line.proxy.carried_bytes[Direction.TO_SERVER] > 100_000)
    line.server.transport.resume_reading()
    await line.server.read(bytes(10_000_000))


async def test_slices(line: Line) -> None:
    line.proxy.faults.slice_bytes = 1
    line.client.write(b"question")
    await line.server.read(b"question")


async def test_latency_keeps_the_order(line: Line) -> None:
    """Also when it is lowered in between."""
    started_s = asyncio.get_running_loop().time()
    line.proxy.faults.latency_s = 0.02
    line.client.write(b"one")
    await line.proxy.wait_until(lambda: True)
    line.client.write(b"two")
    await line.server.read(b"onetwo")
    assert asyncio.get_running_loop().time() - started_s >= 0.02


async def test_black_hole(line: Line) -> None:
    line.proxy.faults.is_black_hole = True
    line.client.write(b"question")
    line.server.write(b"answer")
    await line.proxy.wait_until(lambda: line.proxy.swallowed_bytes == 14)
    line.proxy.faults.is_black_hole = False
    line.client.write(b"again")
    await line.server.read(b"again")


async def test_reset(line: Line) -> None:
    line.proxy.reset_all()
    for end in (line.client, line.server):
        await end.wait_until(lambda end=end: end.is_closed)  # type: ignore[misc]  # a default binds the variable
        assert isinstance(end.error, ConnectionResetError)


@pytest.mark.parametrize("direction", Direction)
async def test_half_close(line: Line, direction: Direction) -> None:
    line.proxy.half_close(direction)
    near, far = (line.client, line.server) if direction is Direction.TO_SERVER else (line.server, line.client)
    await far.wait_until(lambda: far.has_ended)
    far.write(b"still open")
    await near.read(b"still open")


async def test_an_end_passes_on(line: Line) -> None:
    """FIN for FIN; what was on its way arrives before it."""
    assert line.client.transport is not None
    line.client.write(b"last words")
    line.client.transport.write_eof()
    await line.server.wait_until(lambda: line.server.has_ended)
    await line.server.read(b"last words")


async def test_a_server_that_is_not_there() -> None:
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(End, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    listening.close()
    client = End()
    async with FaultProxy(port) as proxy:
        await loop.create_connection(lambda: client, "127.0.0.1", proxy.port)
        await client.wait_until(lambda: client.has_ended or client.is_closed)
        client.close()
