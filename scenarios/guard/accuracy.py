"""How exactly limits are kept: at ten times the limit, at the edge of a window, over many processes (R1)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from itertools import repeat
from typing import Any, Final

from scenarios.guard.flood import Answers, flood, request, steady
from scenarios.guard.stage import Stage, limit, wait_for_phase
from tests.support.gateway import RunningGateway
from tests.support.redis_server import RedisServer

LIMIT: Final = 100
WINDOW_S: Final = 1
SECONDS: Final = 30
ITEM: Final = request("/api/items/7")
TOLERANCE: Final = 0.01
EDGE_WINDOWS_S: Final = (4, 4, 4, 8, 16, 32, 64)
"""A burst that a busy machine carries over the edge of a window says nothing about it: then a longer one is tried."""


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
        wait_for_phase(WINDOW_S, 0.005, clock)
        answers = steady(gateway.port, repeat(ITEM), rate_per_s=10 * LIMIT, seconds=seconds, connections=16)
    marks, statuses = stage.marks, answers.statuses
    allowed, asked = statuses[200], statuses.total()
    marks.at_least("requests", asked, 9 * LIMIT * seconds)
    fewest, most = exact_range(answers, LIMIT, WINDOW_S, clock() - time.monotonic())
    least, most = fewest * (1 - TOLERANCE), most * (1 + TOLERANCE)
    marks.holds("allowed", allowed, f"{least:.0f} to {most:.0f}", is_met=least <= allowed <= most)
    marks.equals("neither 200 nor 429", asked - allowed - statuses[429] + answers.lost, 0)
    # Times are those at which the client had its answers, which a busy machine may bunch a little.
    marks.at_most("most allowed within any second", answers.most_within(WINDOW_S, 200), LIMIT * 1.1)


def exact_range(answers: Answers, limit: int, window_s: float, ahead_s: float) -> tuple[float, float]:
    """Return the fewest and the most requests that an exact limit passes of those that were sent and answered then.

    `ahead_s`: how far the clock by which windows are counted is ahead of the monotonic one. With a load that is steady
    and far above the limit both are the limit for each window: the first is spent at once, each later one evenly. Where
    a busy machine held the load up, the two tell how much was certainly asked for in a window, and how much could be.
    """
    spans = sorted(
        ((done_s - took_s + ahead_s) / window_s, (done_s + ahead_s) / window_s) for done_s, took_s, _ in answers.times
    )
    first, end = math.floor(spans[0][0]), max(done for _, done in spans)
    last = math.floor(end)
    # No window passes more than the limit; the last one, after a full one, no more than its share so far.
    most = limit * max(1.0, end - first)
    fewest = 0.0
    for window in range(first, last + 1):
        sent = [start for start, done in spans if start >= window and done <= min(end, window + 1)]
        # If all passed, so many; if one was refused, there was no room then, and all that were sent later passed.
        room = 1.0 if window == first else 0.0
        refused_at = [limit * max(room, start - window) + len(sent) - 1 - number for number, start in enumerate(sent)]
        fewest += min([float(len(sent)), *refused_at])
    return fewest, most


def at_the_edge(stage: Stage) -> None:
    """Semantics 39: ten times the limit in the last tenth of a window, and again in the first tenth of the next."""
    before = after = Answers()
    for window_s in EDGE_WINDOWS_S:
        with stage.gateway(workers=4, rate_limit=limit(LIMIT, window_s)) as gateway:
            wait_for_phase(window_s, 0.9)
            before = _burst(gateway)
            wait_for_phase(window_s, 0.01)
            after = _burst(gateway)
        if _are_around_an_edge(before, after, window_s):
            break
    stage.marks.equals("allowed in the last tenth of a window", before.statuses[200], LIMIT)
    stage.marks.at_most("allowed in the first tenth of the next", after.statuses[200], LIMIT // 5)


def _burst(gateway: RunningGateway) -> Answers:
    # From another address than the stage itself, which has asked already.
    return flood(gateway.port, repeat(ITEM, 10 * LIMIT), source="127.0.0.2")


def _are_around_an_edge(before: Answers, after: Answers, window_s: float) -> bool:
    """Whether the machine was quick enough: one burst was over when the window ended, the other soon after."""
    edge_s = math.ceil(min(done_s for done_s, _, _ in before.times) / window_s) * window_s
    started_s = min(done_s - took_s for done_s, took_s, _ in before.times)
    return (
        edge_s - window_s < started_s
        and max(done_s for done_s, _, _ in before.times) < edge_s
        and max(done_s for done_s, _, _ in after.times) < edge_s + window_s / 5
    )
