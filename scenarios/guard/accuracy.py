"""How exactly limits are kept: at ten times the limit, at the edge of a window, over many processes (R1)."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import repeat
from typing import Any, Final

from scenarios.guard.flood import flood, request, steady
from scenarios.guard.stage import Stage, limit, wait_for_phase
from tests.support.gateway import RunningGateway
from tests.support.redis_server import RedisServer

LIMIT: Final = 100
WINDOW_S: Final = 1
SECONDS: Final = 30
ITEM: Final = request("/api/items/7")
TOLERANCE: Final = 0.01


def two_workers(stage: Stage) -> None:
    """R1: limit 100 a second, 1,000 requests a second for 30 s, two workers."""
    _hold_the_rate(stage, workers=2)


def four_workers(stage: Stage) -> None:
    """R1: the same with four workers."""
    _hold_the_rate(stage, workers=4)


def with_redis(stage: Stage) -> None:
    """R1: the same with the counts in Redis."""
    with RedisServer(stage.folder) as redis:
        _hold_the_rate(stage, workers=2, clock=time.time, state={"redis_url": redis.url, "timeout_ms": 1_000})


def _hold_the_rate(stage: Stage, *, workers: int, clock: Callable[[], float] = time.monotonic, **sections: Any) -> None:
    seconds = stage.number(SECONDS, at_least=3)
    with stage.gateway(workers=workers, rate_limit=limit(LIMIT, WINDOW_S), **sections) as gateway:
        # The first window is spent at once, each later one evenly: so many pass if the load begins with a window.
        expected = LIMIT * seconds
        wait_for_phase(WINDOW_S, 0.005, clock)
        answers = steady(gateway.port, repeat(ITEM), rate_per_s=10 * LIMIT, seconds=seconds, connections=16)
    marks, statuses = stage.marks, answers.statuses
    allowed, asked = statuses[200], statuses.total()
    marks.at_least("requests", asked, 9 * LIMIT * seconds)
    least, most = expected * (1 - TOLERANCE), expected * (1 + TOLERANCE)
    marks.holds("allowed", allowed, f"{least:.0f} to {most:.0f}", is_met=least <= allowed <= most)
    marks.equals("neither 200 nor 429", asked - allowed - statuses[429] + answers.lost, 0)
    # Times are those at which the client had its answers, which a busy machine may bunch a little.
    marks.at_most("most allowed within any second", answers.most_within(WINDOW_S, 200), LIMIT * 1.1)


def at_the_edge(stage: Stage) -> None:
    """Semantics 39: ten times the limit in the last tenth of a window, and again in the first tenth of the next."""
    window_s = 4
    with stage.gateway(workers=4, rate_limit=limit(LIMIT, window_s)) as gateway:
        wait_for_phase(window_s, 0.9)
        before = _burst(gateway)
        wait_for_phase(window_s, 0.01)
        after = _burst(gateway)
    stage.marks.equals("allowed in the last tenth of a window", before, LIMIT)
    stage.marks.at_most("allowed in the first tenth of the next", after, LIMIT // 5)


def _burst(gateway: RunningGateway) -> int:
    # From another address than the stage itself, which has asked before.
    return flood(gateway.port, repeat(ITEM, 10 * LIMIT), source="127.0.0.2").statuses[200]
