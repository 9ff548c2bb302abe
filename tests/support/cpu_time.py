"""How much CPU something takes, on a machine where others work too, and on a slower one than ours."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

ATTEMPTS = 12
YARDSTICK_S = 0.0024
"""What `_yardstick` takes on the machine where the bars of the tests were set."""


def cheapest_cpu_s(action: Callable[[], object], *, enough_s: float) -> float:
    """Return the CPU seconds of the cheapest of several runs; stops at the first that took no more than `enough_s`.

    The seconds are those of the machine where the bars were set: where a fixed piece of work, done before and after
    each run, takes longer than it did there, the run counts for less in proportion. For work by the caller's thread
    only. Other processes can make a run dearer, through the caches and the cores they share, but none cheaper. No
    garbage is collected meanwhile: what it costs depends on everything else that the test process holds.
    """
    cheapest_s = float("inf")
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        yardstick_s = cpu_s(_yardstick)
        for _ in range(ATTEMPTS):
            taken_s, before_s, yardstick_s = cpu_s(action), yardstick_s, cpu_s(_yardstick)
            cheapest_s = min(cheapest_s, taken_s / max(1.0, min(before_s, yardstick_s) / YARDSTICK_S))
            if cheapest_s <= enough_s:
                break
    finally:
        if was_collecting:
            gc.enable()
    return cheapest_s


def cpu_s(action: Callable[[], object]) -> float:
    """Return the CPU seconds that this thread needs for something, once."""
    started_s = time.thread_time()
    action()
    return time.thread_time() - started_s


def _yardstick() -> dict[str, int]:
    """Do what the tested code does: look at text, make objects, fill dictionaries."""
    found: dict[str, int] = {}
    for number in range(20_000):
        key = f"k{number % 1_000}"
        found[key] = found.get(key, 0) + len(key)
    return found
