"""The words of the store's interface."""

from __future__ import annotations

from api_gateway.state.store import BreakerRecord, BreakerState


def test_labels_are_those_of_metrics_and_health() -> None:
    assert [state.label for state in BreakerState] == ["closed", "open", "half_open"]


def test_a_new_breaker_is_closed() -> None:
    assert BreakerRecord() == (BreakerState.CLOSED, 0, 0, 0.0, 0.0, 0.0)
