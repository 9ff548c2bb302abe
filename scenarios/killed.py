"""Backends that die (B1)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Final

from scenarios.backends import echo_backend, kill
from scenarios.load import LoadShape, steady
from scenarios.oracle import PLAIN
from scenarios.stage import Stage
from tests.support.gateway import serving

AWAY_S: Final = 3.0
"""How long the backend of B1 is away."""
QUICK: Final = {"max_backoff_ms": 1_000, "circuit_breaker": {"timeout_seconds": 1}}
"""Two seconds after its return a backend must be used again. By default the breaker alone stays open for sixty."""
BACK_S: Final = 2.0
"""Errors may last this long after its return."""


async def killed_and_restarted(stage: Stage) -> None:
    """B1: kill -9 the only backend under load, start it again after three seconds."""
    run_s = stage.seconds(30, at_least_s=8)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(echo_backend(stage))
        gateway = await stack.enter_async_context(stage.gateway(serving(first.endpoint, service=QUICK)))
        loop = asyncio.get_running_loop()
        async with steady(gateway.port, LoadShape(rate_per_s=300, template=PLAIN)) as load:
            await asyncio.sleep(run_s / 3)
            attempts_before = len(gateway.events("connection failed"))
            killed_s = await kill(first)
            await asyncio.sleep(AWAY_S)
            await stack.enter_async_context(echo_backend(stage, first.port))
            back_s = loop.time()
            attempts = len(gateway.events("connection failed")) - attempts_before
            await asyncio.sleep(max(BACK_S + 1, killed_s + run_s * 2 / 3 - loop.time()))
    tally = load.tally
    stage.judge(tally)
    outside = [
        each.due_s + each.took_s for each in tally.errors if not killed_s <= each.due_s + each.took_s <= back_s + BACK_S
    ]
    marks = stage.marks
    marks.note("backend away", f"{back_s - killed_s:.1f} s")
    marks.equals("errors other than 503", sum(tally.statuses.values()) - tally.statuses[503], 0)
    marks.equals("errors before the kill, or more than 2 s after the return", len(outside), 0)
    marks.at_most("failed attempts to connect, per worker", attempts / 2, 4)
    marks.equals("executed more than once", sum(count > 1 for count in stage.executions().values()), 0)
