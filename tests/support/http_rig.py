"""One client connection without a socket: the test turns the clock and plays the transport."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, cast

from api_gateway.deadlines import DeadlineWheel
from api_gateway.edge.application import Application, EdgeLimits
from api_gateway.edge.http1 import Http1Connection
from api_gateway.edge.server import Server

from .raw_http import Answer, parse_answers

PEER = ("192.0.2.7", 50_000)


class FakeTimer:
    """A timer that can be cancelled."""

    def __init__(self, when_s: float, callback: Callable[[], Any]) -> None:
        self.when_s = when_s
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        """Never call it."""
        self.is_cancelled = True


class FakeLoop:
    """What a connection and its deadlines use of an event loop."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.timers: list[FakeTimer] = []
        self.mistakes: list[BaseException] = []

    def time(self) -> float:
        """Return the clock."""
        return self.now_s

    def call_at(self, when_s: float, callback: Callable[[], Any]) -> FakeTimer:
        """Take a timer."""
        timer = FakeTimer(when_s, callback)
        self.timers.append(timer)
        return timer

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Remember what nobody caught."""
        self.mistakes.append(context["exception"])

    def advance(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        end_s = self.now_s + seconds
        while due := [timer for timer in self.timers if not timer.is_cancelled and timer.when_s <= end_s]:
            timer = min(due, key=lambda each: each.when_s)
            self.timers.remove(timer)
            self.now_s = max(self.now_s, timer.when_s)
            timer.callback()
        self.now_s = end_s


class FakeTransport(asyncio.Transport):
    """Remembers what a connection does to it. `unsent_bytes` is what the client has not taken."""

    def __init__(self, *, peer: object = PEER, can_write_eof: bool = True) -> None:
        super().__init__({"peername": peer})
        self.written = bytearray()
        self.unsent_bytes = 0
        self.pieces: list[bytes | bytearray | memoryview] = []
        """What was last written together."""
        self.high_bytes = 64 * 1024
        """Above which it would ask to pause."""
        self.connected: object = None
        """What stands for the socket, if anything does."""
        self._is_reading = True
        self.is_half_closed = False
        self.is_closed = False
        self.is_aborted = False
        self.protocol: asyncio.BaseProtocol | None = None
        """What has taken over from the connection."""
        self._can_write_eof = can_write_eof

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes."""
        assert not self.is_half_closed and not self.is_closing(), "written after the end"
        self.written += data

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Take several pieces, and remember them as they are."""
        self.pieces = list(list_of_data)
        self.write(b"".join(self.pieces))

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Return the peer's name, and the socket if the test has one."""
        return self.connected if name == "socket" else super().get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        """Return what the test says."""
        return self.unsent_bytes

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Remember it."""
        assert high is not None
        assert low is None
        self.high_bytes = high

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Have another one called."""
        self.protocol = protocol

    def pause_reading(self) -> None:
        """Stop."""
        assert self._is_reading
        self._is_reading = False

    def resume_reading(self) -> None:
        """Go on."""
        assert not self._is_reading
        self._is_reading = True

    def is_reading(self) -> bool:
        """Whether the client is not held back."""
        return self._is_reading

    def can_write_eof(self) -> bool:
        """TLS cannot."""
        return self._can_write_eof

    def write_eof(self) -> None:
        """Close one direction."""
        assert self._can_write_eof
        self.is_half_closed = True

    def is_closing(self) -> bool:
        """Whether it is over."""
        return self.is_closed or self.is_aborted

    def close(self) -> None:
        """Close when everything is sent."""
        self.is_closed = True

    def abort(self) -> None:
        """Close at once."""
        self.is_aborted = True


class Rig:
    """A connection of a server, with a transport and a clock of the test's."""

    def __init__(
        self,
        application: Application,
        limits: EdgeLimits | None = None,
        *,
        transport: FakeTransport | None = None,
        server: Server | None = None,
    ) -> None:
        self.loop = FakeLoop()
        loop = cast(asyncio.AbstractEventLoop, self.loop)
        self.wheel = DeadlineWheel(loop)
        self.server = server or Server(application, limits or EdgeLimits(), loop=loop, wheel=self.wheel)
        self.transport = transport or FakeTransport()
        self.connection = Http1Connection(self.server, loop)
        self.connection.connection_made(self.transport)

    def receive(self, *segments: bytes) -> None:
        """Deliver what the client sent."""
        for segment in segments:
            self.connection.data_received(segment)

    def answers(self) -> list[Answer]:
        """Return what was answered since the last look."""
        written = bytes(self.transport.written)
        self.transport.written.clear()
        return parse_answers(written)

    def statuses(self) -> list[int]:
        """Return the statuses answered since the last look."""
        return [answer.status for answer in self.answers()]

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.loop.advance(seconds)

    def stall(self, unsent_bytes: int = 100_000) -> None:
        """Have the client stop reading."""
        self.transport.unsent_bytes = unsent_bytes
        self.connection.pause_writing()

    def unstall(self) -> None:
        """Have the client take everything."""
        self.transport.unsent_bytes = 0
        self.connection.resume_writing()

    def lose(self) -> None:
        """Report the end of the transport, as the loop does after each close."""
        self.connection.connection_lost(None)
