"""A backend that stands still (B5), and deadlines that travel (B18)."""

from __future__ import annotations

import asyncio
import re
import signal
from contextlib import AsyncExitStack
from typing import Final

from scenarios.backends import echo_backend
from scenarios.load import LoadShape, ask_many, questions, steady
from scenarios.oracle import Question, Tally, Verdict
from scenarios.patience import until
from scenarios.peer import PREFIX, EchoPeer, PeerCall
from scenarios.stage import Stage
from tests.support.gateway import serving
from tests.support.h2_frames import Setting
from tests.support.scripted_peer import Manners

DEADLINE_S: Final = 1.0
FROZEN_S: Final = 5.0
HALF_OPEN_S: Final = 1.0
CLIENT_DEADLINE_S: Final = 3.0
IN_QUEUE_S: Final = 2.0
_UNITS_S: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


async def frozen_and_thawed(stage: Stage) -> None:
    """B5: SIGSTOP the backend for five seconds; deadlines of one second; then SIGCONT."""
    frozen_for_s = stage.seconds(FROZEN_S, at_least_s=3)
    breaker = {"failure_threshold": 5, "success_threshold": 1, "timeout_seconds": HALF_OPEN_S}
    service = {"timeout_ms": int(DEADLINE_S * 1000), "circuit_breaker": breaker}
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(echo_backend(stage))
        gateway = await stack.enter_async_context(stage.gateway(serving(backend.endpoint, service=service)))
        loop = asyncio.get_running_loop()
        template = Question(id="", seed=0, deadline_s=DEADLINE_S)
        async with steady(gateway.port, LoadShape(rate_per_s=300, template=template)) as load:
            await asyncio.sleep(stage.seconds(3))
            backend.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(frozen_for_s)
            state = (await gateway.health("echo"))["circuit_breaker"]
            thawed_s = loop.time()
            backend.process.send_signal(signal.SIGCONT)
            await asyncio.sleep(stage.seconds(4, at_least_s=3))
    _judge_frozen(stage, load.tally, thawed_s)
    stage.marks.holds("breaker after that", state, "open or half_open", is_met=state in ("open", "half_open"))


def _judge_frozen(stage: Stage, tally: Tally, thawed_s: float) -> None:
    marks = stage.marks
    stage.judge(tally)
    expired = [each.took_s for each in tally.errors if each.status == 504]
    marks.holds("deadlines that passed (504)", len(expired), "> 0", is_met=len(expired) > 0)
    marks.at_least("earliest 504 after", min(expired, default=0), DEADLINE_S - 0.01, " s")
    marks.at_most("latest 504 after", max(expired, default=0), DEADLINE_S + 0.25, " s")
    others = sum(tally.reasons.values()) - tally.statuses[504] - tally.reasons["CIRCUIT_OPEN"]
    marks.equals("errors that are neither 504 nor CIRCUIT_OPEN", others, 0)
    after = [moment for moment in tally.ok_times_s if moment >= thawed_s]
    first = min(after, default=thawed_s + 99) - thawed_s
    marks.at_most("first right answer after SIGCONT", first, 1 + HALF_OPEN_S, " s")


async def deadline_travels(stage: Stage) -> None:
    """B18: three seconds at the client, two of them in the queue: the backend is told of the third."""
    manners = Manners(settings={Setting.MAX_CONCURRENT_STREAMS: 1})
    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(EchoPeer(manners))
        config = serving(peer.endpoint, service={"connection_pool_size": 1})
        gateway = await stack.enter_async_context(stage.gateway(config, workers=1, prefixes=(PREFIX,)))
        held: list[PeerCall] = []
        told: list[float] = []

        def hold_first(call: PeerCall) -> None:
            told.append(timeout_s(call.request.field(b"grpc-timeout") or b""))
            if len(told) == 1:
                held.append(call)
            else:
                peer.execute(call)

        peer.on_call = hold_first
        asked = questions(2, Question(id="", seed=0, deadline_s=CLIENT_DEADLINE_S, timeout_header=b"3"))
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(ask_many(gateway.port, asked[:1], PREFIX))
            await until(lambda: bool(held), "the first call holds the only stream")
            second = tasks.create_task(ask_many(gateway.port, asked[1:], PREFIX))
            await asyncio.sleep(IN_QUEUE_S)
            peer.execute(held[0])
    marks = stage.marks
    marks.equals("right answers", first.result().count(Verdict.OK) + second.result().count(Verdict.OK), 2)
    marks.holds(
        "grpc-timeout after two seconds in the queue",
        f"{told[1]:.3f} s",
        "0.9 s to 1.0 s",
        is_met=0.9 <= told[1] <= 1.0,
    )


def timeout_s(value: bytes) -> float:
    """Return what a `grpc-timeout` says, in seconds. Raises ValueError."""
    found = re.fullmatch(rb"(\d{1,8})([HMSmun])", value)
    if found is None:
        raise ValueError(f"grpc-timeout {value!r}")
    return int(found[1]) * _UNITS_S[found[2]]
