"""The waits between attempts (G56). What a channel makes of them is in `test_channel.py`."""

from __future__ import annotations

import random

import pytest

from api_gateway.grpc.backoff import Backoff


@pytest.fixture(autouse=True)
def without_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: (low + high) / 2)


def test_waits_grow_up_to_their_bound() -> None:
    """G56."""
    backoff = Backoff(max_s=4.0)
    assert [backoff.failed(0.0, 0.0) for _ in range(5)] == pytest.approx([1.0, 1.6, 2.56, 4.0, 4.0])


def test_the_interval_runs_from_the_start_of_the_attempt() -> None:
    """G56: what the attempt took is not waited again, and never is the wait negative."""
    backoff = Backoff()
    assert backoff.failed(10.0, 10.75) == pytest.approx(0.25)
    assert backoff.failed(10.0, 30.0) == 0.0


def test_starting_over() -> None:
    """A success forgets the failures."""
    backoff = Backoff()
    backoff.failed(0.0, 0.0)
    backoff.reset()
    assert backoff.interval_s == 0.0
    assert backoff.failed(0.0, 0.0) == pytest.approx(1.0)


def test_patience_brings_one_more_attempt_before_its_end() -> None:
    """B1: somewhere in the last second of it, and none when hardly anything of it is left."""
    backoff = Backoff()
    assert backoff.failed_with_patience(0.0, 0.0, 4.0) == pytest.approx(1.0)
    assert backoff.failed_with_patience(1.0, 1.0, 4.0) == pytest.approx(1.6)
    assert backoff.failed_with_patience(2.6, 2.6, 4.0) == pytest.approx(0.8)
    assert backoff.failed_with_patience(3.6, 3.6, 4.0) == pytest.approx(4.096)


def test_without_patience_nothing_changes() -> None:
    """G56: the interval alone counts."""
    assert Backoff().failed_with_patience(10.0, 10.0, 0.0) == pytest.approx(1.0)
