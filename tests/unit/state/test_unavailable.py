"""The store that is none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from api_gateway.state.store import StoreError
from api_gateway.state.unavailable import UnavailableStore


def test_every_call_says_why() -> None:
    store = UnavailableStore("the file is damaged")
    calls: tuple[Callable[[], object], ...] = (
        lambda: store.hit(b"k", 1, 0.0),
        lambda: store.read_breaker("a"),
        lambda: store.update_breaker("a", lambda record: record),
        store.read_generation,
        store.bump_generation,
    )
    for call in calls:
        with pytest.raises(StoreError, match="the file is damaged"):
            call()
    store.close()
