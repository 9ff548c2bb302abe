"""The circuit breaker: when calls stop, and when they start again."""

from __future__ import annotations

import pytest

from api_gateway.model.status import Code
from tests.support.breaker_bench import (
    CLOSED,
    HALF_OPEN,
    OPEN,
    SERVICE,
    SETTINGS,
    T0,
    Listener,
    MemoryStore,
    Worker,
    trip,
)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def worker(store: MemoryStore, listener: Listener) -> Worker:
    return Worker(store, listener)


@pytest.mark.parametrize(
    "code",
    [Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS],
    ids=lambda c: c.name,
)
def test_consecutive_failures_open_it(worker: Worker, listener: Listener, code: Code) -> None:
    """semantics 40: these codes are failures; connection failures end as UNAVAILABLE."""
    for _ in range(SETTINGS.failure_threshold - 1):
        worker.call(code, T0)
    assert worker.state(T0) is CLOSED
    worker.call(code, T0)
    assert worker.state(T0) is OPEN
    assert listener.changes == [("closed", "open")]


@pytest.mark.parametrize(
    "code",
    [
        Code.CANCELLED,
        Code.INVALID_ARGUMENT,
        Code.NOT_FOUND,
        Code.ALREADY_EXISTS,
        Code.PERMISSION_DENIED,
        Code.RESOURCE_EXHAUSTED,
        Code.FAILED_PRECONDITION,
        Code.ABORTED,
        Code.OUT_OF_RANGE,
        Code.UNIMPLEMENTED,
        Code.UNAUTHENTICATED,
        None,
    ],
    ids=str,
)
def test_client_errors_are_neither(worker: Worker, code: Code | None) -> None:
    """semantics 40, B20: they neither open it nor interrupt a row of failures; None: the backend was not called."""
    for _ in range(100):
        worker.call(code, T0)
    assert worker.state(T0) is CLOSED
    worker.call(Code.UNAVAILABLE, T0)
    worker.call(Code.UNAVAILABLE, T0)
    worker.call(code, T0)
    worker.call(Code.UNAVAILABLE, T0)
    assert worker.state(T0) is OPEN


def test_a_success_starts_the_count_anew(worker: Worker) -> None:
    """semantics 40: only failures in a row count."""
    for _ in range(10):
        worker.call(Code.UNAVAILABLE, T0)
        worker.call(Code.UNAVAILABLE, T0)
        worker.call(Code.OK, T0)
    assert worker.state(T0) is CLOSED


def test_open_breaker_refuses_without_calling_upstream(worker: Worker, store: MemoryStore) -> None:
    """semantics 41: 503 at once with Retry-After and reason CIRCUIT_OPEN, without asking the store."""
    trip(worker)
    accesses = store.accesses
    error = worker.refused(T0 + 0.2)
    assert (error.code, error.http, error.reason) == (Code.UNAVAILABLE, 503, "CIRCUIT_OPEN")
    assert error.headers == ((b"retry-after", b"60"),)
    assert error.metadata == {"service": SERVICE}
    assert store.accesses == accesses


@pytest.mark.parametrize(("later_s", "expected"), [(0.0, b"60"), (0.5, b"60"), (30.2, b"30"), (59.9, b"1")])
def test_retry_after_counts_down(worker: Worker, later_s: float, expected: bytes) -> None:
    """semantics 22: Retry-After is when the first trial is let through."""
    trip(worker)
    assert dict(worker.refused(T0 + later_s).headers)[b"retry-after"] == expected


def test_one_trial_after_the_timeout(worker: Worker, listener: Listener) -> None:
    """semantics 41: half-open lets one request through at a time."""
    trip(worker)
    trial = worker.begin(T0 + 60)
    assert worker.state(T0 + 60) is HALF_OPEN
    assert dict(worker.refused(T0 + 60.1).headers)[b"retry-after"] == b"1"
    worker.end(trial, Code.OK, T0 + 60.2)
    assert worker.state(T0 + 60.2) is HALF_OPEN
    worker.call(Code.OK, T0 + 60.3)
    assert worker.state(T0 + 60.3) is CLOSED
    assert listener.changes == [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]


def test_a_failed_trial_opens_it_again(worker: Worker, listener: Listener) -> None:
    """semantics 41: one failure opens it again, for the whole timeout, and successes before it are forgotten."""
    trip(worker)
    worker.call(Code.OK, T0 + 60)
    worker.call(Code.UNAVAILABLE, T0 + 61)
    assert worker.state(T0 + 61) is OPEN
    worker.refused(T0 + 120.9)
    worker.call(Code.OK, T0 + 121)
    assert worker.state(T0 + 121) is HALF_OPEN
    assert listener.changes[-2:] == [("half_open", "open"), ("open", "half_open")]


@pytest.mark.parametrize("code", [None, Code.NOT_FOUND, Code.CANCELLED], ids=str)
def test_an_undecided_trial_frees_its_slot(worker: Worker, code: Code | None) -> None:
    """semantics 40, 41: a trial that never reached the backend, or says nothing about it, lets the next one try."""
    trip(worker)
    worker.call(code, T0 + 60)
    assert worker.state(T0 + 60) is HALF_OPEN
    worker.call(Code.OK, T0 + 60)
    worker.call(Code.OK, T0 + 60)
    assert worker.state(T0 + 60) is CLOSED


def test_results_of_earlier_calls_change_nothing(worker: Worker) -> None:
    """semantics 41: only trials decide while it is open or half-open."""
    slow = [worker.begin(T0) for _ in range(6)]
    trip(worker)
    worker.end(slow[0], Code.OK, T0 + 1)
    worker.end(slow[1], Code.UNAVAILABLE, T0 + 2)
    assert worker.state(T0 + 2) is OPEN
    trial = worker.begin(T0 + 60)
    worker.end(slow[2], Code.OK, T0 + 60)
    worker.end(slow[3], Code.OK, T0 + 60)
    worker.end(slow[4], Code.UNAVAILABLE, T0 + 60)
    worker.end(slow[5], None, T0 + 60)
    assert worker.state(T0 + 60) is HALF_OPEN
    worker.refused(T0 + 60)
    worker.end(trial, Code.UNAVAILABLE, T0 + 61)
    assert worker.state(T0 + 61) is OPEN


def test_flapping_twenty_times(worker: Worker, listener: Listener) -> None:
    """B20: flap 20 times; in each open phase only the trial reaches the backend."""
    now_s = T0
    trip(worker, now_s)
    for _ in range(20):
        now_s += 60
        worker.call(Code.OK, now_s)
        worker.call(Code.UNAVAILABLE, now_s)
        worker.refused(now_s + 1)
    assert listener.changes[1:] == [("open", "half_open"), ("half_open", "open")] * 20


def test_a_healthy_service_costs_no_access_to_the_store(worker: Worker, store: MemoryStore) -> None:
    """semantics 41: while all goes well only the copy's refresh, four times a second, asks the store."""
    for step in range(1000):
        worker.call(Code.OK, T0 + step * 0.001)
    assert store.accesses == 4
