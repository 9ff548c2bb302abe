"""Backends that say GOAWAY (B6, B7)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Final

from scenarios.load import LoadShape, steady
from scenarios.oracle import PLAIN
from scenarios.peer import PREFIX, EchoPeer, EchoPeerConnection, PeerCall
from scenarios.stage import Stage
from tests.support import h2_frames
from tests.support.gateway import serving
from tests.support.scripted_peer import PeerConnection

EVERY: Final = 100
"""Calls on a connection before it is drained."""
BEYOND: Final = 5
"""Streams above the last id of B7."""


class Drains:
    """Drains each connection after a hundred calls: what came until then is answered."""

    def __init__(self, peer: EchoPeer) -> None:
        self.count = 0
        self._peer = peer
        self._last: dict[PeerConnection, int] = {}

    def take(self, call: PeerCall) -> None:
        """Answer; or ignore what came after GOAWAY, as servers do."""
        connection = call.connection
        assert isinstance(connection, EchoPeerConnection)
        if call.stream_id > self._last.get(connection, h2_frames.MAX_STREAM_ID):
            return
        self._peer.execute(call)
        if connection.calls >= EVERY and connection not in self._last:
            self._last[connection] = last = max(connection.requests)
            connection.send(h2_frames.goaway(last))
            self.count += 1


class HardDrains:
    """After a hundred calls leaves five unexecuted, says so with GOAWAY, and closes."""

    def __init__(self, peer: EchoPeer) -> None:
        self.count = 0
        self.passed_over: list[str] = []
        """Ids of the calls it did not execute."""
        self._peer = peer
        self._held: dict[PeerConnection, list[PeerCall]] = {}

    def take(self, call: PeerCall) -> None:
        """Answer, hold, or go away."""
        connection = call.connection
        assert isinstance(connection, EchoPeerConnection)
        if connection.calls < EVERY:
            self._peer.execute(call)
            return
        held = self._held.setdefault(connection, [])
        held.append(call)
        if call.attempt > 1:
            # Left out before: a call is placed again once, and who leaves it out twice gets an error for it.
            self._execute(held)
            return
        if len(held) == BEYOND:
            self.count += 1
            self.passed_over += [each.message.id for each in held]
            connection.send(h2_frames.goaway(held[0].stream_id - 2))
            connection.close()

    def release(self) -> None:
        """Answer what is held and may never become five; from now on answer everything."""
        self._peer.on_call = self._peer.execute
        for held in self._held.values():
            if len(held) < BEYOND:
                self._execute(held)

    def _execute(self, held: list[PeerCall]) -> None:
        for call in held:
            self._peer.execute(call)
        held.clear()


async def drained_every_hundred(stage: Stage) -> None:
    """B6: GOAWAY every hundred requests; nobody may notice."""
    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(EchoPeer())
        gateway = await stack.enter_async_context(stage.gateway(serving(peer.endpoint), prefixes=(PREFIX,)))
        drains = Drains(peer)
        peer.on_call = drains.take
        shape = LoadShape(rate_per_s=300, prefix=PREFIX, template=PLAIN)
        async with steady(gateway.port, shape) as load:
            await asyncio.sleep(stage.seconds(60, at_least_s=3))
    stage.judge(load.tally, errors_at_most=0)
    stage.marks.at_least("GOAWAYs, at 300 requests a second", drains.count, stage.number(150, at_least=3))
    _no_duplicates(stage, peer)


async def drained_hard(stage: Stage) -> None:
    """B7: GOAWAY whose last id leaves out the newest five streams, and the connection closes at once."""
    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(EchoPeer())
        # Of two workers, one may get so few requests that a call waits here for four more until its deadline.
        gateway = await stack.enter_async_context(stage.gateway(serving(peer.endpoint), workers=1, prefixes=(PREFIX,)))
        drains = HardDrains(peer)
        peer.on_call = drains.take
        shape = LoadShape(rate_per_s=300, prefix=PREFIX, template=PLAIN)
        async with steady(gateway.port, shape) as load:
            await asyncio.sleep(stage.seconds(20, at_least_s=3))
            drains.release()
    stage.judge(load.tally, errors_at_most=0)
    stage.marks.holds("GOAWAYs", drains.count, "> 0", is_met=drains.count > 0)
    stage.marks.note("calls left out", len(drains.passed_over))
    once = sum(peer.seen.executed[each] == 1 for each in set(drains.passed_over))
    stage.marks.equals("of them executed once, elsewhere", once, len(set(drains.passed_over)))
    _no_duplicates(stage, peer)


def _no_duplicates(stage: Stage, peer: EchoPeer) -> None:
    executed = peer.seen.executed
    stage.marks.equals("executed more than once", sum(executed[each] > 1 for each in executed if each), 0)
