"""What tests of the circuit breaker start from."""

from __future__ import annotations

import pytest

from tests.support.breaker_bench import Listener


@pytest.fixture
def listener() -> Listener:
    """Hears of every change."""
    return Listener()
