"""How much CPU something takes, on a machine where others work too."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

ATTEMPTS = 6


def cheapest_cpu_s(action: Callable[[], object], *, enough_s: float) -> float:
    """Return the CPU seconds of the cheapest of several runs; stops at the first that took no more than `enough_s`.

    Other processes can make a run dearer, through the caches and the clock rate they share, but none cheaper. No
    garbage is collected meanwhile: what it costs depends on everything else that the test process holds.
    """
    cheapest_s = float("inf")
    gc.disable()
    try:
        for _ in range(ATTEMPTS):
            started_s = time.process_time()
            action()
            cheapest_s = min(cheapest_s, time.process_time() - started_s)
            if cheapest_s <= enough_s:
                break
    finally:
        gc.enable()
    return cheapest_s
