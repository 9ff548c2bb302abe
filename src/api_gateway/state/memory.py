"""The store of a gateway with one worker: dictionaries, for nobody shares them. 0.5 us a request; LMDB takes 2 to 5.

Counts of the window that is running and of the one before are kept apart, so a window that ends takes what has expired
along whole. When there is no room for one more client, the least loaded of a few picked by chance makes room and the
newcomer starts with its load (the Space-Saving algorithm, sampled): a count may be too high under a flood of addresses,
never too low, and who asks more than others is not the one forgotten.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from .store import BreakerRecord
from .window import Verdict, judge

if TYPE_CHECKING:
    from .store import MachineStore, Store

_BYTES_PER_CLIENT: Final = 512
"""What one client takes at most, in both windows together; 355 measured with keys of 16 bytes."""
_SAMPLE: Final = 8
"""Clients compared when one must make room."""


class MemoryStore:
    """The state of one worker. Lost when it ends."""

    def __init__(self, *, window_s: float, max_memory_bytes: int) -> None:
        self._window_s = window_s
        self._max_clients = max(_SAMPLE, max_memory_bytes // _BYTES_PER_CLIENT)
        self._number = 0
        """Number of the window that is running."""
        self._current: dict[bytes, list[int]] = {}
        """By key: count of this window, count of the one before."""
        self._previous: dict[bytes, list[int]] = {}
        self._keys: list[bytes] = []
        """The keys of `_current`, to pick from."""
        self._breakers: dict[str, BreakerRecord] = {}
        self._generation = 0

    def hit(self, key: bytes, limit: int, now_s: float) -> Verdict:
        """Count one request of `key` unless it exceeds `limit` per window."""
        number = int(now_s // self._window_s)
        if number > self._number:
            self._begin_window(number)
        counts = self._current.get(key)
        if counts is None:
            counts = self._add(key)
        elapsed_s = max(0.0, now_s - self._number * self._window_s)
        verdict = judge(counts[0], counts[1], elapsed_s, self._window_s, limit)
        if verdict[0] >= 0:
            counts[0] += 1
        return verdict

    @property
    def client_count(self) -> int:
        """Clients counted in the window that is running."""
        return len(self._current)

    def _begin_window(self, number: int) -> None:
        self._previous = self._current if number == self._number + 1 else {}
        self._current = {}
        self._keys = []
        self._number = number

    def _add(self, key: bytes) -> list[int]:
        known = self._previous.get(key)
        counts = [0, known[0] if known is not None else 0]
        if len(self._keys) < self._max_clients:
            self._keys.append(key)
        else:
            place = min(self._sample(), key=self._load)
            load = self._current.pop(self._keys[place])
            counts = [max(counts[0], load[0]), max(counts[1], load[1])]
            self._keys[place] = key
        self._current[key] = counts
        return counts

    def _sample(self) -> list[int]:
        return [random.randrange(len(self._keys)) for _ in range(_SAMPLE)]  # noqa: S311 - chance, not a secret

    def _load(self, place: int) -> int:
        counts = self._current[self._keys[place]]
        return counts[0] + counts[1]

    def read_breaker(self, service: str) -> BreakerRecord:
        """Return a service's record."""
        return self._breakers.get(service, BreakerRecord())

    def update_breaker(
        self, service: str, change: Callable[[BreakerRecord], BreakerRecord]
    ) -> tuple[BreakerRecord, BreakerRecord]:
        """Replace a service's record by `change(record)`; return the old and the new one."""
        before = self.read_breaker(service)
        after = self._breakers[service] = change(before)
        return before, after

    def read_generation(self) -> int:
        """Return the generation number, 0 at first."""
        return self._generation

    def bump_generation(self) -> int:
        """Make the generation number one larger and return it."""
        self._generation += 1
        return self._generation

    def close(self) -> None:
        """Nothing is open."""


if TYPE_CHECKING:
    _guard: type[Store] = MemoryStore
    _machine_guard: type[MachineStore] = MemoryStore
