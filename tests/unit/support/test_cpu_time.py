"""What is dear on every run is dear; what was dear once is not."""

from __future__ import annotations

import gc
import time

from tests.support.cpu_time import ATTEMPTS, cheapest_cpu_s, cpu_s


def burn(seconds: float) -> None:
    """Use the processor for so long."""
    started_s = time.thread_time()
    while time.thread_time() - started_s < seconds:
        pass


def test_the_cheapest_run_counts() -> None:
    costs_s = iter((0.05, 0.001, 0.05))
    assert cheapest_cpu_s(lambda: burn(next(costs_s)), enough_s=0.01) <= 0.01
    assert list(costs_s) == [0.05]


def test_what_is_dear_every_time_is_dear() -> None:
    runs: list[float] = []

    def action() -> None:
        runs.append(cpu_s(lambda: burn(0.001)))

    assert cheapest_cpu_s(action, enough_s=1e-6) > 1e-6
    assert len(runs) == ATTEMPTS
    assert gc.isenabled()


def test_waiting_costs_nothing() -> None:
    assert cpu_s(lambda: time.sleep(0.05)) < 0.05
