"""How promptly something happens, on a machine where others work too.

A busy machine makes what we wait for late; it makes nothing early. What is late by itself, because it polls, waits
for a timer or for something else to end, is late every time. So the quickest of several attempts tells how prompt it
is, and the first that was prompt enough settles it. That each attempt ends at all is for the attempt to see to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

ATTEMPTS = 20


def quickest_s(attempt: Callable[[], float], *, enough_s: float) -> float:
    """Return the seconds of the quickest attempt; stops at the first that took no more than `enough_s`.

    An attempt does everything anew and returns what it measured.
    """
    best_s = float("inf")
    for _ in range(ATTEMPTS):
        best_s = min(best_s, attempt())
        if best_s <= enough_s:
            break
    return best_s


async def quickest_async_s(attempt: Callable[[], Awaitable[float]], *, enough_s: float) -> float:
    """Do the same with attempts that wait."""
    best_s = float("inf")
    for _ in range(ATTEMPTS):
        best_s = min(best_s, await attempt())
        if best_s <= enough_s:
            break
    return best_s
