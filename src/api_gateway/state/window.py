"""The arithmetic of the sliding window counter, free of storage and clocks.

The load of a key is the count of the current window plus the previous window's count, weighted by the share of the
previous window that still lies within one window's length of now, rounded to whole requests (a half down). A request
passes while the load with it stays within the limit; refused requests are not counted.

Rounded, because requests are whole: by the exact share the last request of a window under constant pressure would have
room only when nothing is left of the previous window, which is in the next one; so limit - 1 would pass per window, and
every other one with a limit of 1. Rounded down altogether, one request would be free again at once when a window ends.
"""

from __future__ import annotations

from typing import Final

Verdict = tuple[int, float]
"""What a store answers: requests still allowed now (-1: this one is refused), and seconds.

Seconds until the current window ends for a request that passed; seconds until one request would pass for a refused one.
A plain tuple, because it is made once a request (20 ns, a named one takes 180 ns).
"""


ROUNDED_UP_ABOVE: Final = 0.5
"""A larger fraction of a request in the share takes the room of a whole one; this one and less takes none."""


def judge(current: int, previous: int, elapsed_s: float, window_s: float, limit: int) -> Verdict:
    """Decide about one more request, given the counts before it and the seconds since the current window began."""
    left_s = window_s - elapsed_s
    remaining = limit - ROUNDED_UP_ABOVE - current - previous * left_s / window_s
    if remaining >= 0:
        return int(remaining), left_s
    return -1, wait_s(current, previous, elapsed_s, window_s, limit)


def wait_s(current: int, previous: int, elapsed_s: float, window_s: float, limit: int) -> float:
    """Return the seconds until one request would pass, if none is counted meanwhile."""
    room = limit - ROUNDED_UP_ABOVE - current
    if room >= 0:
        return max(0.0, window_s - elapsed_s - window_s * room / previous)
    # The current window alone is full: it must first become the previous one, and then fade to room for one more.
    return window_s - elapsed_s + window_s * (1 - (limit - ROUNDED_UP_ABOVE) / current)


def scale_limit(requests_per_minute: int, window_s: float) -> int:
    """Return the requests allowed per window: rounded up, so that a short window never forbids everything."""
    return min(max(1, -int(-requests_per_minute * window_s // 60)), MAX_COUNT)


MAX_COUNT = 0xFFFF_FFFF
"""Largest count a store keeps: 32 bits."""
