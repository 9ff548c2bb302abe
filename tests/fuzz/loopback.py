"""The same plays over real sockets and in real time, for what a loop without sockets cannot show."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final, cast

from tests.fuzz.plays import Case, Ending, Play
from tests.fuzz.verdict import Verdict, judge
from tests.support.fault_proxy import linger_not

MAX_TIMEOUT_S: Final = 0.1
MAX_PAUSE_S: Final = 0.005
ALLOWED_OVERRUN_S: Final = 1.0
"""A busy machine runs everything late; a call that hangs is later than this."""


async def judge_on_sockets(case: Case) -> Verdict:
    """Play a case on loopback; deadlines and pauses are shortened."""
    loop = asyncio.get_running_loop()
    plays = list(case.plays)
    players: set[_Player] = set()
    server = await loop.create_server(lambda: _Player(plays.pop(0) if plays else None, players), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    timeout_s = case.timeout_s if case.is_unchanged else min(case.timeout_s, MAX_TIMEOUT_S)
    try:
        return await judge(
            replace(case, timeout_s=timeout_s),
            endpoint=f"http://127.0.0.1:{port}",
            allowed_overrun_s=ALLOWED_OVERRUN_S,
        )
    finally:
        server.close()
        for player in list(players):
            player.stop()
        await server.wait_closed()


class _Player(asyncio.Protocol):
    """The server's end of one connection."""

    def __init__(self, play: Play | None, players: set[_Player]) -> None:
        self._play = play
        self._players = players
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._players.add(self)
        if self._play is None:
            self.stop()
        else:
            if self._play.stops_reading:
                self._transport.pause_reading()
            self._step()

    def connection_lost(self, exc: Exception | None) -> None:
        self._players.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def stop(self) -> None:
        """Reset the connection."""
        if self._transport is not None and not self._transport.is_closing():
            linger_not(self._transport)
            self._transport.abort()

    def _step(self) -> None:
        assert self._play is not None
        assert self._transport is not None
        if self._transport.is_closing():
            return
        if self._next < len(self._play.slices):
            self._transport.write(self._play.slices[self._next])
            self._next += 1
            pause_s = min(self._play.pause_s, MAX_PAUSE_S) if len(self._play.slices) < 100 else 0.0
            self._timer = asyncio.get_running_loop().call_later(pause_s, self._step)
        elif self._play.ending is Ending.FIN:
            self._transport.close()
        elif self._play.ending is Ending.RESET:
            self.stop()
