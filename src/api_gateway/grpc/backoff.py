"""How long to wait before the next attempt at something that failed (grpc doc/connection-backoff.md)."""

from __future__ import annotations

import random
from typing import Final

INITIAL_BACKOFF_S: Final = 1.0
BACKOFF_FACTOR: Final = 1.6
MAX_BACKOFF_S: Final = 120.0
BACKOFF_JITTER: Final = 0.2
"""The four numbers of the document."""
LAST_CHANCE_S: Final = 0.5
"""Patience that is shorter is not worth another attempt."""
"""The four numbers of the document."""


class Backoff:
    """The waits between attempts: 1 s, times 1.6 after each failure, at most `max_s`, each +-20 %."""

    __slots__ = ("_max_s", "interval_s")

    def __init__(self, max_s: float = MAX_BACKOFF_S) -> None:
        self._max_s = max_s
        self.interval_s = 0.0
        """The current wait without its jitter; 0 when nothing failed since the last success."""

    def failed(self, started_s: float, now_s: float) -> float:
        """Return the wait from `now_s` on after an attempt that began at `started_s`, from where the interval runs."""
        self.interval_s = min(self.interval_s * BACKOFF_FACTOR or INITIAL_BACKOFF_S, self._max_s)
        jittered_s = self.interval_s * random.uniform(1 - BACKOFF_JITTER, 1 + BACKOFF_JITTER)  # noqa: S311 - not a secret
        return max(0.0, started_s + jittered_s - now_s)

    def failed_with_patience(self, started_s: float, now_s: float, until_s: float) -> float:
        """Like `failed`, but while there is patience `until_s` the last attempt comes before that, at no fixed time."""
        wait_s = self.failed(started_s, now_s)
        left_s = until_s - now_s
        if left_s <= LAST_CHANCE_S or wait_s < left_s:
            return wait_s
        return max(LAST_CHANCE_S / 2, left_s - random.uniform(0.1, 1.1))  # noqa: S311 - not a secret

    def reset(self) -> None:
        """Start over."""
        self.interval_s = 0.0
