"""One timer for many deadlines.

A timer for each call costs 2.6 us (`call_later` and its cancellation). Here a deadline is an entry in a set, one set
for every 10 ms, and the loop holds one timer, for the earliest set: 0.3 us to add and to discard.
"""

from __future__ import annotations

import asyncio
import heapq
from typing import Final, Protocol

TICK_S: Final = 0.01
"""Deadlines are kept to this much, always late, never early."""


class Expiring(Protocol):
    """Something with a deadline. Must be hashable by identity."""

    def expire(self, now_s: float) -> None:
        """The deadline has passed. May add itself again."""


class DeadlineWheel:
    """Deadlines on the loop's clock."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, set[Expiring]] = {}
        self._order: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._armed_slot = 0

    def __len__(self) -> int:
        """Return how many deadlines are waiting."""
        return sum(len(entries) for entries in self._slots.values())

    def add(self, deadline_s: float, entry: Expiring) -> int:
        """Call `entry.expire` at `deadline_s` or up to one tick later; return the slot that `discard` wants."""
        slot = int(deadline_s / TICK_S) + 1
        entries = self._slots.get(slot)
        if entries is None:
            self._slots[slot] = {entry}
            heapq.heappush(self._order, slot)
            if self._timer is None or slot < self._armed_slot:
                self._arm()
        else:
            entries.add(entry)
        return slot

    def discard(self, slot: int, entry: Expiring) -> None:
        """Forget a deadline. Nothing happens when it has passed or was never there."""
        entries = self._slots.get(slot)
        if entries is not None:
            entries.discard(entry)

    def close(self) -> None:
        """Forget all deadlines and the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._slots.clear()
        self._order.clear()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_slot = self._order[0]
        self._timer = self._loop.call_at(self._armed_slot * TICK_S, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now_s = self._loop.time()
        # The timer may come early by the clock's resolution, and counts as on time. No slot beyond it does: an entry
        # that is called before its deadline adds itself to the same slot again, and this would never end.
        current = max(self._armed_slot, int(now_s / TICK_S))
        now_s = max(now_s, current * TICK_S)
        while self._order and self._order[0] <= current:
            for entry in self._slots.pop(heapq.heappop(self._order)):
                entry.expire(now_s)
        while self._order and not self._slots[self._order[0]]:
            del self._slots[heapq.heappop(self._order)]
        if self._order and not self._is_armed():
            self._arm()

    def _is_armed(self) -> bool:
        # A question of its own: within `_tick` a compiler believes that the timer is still the None of its first line.
        return self._timer is not None
