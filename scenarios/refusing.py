"""Backends that refuse or break off streams (B8, B9), or allow few at once (B10)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from scenarios.load import LoadShape, ask_many, questions, steady
from scenarios.oracle import PLAIN, Question, Tally, Verdict
from scenarios.peer import PREFIX, EchoPeer, PeerCall, reply_to
from scenarios.stage import Stage
from tests.support import h2_frames
from tests.support.gateway import serving
from tests.support.h2_frames import Error, Setting
from tests.support.scripted_peer import PeerConnection, prefixed

NEVER_OPENS: Final = {"failure_threshold": 1_000_000}
"""These scenarios are about the transport; an open breaker would answer in the backend's place."""
CALLERS: Final = 100
HOLD_S: Final = 0.005
ZERO_DEADLINE_S: Final = 1.0


async def refused_streams(stage: Stage) -> None:
    """B8: REFUSED_STREAM for every tenth call, then for all."""
    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(EchoPeer())
        service = {"circuit_breaker": NEVER_OPENS}
        config = serving(peer.endpoint, service=service)
        gateway = await stack.enter_async_context(stage.gateway(config, prefixes=(PREFIX,)))
        refused: list[str] = []

        def every_tenth(call: PeerCall) -> None:
            if call.attempt == 1 and len(peer.seen.calls) % 10 == 0:
                refused.append(call.message.id)
                call.connection.send(h2_frames.rst_stream(call.stream_id, Error.REFUSED_STREAM))
            else:
                peer.execute(call)

        peer.on_call = every_tenth
        shape = LoadShape(rate_per_s=300, prefix=PREFIX, template=PLAIN)
        async with steady(gateway.port, shape) as load:
            await asyncio.sleep(stage.seconds(15, at_least_s=2))
        peer.on_call = _reset_with(Error.REFUSED_STREAM)
        asked = questions(CALLERS, PLAIN)
        refused_all = await ask_many(gateway.port, asked, PREFIX)
        peer.on_call = peer.execute
    stage.judge(load.tally, "every tenth", errors_at_most=0)
    marks = stage.marks
    marks.holds("calls refused", len(refused), "> 0", is_met=len(refused) > 0)
    attempts = Counter(peer.seen.calls[each] for each in refused)
    marks.holds("attempts of each", dict(attempts), "2 for all", is_met=set(attempts) == {2})
    marks.equals("all refused: answers 503", refused_all.statuses[503], CALLERS)
    attempts = Counter(peer.seen.calls[each.id] for each in asked)
    marks.holds("all refused: attempts of a POST", dict(attempts), "2 for all", is_met=set(attempts) == {2})


async def reset_streams(stage: Stage) -> None:
    """B9: RST_STREAM(INTERNAL_ERROR) after the head, inside the message, and after it."""
    cases: dict[str, Callable[[PeerCall], bytes]] = {
        "after the head": lambda call: b"",
        "inside the message": lambda call: prefixed(reply_to(call.message))[:-7],
        "after the message": lambda call: prefixed(reply_to(call.message)),
    }
    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(EchoPeer())
        config = serving(peer.endpoint, service={"circuit_breaker": NEVER_OPENS})
        gateway = await stack.enter_async_context(stage.gateway(config, prefixes=(PREFIX,)))
        tallies = {}
        for name, body in cases.items():
            peer.on_call = _reset_with(Error.INTERNAL_ERROR, body)
            tallies[name] = Tally()
            for _ in range(stage.number(3)):
                await ask_many(gateway.port, questions(CALLERS, PLAIN), PREFIX, tallies[name])
        peer.on_call = peer.execute
    for name, tally in tallies.items():
        stage.marks.equals(f"{name}: answers 502", tally.statuses[502], tally.asked)
        stage.marks.equals(f"{name}: WRONG", tally.count(Verdict.WRONG), 0)
        stage.marks.equals(f"{name}: LOST", tally.count(Verdict.LOST), 0)
        stage.marks.equals(f"{name}: right answers", tally.count(Verdict.OK), 0)


def _reset_with(code: Error, body: Callable[[PeerCall], bytes] | None = None) -> Callable[[PeerCall], None]:
    """Return what breaks a call off; with `body`, after a head and so much of the answer."""

    def reset(call: PeerCall) -> None:
        connection, stream_id = call.connection, call.stream_id
        if body is not None:
            connection.send(connection.head(stream_id))
            part = body(call)
            if part:
                connection.send(h2_frames.data(stream_id, part))
        connection.send(h2_frames.rst_stream(stream_id, code))

    return reset


class Gate:
    """Answers a moment later, and watches how many calls of a connection are open at once."""

    def __init__(self, peer: EchoPeer) -> None:
        self.most = 0
        """Most calls open at once on any connection since `reset`."""
        self._peer = peer
        self._open: Counter[PeerConnection] = Counter()

    def take(self, call: PeerCall) -> None:
        """Hold the answer back a little."""
        self._open[call.connection] += 1
        self.most = max(self.most, self._open[call.connection])
        asyncio.get_running_loop().call_later(HOLD_S, self._answer, call)

    def _answer(self, call: PeerCall) -> None:
        self._open[call.connection] -= 1
        self._peer.execute(call)

    async def allow(self, streams: int) -> None:
        """Announce a limit on every connection, and return when the gateway has acknowledged it."""
        for connection in self._peer.open_connections:
            connection.send(h2_frames.settings({Setting.MAX_CONCURRENT_STREAMS: streams}))
            await connection.in_step()
        self.most = 0


async def few_streams(stage: Stage) -> None:
    """B10: MAX_CONCURRENT_STREAMS 1, then 0, then 100, with a hundred callers at once."""
    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(EchoPeer())
        service = {"connection_pool_size": 1, "circuit_breaker": NEVER_OPENS}
        config = serving(peer.endpoint, service=service)
        gateway = await stack.enter_async_context(stage.gateway(config, prefixes=(PREFIX,)))
        gate = Gate(peer)
        peer.on_call = gate.take
        marks = stage.marks
        await gate.allow(1)
        one = await ask_many(gateway.port, questions(CALLERS, PLAIN), PREFIX)
        marks.equals("limit 1: right answers", one.count(Verdict.OK), CALLERS)
        marks.at_most("limit 1: most streams at once", gate.most, 1)
        await gate.allow(0)
        template = Question(id="", seed=0, deadline_s=ZERO_DEADLINE_S, timeout_header=b"1")
        none = await ask_many(gateway.port, questions(CALLERS, template), PREFIX)
        marks.equals("limit 0: answers 504, after the deadline", none.statuses[504], CALLERS)
        marks.at_least(
            "limit 0: earliest", min((each.took_s for each in none.errors), default=0), ZERO_DEADLINE_S - 0.01, " s"
        )
        marks.equals("limit 0: LATE", none.late, 0)
        marks.at_most("limit 0: most streams at once", gate.most, 0)
        await gate.allow(100)
        many = await ask_many(gateway.port, questions(CALLERS, PLAIN), PREFIX)
        marks.equals("limit 100: right answers", many.count(Verdict.OK), CALLERS)
        marks.at_most("limit 100: most streams at once", gate.most, 100)
        for tally in (one, none, many):
            marks.equals("WRONG and LOST", tally.count(Verdict.WRONG) + tally.count(Verdict.LOST), 0)
        peer.on_call = peer.execute
