"""Workers that are killed at any instant, and what the others see of the shared counts (D6, R10)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from itertools import repeat
from typing import Final

from scenarios.guard.flood import flood, request
from scenarios.guard.stage import Stage, limit
from tests.support.processes import ROOT

GATEWAYS: Final = 5
WORKERS: Final = 11
KILLS: Final = 10
"""In each gateway; one worker stays. Replacements of workers that die young are held back on purpose."""
LIMIT: Final = 18_000
_PAUSE_S: Final = 0.1
_NOWHERE: Final = request("/nowhere")


def under_load(stage: Stage) -> None:
    """D6: kill -9 of fifty workers, ten of eleven in each of five gateways, while all of them count."""
    gateways = stage.number(GATEWAYS)
    kills = allowed = lost = 0
    slowest_s = 0.0
    for _ in range(gateways):
        with stage.gateway(workers=WORKERS, rate_limit=limit(LIMIT, 3600)) as gateway:
            over = threading.Event()
            totals: list[tuple[int, int]] = []

            def load(port: int, over: threading.Event, totals: list[tuple[int, int]]) -> None:
                while not over.is_set():
                    answers = flood(port, repeat(_NOWHERE, 2_000), connections=16)
                    totals.append((answers.statuses[404], answers.lost))

            loader = threading.Thread(target=load, args=(gateway.port, over, totals))
            loader.start()
            for pid in gateway.worker_pids()[:KILLS]:
                time.sleep(0.05)
                os.kill(pid, signal.SIGKILL)
                kills += 1
            over.set()
            loader.join()
            rest = flood(gateway.port, repeat(_NOWHERE, LIMIT + 2_000))
            probe = flood(gateway.port, repeat(_NOWHERE, 200), connections=1)
            slowest_s = max(slowest_s, *(took_s for _, took_s, _ in probe.times))
            allowed += sum(passed for passed, _ in totals) + rest.statuses[404]
            lost += sum(cut for _, cut in totals)
    marks = stage.marks
    marks.at_least("workers killed", kills, gateways * KILLS)
    # A request that was counted may have lost its answer, and nothing else may be missing. One is the stage's own.
    marks.at_most("allowed", allowed, gateways * (LIMIT - 1))
    marks.at_least("allowed and lost together", allowed + lost, gateways * (LIMIT - 1))
    marks.at_most("slowest answer of the survivors afterwards", slowest_s, 1.0, " s")


def holding_the_lock(stage: Stage) -> None:
    """R10: kill -9 inside a transaction, while joining and at any instant, fifty times each, with the store alone."""
    for scenario in ("inside-a-transaction", "while-joining", "at-any-instant"):
        folder = stage.folder / scenario
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.test_state_crash", scenario, str(folder)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        stage.marks.holds(
            f"50 kills {scenario.replace('-', ' ')}",
            "all counts right, others went on within 100 ms" if done.returncode == 0 else done.stderr[-300:],
            "the same",
            is_met=done.returncode == 0,
        )
