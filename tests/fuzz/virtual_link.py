"""An event loop without sockets and without waiting: its clock goes to the next timer at once, and whoever connects is
served by a play. The same case always takes the same steps.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Iterable
from typing import Any

from tests.fuzz.plays import Ending, Play

WRITE_PAUSE_S = 0.05
"""How long a server that stops reading does so."""


class StuckError(Exception):
    """Somebody waits, and nothing is left that could happen."""


class _TimelessSelector(selectors.SelectSelector):
    """Waits for nothing: time that would be waited is added to the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1_000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StuckError("somebody waits, and nothing is left that could happen")
        self.now_s += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop. Set `plays` before each case."""

    def __init__(self) -> None:
        self._timeless = _TimelessSelector()
        super().__init__(self._timeless)
        self.plays: list[Play | None] = []
        self.links: list[PlayedTransport] = []

    def time(self) -> float:
        """Return the clock."""
        return self._timeless.now_s

    def start(self, plays: Iterable[Play | None]) -> None:
        """Serve these connections next."""
        self.plays = list(plays)
        self.links = []

    @property
    def waiting_timers(self) -> int:
        """Timers that will still run."""
        handles: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]  # asyncio offers no look
        return sum(not handle.cancelled() for handle in handles)

    async def create_connection(self, protocol_factory: Callable[[], Any], *args: Any, **kwargs: Any) -> Any:
        """Connect to the next play. Raises ConnectionRefusedError when there is none."""
        await asyncio.sleep(0.001)
        play = self.plays.pop(0) if self.plays else None
        if play is None:
            raise ConnectionRefusedError("no play for this connection")
        protocol = protocol_factory()
        link = PlayedTransport(self, protocol, play)
        self.links.append(link)
        protocol.connection_made(link)
        link.begin()
        return link, protocol

    async def getaddrinfo(self, host: Any, port: Any, **kwargs: Any) -> Any:
        """Resolve without a thread."""
        return [(2, 1, 6, "", ("127.0.0.1", port))]


class _Optionless:
    """A socket whose options do nothing."""

    def setsockopt(self, *option: object) -> None:
        """Take it."""


class PlayedTransport(asyncio.Transport):
    """One end of a connection whose other end is a play."""

    def __init__(self, loop: VirtualLoop, protocol: asyncio.Protocol, play: Play) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._play = play
        self._next = 0
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._is_closing = False
        self.is_lost = False
        self.written_bytes = 0

    def begin(self) -> None:
        """Start playing."""
        self._timers["step"] = self._loop.call_later(0.0, self._step)
        if self._play.stops_reading:
            self._protocol.pause_writing()
            self._timers["resume"] = self._loop.call_later(WRITE_PAUSE_S, self._resume)

    def _resume(self) -> None:
        if not self._is_closing:
            self._protocol.resume_writing()

    def _step(self) -> None:
        if self._next < len(self._play.slices):
            self._next += 1
            if self._play.slices[self._next - 1]:
                self._protocol.data_received(self._play.slices[self._next - 1])
            if not self._is_closing:
                self._timers["step"] = self._loop.call_later(self._play.pause_s, self._step)
        elif self._play.ending is Ending.FIN:
            if not self._protocol.eof_received():
                self.close()
        elif self._play.ending is Ending.RESET:
            self._lose(ConnectionResetError("reset by the play"))

    def _lose(self, error: Exception | None) -> None:
        if not self._is_closing:
            self._is_closing = True
            for timer in self._timers.values():
                timer.cancel()
            self._loop.call_soon(self._lost, error)

    def _lost(self, error: Exception | None) -> None:
        self.is_lost = True
        self._protocol.connection_lost(error)

    # asyncio.Transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Offer a socket to set options of, and nothing else."""
        return _Optionless() if name == "socket" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Count. Nothing may be written once it is closed."""
        if self.is_lost:
            raise AssertionError("written to a connection that is lost")
        self.written_bytes += len(data)

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._is_closing

    def close(self) -> None:
        """Take no more."""
        self._lose(None)

    def abort(self) -> None:
        """Take no more."""
        self._lose(None)
