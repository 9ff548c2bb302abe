"""The circuit breaker: lost connections and hurried clients, which say little about a service."""

from __future__ import annotations

from pathlib import Path

import pytest

from api_gateway.model.status import Code
from api_gateway.state.local import LocalStoreFile
from tests.support.breaker_bench import (
    CLOSED,
    HALF_OPEN,
    OPEN,
    SETTINGS,
    T0,
    Listener,
    MemoryStore,
    Worker,
    trip,
)


@pytest.fixture
def worker() -> Worker:
    return Worker(MemoryStore(), Listener())


class TestLostConnections:
    """semantics 40: calls cut short by the end of their connections are one failure together."""

    def test_a_restart_does_not_open_it(self, worker: Worker) -> None:
        cut = [worker.begin(T0) for _ in range(100)]
        for number, exchange in enumerate(cut):
            worker.lose(exchange, T0 + number * 0.009)
        assert worker.state(T0 + 1) is CLOSED
        assert worker.breaker.record(T0 + 1).failures == 1

    def test_a_restart_that_all_workers_see_is_one_failure(self, tmp_path: Path) -> None:
        shared = LocalStoreFile(tmp_path, max_memory_bytes=1024 * 1024).open(window_s=60.0)
        workers = [Worker(shared, Listener()) for _ in range(8)]
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
