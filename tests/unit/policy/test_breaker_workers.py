"""The circuit breaker: what several workers make of one record, and each of them without it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.model.errors import GatewayError
from api_gateway.model.exchange import Exchange
from api_gateway.model.status import Code
from api_gateway.state.local import LocalStore, LocalStoreFile
from tests.support.breaker_bench import (
    CLOSED,
    HALF_OPEN,
    OPEN,
    SETTINGS,
    T0,
    TIMEOUT_S,
    Listener,
    MemoryStore,
    Worker,
    trip,
)


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

    def test_a_breaker_that_another_worker_closed_refuses_nobody(self, workers: list[Worker]) -> None:
        """semantics 41: whoever asks with a copy that is out of date learns from the store that it is closed."""
        trip(workers[0], T0)
        workers[1].refused(T0 + 59.9)
        for _ in range(SETTINGS.success_threshold):
            workers[0].call(Code.OK, T0 + 60)
        workers[1].call(Code.OK, T0 + 60.1)

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

    @pytest.mark.parametrize("timeout_s", [120.0, 3_600.0, float("inf")])
    def test_a_long_trial_holds_its_slot_for_a_minute(self, workers: list[Worker], timeout_s: float) -> None:
        """semantics 41: a stream may last for hours; whoever comes a minute and a second later is the next trial."""
        trip(workers[0])
        long = workers[1].begin(T0 + 60, timeout_s)
        workers[0].refused(T0 + 60 + 60.9)
        late = workers[0].begin(T0 + 60 + 61.0)
        workers[1].end(long, Code.UNAVAILABLE, T0 + 122)
        assert workers[2].state(T0 + 122) is HALF_OPEN
        workers[0].end(late, Code.OK, T0 + 122)
        workers[2].call(Code.OK, T0 + 122)
        assert workers[2].state(T0 + 122) is CLOSED

    def test_a_trial_that_came_too_late_holds_its_slot_for_a_second(self, workers: list[Worker]) -> None:
        """semantics 41: whatever its deadline was, it is the only one until it ended."""
        trip(workers[0])
        workers[1].begin(T0 + 60, timeout_s=-30.0)
        workers[0].refused(T0 + 60.9)
        workers[0].begin(T0 + 61.0)

    def test_a_trial_that_lost_its_slot_decides_nothing(self, workers: list[Worker]) -> None:
        trip(workers[0])
        late = workers[1].begin(T0 + 60)
        workers[2].begin(T0 + 70)
        for code in (Code.OK, Code.UNAVAILABLE, None):
            workers[1].breaker._trial = late  # the same late result, once for each outcome
            workers[1].end(late, code, T0 + 70.1)
            assert workers[0].state(T0 + 71) is HALF_OPEN
            workers[0].refused(T0 + 71)


def test_store_out_of_order_leaves_a_breaker_per_worker(listener: Listener) -> None:
    """semantics 39, 41: without the store each worker goes on with what it knows."""
    store = MemoryStore()
    worker = Worker(store, listener)
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


def test_a_store_that_cannot_be_read_is_told(listener: Listener) -> None:
    """semantics 39: no change is needed for the alarm: to look at the record is enough."""
    store = MemoryStore()
    store.is_broken = True
    assert Worker(store, listener).state(T0) is CLOSED
    assert listener.failures == 1
