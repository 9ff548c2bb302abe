"""The store of a worker that could not open its machine's: it answers nothing; who asks acts by its own rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from .store import BreakerRecord, StoreError

if TYPE_CHECKING:
    from .store import MachineStore, Store


class UnavailableStore:
    """Every call but `close` fails. Limits then go by `on_store_error`, breakers by what a worker knows."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def hit(self, key: bytes, limit: int, now_s: float) -> NoReturn:
        """Raise StoreError."""
        raise StoreError(self._reason)

    def read_breaker(self, service: str) -> NoReturn:
        """Raise StoreError."""
        raise StoreError(self._reason)

    def update_breaker(self, service: str, change: Callable[[BreakerRecord], BreakerRecord]) -> NoReturn:
        """Raise StoreError."""
        raise StoreError(self._reason)

    def read_generation(self) -> NoReturn:
        """Raise StoreError."""
        raise StoreError(self._reason)

    def bump_generation(self) -> NoReturn:
        """Raise StoreError."""
        raise StoreError(self._reason)

    def close(self) -> None:
        """Nothing is open."""


if TYPE_CHECKING:
    _guard: type[Store] = UnavailableStore
    _machine_guard: type[MachineStore] = UnavailableStore
