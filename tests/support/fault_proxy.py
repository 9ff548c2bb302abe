"""A TCP proxy that does to a connection what networks do: latency, slicing, reset, half-close, black hole.

It understands nothing of what it carries. Faults are set while it runs and hold for all its connections.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import cast

from tests.support.scripted_peer import PATIENCE_S

CHUNK_BYTES = 65_536


class Direction(Enum):
    """Which half of a connection."""

    TO_SERVER = "to server"
    TO_CLIENT = "to client"


@dataclass(slots=True)
class Faults:
    """What happens to bytes on their way. Set at any time; what is on its way already is not called back."""

    latency_s: float = 0.0
    """Each piece waits this long; the order is kept."""
    slice_bytes: int = CHUNK_BYTES
    """Largest piece that is passed on at once."""
    bytes_per_s: float = 0.0
    """Speed of each direction of each connection; 0: as fast as it goes."""
    is_black_hole: bool = False
    """Whether bytes are taken and thrown away, in both directions."""


class _Side(asyncio.Protocol):
    """One of the two sockets of a connection; what comes in goes out at `other`."""

    def __init__(self, proxy: FaultProxy, towards_other: Direction) -> None:
        self.other: _Side | None = None
        self.towards_other = towards_other
        self._proxy = proxy
        self._transport: asyncio.Transport | None = None
        self._due_s = 0.0
        self._under_way: deque[Callable[[], object]] = deque()
        self._has_ended = False

    def end(self) -> None:
        """Send FIN; nothing more is written here."""
        if not self._has_ended and not self.transport.is_closing():
            self._has_ended = True
            self.transport.write_eof()

    def write(self, piece: bytes) -> bool:
        """Write; return False when that is no longer possible."""
        if self._has_ended or self.transport.is_closing():
            return False
        self.transport.write(piece)
        return True

    @property
    def transport(self) -> asyncio.Transport:
        """The socket's transport."""
        assert self._transport is not None
        return self._transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._proxy.opened(self)

    def data_received(self, data: bytes) -> None:
        faults = self._proxy.faults
        if faults.is_black_hole:
            self._proxy.swallow(len(data))
            return
        for at in range(0, len(data), faults.slice_bytes):
            piece = data[at : at + faults.slice_bytes]
            after_s = len(piece) / faults.bytes_per_s if faults.bytes_per_s else 0.0
            self._later(partial(self._pass_on, piece), after_s=after_s)

    def eof_received(self) -> bool:
        self._later(self._end)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.closed(self)
        if self.other is not None and not self.other.transport.is_closing():
            if exc is not None:
                linger_not(self.other.transport)
                self.other.transport.abort()
            else:
                self.other.transport.close()

    def pause_writing(self) -> None:
        if self.other is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.transport.resume_reading()

    def _later(self, deliver: Callable[[], object], *, after_s: float = 0.0) -> None:
        loop = asyncio.get_running_loop()
        # Never before what came earlier, even when the latency was lowered in between.
        self._due_s = max(self._due_s, loop.time() + self._proxy.faults.latency_s) + after_s
        self._under_way.append(deliver)
        # uvloop's timers of one millisecond may fire in another order; what they deliver keeps its own.
        if self.other is not None:
            loop.call_at(self._due_s, self._deliver_next)

    def _deliver_next(self) -> None:
        self._under_way.popleft()()

    def join(self, other: _Side) -> None:
        """Have what comes in here go out there; what came before that first (uvloop reads on after `pause_reading`)."""
        self.other = other
        for _ in self._under_way:
            asyncio.get_running_loop().call_at(self._due_s, self._deliver_next)

    def _pass_on(self, piece: bytes) -> None:
        if self.other is not None and self.other.write(piece):
            self._proxy.carry(self.towards_other, piece)

    def _end(self) -> None:
        if self.other is not None:
            self.other.end()


class FaultProxy:
    """Listens on loopback and passes on to one server. An asynchronous context manager."""

    def __init__(self, port: int, *, keeps_bytes: bool = False) -> None:
        self.faults = Faults()
        self.port = 0
        """Where it listens."""
        self.carried_bytes = dict.fromkeys(Direction, 0)
        """Bytes passed on."""
        self.kept = {direction: bytearray() for direction in Direction}
        """What was passed on, of all connections, where `keeps_bytes`."""
        self.swallowed_bytes = 0
        """Bytes thrown away."""
        self._keeps_bytes = keeps_bytes
        self._server_port = port
        self._server: asyncio.Server | None = None
        self._sides: set[_Side] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def endpoint(self) -> str:
        """Where it listens, as backends are named."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def open_sockets(self) -> int:
        """Sockets that are open, two for each connection."""
        return len(self._sides)

    def reset_all(self) -> None:
        """End every connection with RST on both sides."""
        for side in list(self._sides):
            linger_not(side.transport)
            side.transport.abort()

    def half_close(self, direction: Direction) -> None:
        """Send FIN in one direction; the other goes on."""
        for side in self._sides:
            if side.towards_other is not direction:
                side.end()

    async def wait_until(self, is_true: Callable[[], bool]) -> None:
        """Wait for a condition, looked at after everything that happens."""
        async with asyncio.timeout(PATIENCE_S):
            while not is_true():
                waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiters.append(waiter)
                await waiter

    async def __aenter__(self) -> FaultProxy:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Side(self, Direction.TO_SERVER), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for side in list(self._sides):
            side.transport.abort()
        await self.wait_until(lambda: not self._sides)

    # What sockets tell

    def opened(self, side: _Side) -> None:
        """A socket is open; a client's gets its counterpart."""
        self._sides.add(side)
        if side.towards_other is Direction.TO_SERVER:
            side.transport.pause_reading()
            task = asyncio.get_running_loop().create_task(self._join(side))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def closed(self, side: _Side) -> None:
        """A socket is closed."""
        self._sides.discard(side)
        self._tell()

    def carry(self, direction: Direction, piece: bytes) -> None:
        """Bytes were passed on."""
        self.carried_bytes[direction] += len(piece)
        if self._keeps_bytes:
            self.kept[direction] += piece
        self._tell()

    def swallow(self, size_bytes: int) -> None:
        """Bytes were thrown away."""
        self.swallowed_bytes += size_bytes
        self._tell()

    async def _join(self, client: _Side) -> None:
        server = _Side(self, Direction.TO_CLIENT)
        try:
            await asyncio.get_running_loop().create_connection(lambda: server, "127.0.0.1", self._server_port)
        except OSError:
            client.transport.abort()
            return
        client.join(server)
        server.join(client)
        client.transport.resume_reading()

    def _tell(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


def linger_not(transport: asyncio.Transport) -> None:
    """Have the kernel answer close with RST instead of FIN."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
