"""The interface of the shared state: limiter windows, breaker records, and the generation number. No implementation.

A store that answers at once returns the value itself; one that must ask over the network returns an awaitable of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import NamedTuple, Protocol

from .window import Verdict


class StoreError(Exception):
    """The store could not answer: unreachable, out of space, or closed. What that means is the caller's decision."""


class BreakerState(IntEnum):
    """Where a circuit breaker stands."""

    CLOSED = 0
    OPEN = 1
    HALF_OPEN = 2

    @property
    def label(self) -> str:
        """Its name in metrics, logs and `/health`: `closed`, `open`, `half_open`."""
        return self.name.lower()


class BreakerRecord(NamedTuple):
    """One service's breaker as all workers see it. Times are monotonic seconds of this machine."""

    state: BreakerState = BreakerState.CLOSED
    failures: int = 0
    """Consecutive failures while closed."""
    successes: int = 0
    """Consecutive successful trials while half-open."""
    opened_s: float = 0.0
    """When it opened last."""
    trial_until_s: float = 0.0
    """Until when the trial under way holds its slot; 0 when no trial is under way."""
    lost_s: float = 0.0
    """When the last failure was counted that was a lost connection, 0 when none was."""


class WindowStore(Protocol):
    """Counts requests per key in sliding windows."""

    def hit(self, key: bytes, limit: int, now_s: float) -> Verdict | Awaitable[Verdict]:
        """Count one request of `key` unless it exceeds `limit` per window, in one atomic step.

        Returns the verdict or an awaitable of it. `now_s` is monotonic; stores with a clock of their own ignore it.
        Raises StoreError, at once or when awaited.
        """


class BreakerStore(Protocol):
    """Keeps one breaker record a service."""

    def read_breaker(self, service: str) -> BreakerRecord:
        """Return the record, a closed one when there is none yet. Raises StoreError."""

    def update_breaker(
        self, service: str, change: Callable[[BreakerRecord], BreakerRecord]
    ) -> tuple[BreakerRecord, BreakerRecord]:
        """Replace the record by `change(record)` while no other process can, and return the old and the new one.

        `change` must be quick and pure: every other process waits for it. Raises StoreError.
        """


class GenerationStore(Protocol):
    """One number that grows whenever every worker should refresh its route table."""

    def read_generation(self) -> int | Awaitable[int]:
        """Return the number, or an awaitable of it. Raises StoreError."""

    def bump_generation(self) -> int | Awaitable[int]:
        """Make the number larger and return it, or an awaitable of it. Raises StoreError."""


class Store(WindowStore, BreakerStore, GenerationStore, Protocol):
    """Everything that is shared. One object per worker, made after the fork."""

    def close(self) -> Awaitable[None] | None:
        """Let go of files and connections. What is stored stays for the other processes."""


class MachineStore(BreakerStore, Protocol):
    """What the workers of one machine share. Everything is answered at once."""

    def hit(self, key: bytes, limit: int, now_s: float) -> Verdict:
        """See `WindowStore.hit`."""

    def read_generation(self) -> int:
        """See `GenerationStore.read_generation`."""

    def bump_generation(self) -> int:
        """See `GenerationStore.bump_generation`."""

    def close(self) -> None:
        """Let go of files. What is stored stays for the other processes."""
