"""The circuit breaker: when calls stop, when they start again, and what several workers make of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.config.settings import CircuitBreakerSettings
from api_gateway.grpc.failures import connection_lost
from api_gateway.model.errors import GatewayError
from api_gateway.model.exchange import Exchange
from api_gateway.model.message import Request
from api_gateway.model.policy import Policy
from api_gateway.model.status import Code
from api_gateway.policy.breaker import Breaker
from api_gateway.state.local import LocalStore, LocalStoreFile
from api_gateway.state.store import BreakerRecord, BreakerState, BreakerStore, StoreError

SERVICE = "user-service"
SETTINGS = CircuitBreakerSettings(failure_threshold=3, success_threshold=2, timeout_seconds=60)
TIMEOUT_S = 5.0
T0 = 1000.0
CLOSED, OPEN, HALF_OPEN = BreakerState


class Listener:
    """Writes down what it heard."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, str]] = []
        self.failures = 0

    def breaker_changed(self, service: str, old: BreakerState, new: BreakerState) -> None:
        assert service == SERVICE
        self.changes.append((old.label, new.label))

    def breaker_store_failed(self, service: str, reason: str) -> None:
        self.failures += 1


class MemoryStore:
    """One record in memory, which counts how often it is asked and can be switched off."""

    def __init__(self) -> None:
        self.record = BreakerRecord()
        self.accesses = 0
        self.is_broken = False

    def read_breaker(self, service: str) -> BreakerRecord:
        self._access()
        return self.record

    def update_breaker(
        self, service: str, change: Callable[[BreakerRecord], BreakerRecord]
    ) -> tuple[BreakerRecord, BreakerRecord]:
        self._access()
        before, self.record = self.record, change(self.record)
        return before, self.record

    def _access(self) -> None:
        self.accesses += 1
        if self.is_broken:
            raise StoreError("out of order")


class Worker:
    """One worker's breaker, driven with plain numbers for time."""

    def __init__(self, store: BreakerStore, listener: Listener) -> None:
        self.breaker = Breaker(SERVICE, SETTINGS, store, listener)
        self.policy: Policy = self.breaker.bind(TIMEOUT_S)

    def state(self, now_s: float) -> BreakerState:
        return self.breaker.record(now_s).state

    def begin(self, now_s: float, timeout_s: float = TIMEOUT_S) -> Exchange:
        request = Request(
            method="GET", path="/", query="", headers={}, repeated=frozenset(), body=None, peer="", started_s=now_s
        )
        exchange = Exchange(request)
        exchange.deadline_s = now_s + timeout_s
        self.policy.admit(exchange, now_s)
        return exchange

    def lose(self, exchange: Exchange, now_s: float) -> None:
        """End a call as the end of its connection does."""
        exchange.error_reason = connection_lost(SERVICE, "closed by the peer").reason
        self.end(exchange, Code.UNAVAILABLE, now_s)

    def end(self, exchange: Exchange, code: int | None, now_s: float) -> None:
        exchange.grpc_code = code
        self.policy.settle(exchange, now_s)

    def call(self, code: int | None, now_s: float) -> None:
        self.end(self.begin(now_s), code, now_s)

    def refused(self, now_s: float) -> GatewayError:
        with pytest.raises(GatewayError) as caught:
            self.begin(now_s)
        return caught.value


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def worker(store: MemoryStore, listener: Listener) -> Worker:
    return Worker(store, listener)


def trip(worker: Worker, now_s: float = T0) -> None:
    for _ in range(SETTINGS.failure_threshold):
        worker.call(Code.UNAVAILABLE, now_s)


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


class TestLostConnections:
    """semantics 40: calls cut short by the end of their connections are one failure together."""

    def test_a_restart_does_not_open_it(self, worker: Worker) -> None:
        cut = [worker.begin(T0) for _ in range(100)]
        for number, exchange in enumerate(cut):
            worker.lose(exchange, T0 + number * 0.009)
        assert worker.state(T0 + 1) is CLOSED
        assert worker.breaker.record(T0 + 1).failures == 1

    def test_a_restart_that_all_workers_see_is_one_failure(self, tmp_path: Path, listener: Listener) -> None:
        shared = LocalStoreFile(tmp_path, max_memory_bytes=1024 * 1024).open(window_s=60.0)
        workers = [Worker(shared, listener) for _ in range(8)]
        for worker in workers:
            worker.lose(worker.begin(T0), T0 + 0.1)
        assert {worker.state(T0 + 1) for worker in workers} == {CLOSED}

    def test_losing_one_connection_after_another_opens_it(self, worker: Worker) -> None:
        for second in range(SETTINGS.failure_threshold):
            assert worker.state(T0 + second) is CLOSED
            worker.lose(worker.begin(T0 + second), T0 + second)
        assert worker.state(T0 + 3) is OPEN

    def test_other_failures_beside_it_count_one_by_one(self, worker: Worker) -> None:
        worker.lose(worker.begin(T0), T0)
        worker.lose(worker.begin(T0), T0)
        worker.call(Code.UNAVAILABLE, T0)
        worker.call(Code.UNAVAILABLE, T0)
        assert worker.state(T0) is OPEN

    def test_a_trial_that_loses_its_connection_has_failed(self, worker: Worker) -> None:
        trip(worker)
        worker.lose(worker.begin(T0 + 60), T0 + 60)
        assert worker.state(T0 + 60) is OPEN


class TestHurriedClients:
    """B20: no client can open the breaker by leaving the backend no time."""

    def test_a_short_timeout_of_the_client_is_no_failure(self, worker: Worker) -> None:
        for _ in range(10):
            worker.end(worker.begin(T0, timeout_s=0.001), Code.DEADLINE_EXCEEDED, T0 + 0.001)
        assert worker.state(T0) is CLOSED

    def test_a_slow_body_is_no_failure(self, worker: Worker) -> None:
        for _ in range(10):
            exchange = worker.begin(T0)
            exchange.called_s = T0 + 4.9
            worker.end(exchange, Code.DEADLINE_EXCEEDED, T0 + 5)
        assert worker.state(T0) is CLOSED

    def test_other_failures_count_however_short_the_time(self, worker: Worker) -> None:
        for _ in range(3):
            worker.end(worker.begin(T0, timeout_s=0.001), Code.UNAVAILABLE, T0)
        assert worker.state(T0) is OPEN

    def test_enough_time_is_a_failure(self, worker: Worker) -> None:
        for _ in range(3):
            exchange = worker.begin(T0)
            exchange.called_s = T0 + 0.5
            worker.end(exchange, Code.DEADLINE_EXCEEDED, T0 + 5)
        assert worker.state(T0) is OPEN

    def test_a_hurried_trial_frees_its_slot(self, worker: Worker) -> None:
        trip(worker)
        worker.end(worker.begin(T0 + 60, timeout_s=0.001), Code.DEADLINE_EXCEEDED, T0 + 60.001)
        assert worker.state(T0 + 60.001) is HALF_OPEN
        worker.begin(T0 + 60.002)


class TestWorkers:
    """semantics 41: several workers, one breaker, over the real store."""

    @pytest.fixture
    def shared(self, tmp_path: Path) -> LocalStore:
        return LocalStoreFile(tmp_path, max_memory_bytes=1024 * 1024).open(window_s=60.0)

    @pytest.fixture
    def workers(self, shared: LocalStore, listener: Listener) -> list[Worker]:
        return [Worker(shared, listener) for _ in range(3)]

    def test_all_see_the_same_state_within_a_second(self, workers: list[Worker], listener: Listener) -> None:
        for worker in workers:
            worker.call(Code.OK, T0)
        trip(workers[0], T0)
        for worker in workers:
            worker.refused(T0 + 0.99)
        assert listener.changes == [("closed", "open")]
        trial = workers[0].begin(T0 + 60)
        assert workers[1].state(T0 + 60.05) is HALF_OPEN
        workers[0].end(trial, Code.UNAVAILABLE, T0 + 60.1)
        workers[1].refused(T0 + 60.2)  # its copy is out of date; the store decides

    def test_failures_of_all_workers_add_up(self, workers: list[Worker]) -> None:
        for worker in workers:
            worker.call(Code.UNAVAILABLE, T0)
        assert workers[0].state(T0 + 1) is OPEN

    def test_a_success_elsewhere_starts_the_count_anew(self, workers: list[Worker]) -> None:
        workers[0].call(Code.UNAVAILABLE, T0)
        workers[0].call(Code.UNAVAILABLE, T0)
        workers[1].call(Code.OK, T0 + 0.3)
        workers[2].call(Code.UNAVAILABLE, T0 + 0.4)
        assert workers[0].state(T0 + 1) is CLOSED

    def test_one_trial_at_a_time_over_all_workers(self, workers: list[Worker]) -> None:
        trip(workers[0])
        trial = workers[1].begin(T0 + 60)
        workers[0].refused(T0 + 60)
        workers[2].refused(T0 + 60)
        workers[1].end(trial, Code.OK, T0 + 60.1)
        trial = workers[2].begin(T0 + 60.1)
        workers[1].refused(T0 + 60.1)
        workers[2].end(trial, Code.OK, T0 + 60.2)
        for worker in workers:
            assert worker.state(T0 + 61.2) is CLOSED

    def test_a_killed_worker_cannot_hold_the_trial_for_ever(self, workers: list[Worker]) -> None:
        """D6: its slot is free one second after the trial's deadline."""
        trip(workers[0])
        workers[1].begin(T0 + 60)
        workers[0].refused(T0 + 60 + TIMEOUT_S + 0.9)
        workers[0].begin(T0 + 60 + TIMEOUT_S + 1.0)

    def test_a_trial_that_lost_its_slot_decides_nothing(self, workers: list[Worker]) -> None:
        trip(workers[0])
        late = workers[1].begin(T0 + 60)
        workers[2].begin(T0 + 70)
        for code in (Code.OK, Code.UNAVAILABLE, None):
            workers[1].breaker._trial = late  # the same late result, once for each outcome
            workers[1].end(late, code, T0 + 70.1)
            assert workers[0].state(T0 + 71) is HALF_OPEN
            workers[0].refused(T0 + 71)


def test_store_out_of_order_leaves_a_breaker_per_worker(worker: Worker, store: MemoryStore, listener: Listener) -> None:
    """semantics 39, 41: without the store each worker goes on with what it knows."""
    store.is_broken = True
    trip(worker)
    assert worker.state(T0) is OPEN
    worker.refused(T0 + 1)
    worker.call(Code.OK, T0 + 60)
    worker.call(Code.OK, T0 + 60)
    assert worker.state(T0 + 60) is CLOSED
    assert listener.failures > 0
    assert listener.changes == [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]


Step = tuple[int, float, int | None]


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0, 30), st.sampled_from([0, 5, 14, None])), max_size=120))
def test_whatever_happens_there_is_one_trial_and_no_call_while_open(steps: list[Step]) -> None:
    """semantics 41: three workers, any order of calls that overlap, any outcome."""
    store, listener, now_s = MemoryStore(), Listener(), T0
    workers = [Worker(store, listener) for _ in range(3)]
    running: list[tuple[Worker, Exchange]] = []
    for index, gap_s, code in steps:
        now_s += gap_s
        before = store.record
        try:
            exchange = workers[index].begin(now_s)
        except GatewayError as error:
            assert error.reason == "CIRCUIT_OPEN"
        else:
            is_copy_fresh = gap_s > 0.25
            if before.state is OPEN and is_copy_fresh:
                assert now_s >= before.opened_s + SETTINGS.timeout_seconds
            if before.state is HALF_OPEN and is_copy_fresh:
                assert now_s >= before.trial_until_s
            running.append((workers[index], exchange))
        if len(running) > 2 or code == 14:
            for owner, ended in running:
                owner.end(ended, code, now_s)
            running.clear()
    for old, new in listener.changes:
        assert (old, new) in {("closed", "open"), ("open", "half_open"), ("half_open", "open"), ("half_open", "closed")}
    for (_, new), (old, _) in zip(listener.changes, listener.changes[1:], strict=False):
        assert new == old
