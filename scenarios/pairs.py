"""Two backends of one service, of which one is killed (B2, B3)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from scenarios.backends import echo_backend, kill
from scenarios.load import Load, LoadShape, steady
from scenarios.oracle import Question, Verdict
from scenarios.stage import Stage

RATE_PER_S: Final = 300.0
SLEEP_MS: Final = 20
"""How long each call takes, so that some are under way when a backend dies."""
TAKES_OVER_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A load during which a backend died."""

    load: Load
    killed_s: float

    @property
    def last_error_s(self) -> float:
        """How long after the kill the last error came; 0 without errors."""
        ends = [each.due_s + each.took_s for each in self.load.tally.errors]
        return max((end - self.killed_s for end in ends), default=0.0)


async def idempotent(stage: Stage) -> None:
    """B2: GET, which may be tried again once."""
    run = await _kill_one(stage, is_idempotent=True)
    tally = run.load.tally
    stage.judge(tally)
    marks = stage.marks
    marks.at_least("right answers", tally.count(Verdict.OK) / tally.asked * 100, 99.9, " %")
    marks.equals("errors other than 503", tally.count(Verdict.ERROR) - tally.statuses[503], 0)
    marks.at_most("the survivor serves all after", run.last_error_s, TAKES_OVER_S, " s")
    _mark_executions(stage, run, most=2)


async def not_idempotent(stage: Stage) -> None:
    """B3: POST, which must never be tried again when the backend may have seen it."""
    run = await _kill_one(stage, is_idempotent=False)
    tally = run.load.tally
    stage.judge(tally)
    marks = stage.marks
    _mark_executions(stage, run, most=1)
    not_lost = tally.count(Verdict.ERROR) - tally.reasons["UPSTREAM_CONNECTION_LOST"]
    marks.equals("errors that are not calls on the dead connection", not_lost, 0)
    begun_later = sum(each.due_s > run.killed_s + 0.05 for each in tally.errors)
    marks.equals("errors of requests sent after the kill", begun_later, 0)
    marks.at_most("the survivor serves all after", run.last_error_s, TAKES_OVER_S, " s")


async def _kill_one(stage: Stage, *, is_idempotent: bool) -> Run:
    """Kill one of two backends after a third of the run."""
    seconds = stage.seconds(30, at_least_s=6)
    template = Question(id="", seed=0, sleep_ms=SLEEP_MS, is_idempotent=is_idempotent)
    async with AsyncExitStack() as stack:
        doomed = await stack.enter_async_context(echo_backend(stage))
        survivor = await stack.enter_async_context(echo_backend(stage))
        config = {"services": {"echo": {"endpoint": [doomed.endpoint, survivor.endpoint]}}}
        gateway = await stack.enter_async_context(stage.gateway(config))
        async with steady(gateway.port, LoadShape(rate_per_s=RATE_PER_S, template=template)) as load:
            await asyncio.sleep(seconds / 3)
            killed_s = await kill(doomed)
            await asyncio.sleep(seconds * 2 / 3)
    return Run(load=load, killed_s=killed_s)


def _mark_executions(stage: Stage, run: Run, *, most: int) -> None:
    executions = stage.executions()
    stage.marks.at_most("executions of one request", max(executions[each] for each in run.load.ids), most)
    twice = sum(executions[each] > 1 for each in run.load.ids)
    stage.marks.note("requests executed twice", twice)
