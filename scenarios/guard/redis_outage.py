"""Redis in every kind of trouble while requests go on (D10), and many processes at once (R9)."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from itertools import repeat
from pathlib import Path
from typing import Final

from scenarios.guard.flood import Answers, request, steady
from scenarios.guard.stage import UNLIMITED, Stage
from tests.faults.test_state_redis import CALLS, LIMIT, PROCESSES
from tests.support.gateway import RunningGateway, eventually
from tests.support.processes import ROOT, python_environment
from tests.support.redis_server import RedisServer

RATE_PER_S: Final = 300.0
TIMEOUT_MS: Final = 50
SETTLING_S: Final = 0.5
ADDED_P99_MS: Final = 5.0
ATTEMPTS: Final = 10
_ITEM: Final = request("/api/items/7")
_STORE_ERRORS: Final = "api_gateway_rate_limit_store_errors_total"
_REFUSED_KEY: Final = b"api-gateway:window:60:\x7f\x00\x00\x01"
"""What counts the requests of 127.0.0.1."""


def _wrong_type(server: RedisServer) -> None:
    server.set(_REFUSED_KEY, b"no hash")


def _right_type(server: RedisServer) -> None:
    server.delete(_REFUSED_KEY)


def _want_password(server: RedisServer) -> None:
    server.command("CONFIG", "SET", "requirepass", "secret")
    server.command("-a", "secret", "CLIENT", "KILL", "TYPE", "normal")


def _want_none(server: RedisServer) -> None:
    server.command("-a", "secret", "CONFIG", "SET", "requirepass", "")


Act = Callable[[RedisServer], None]
TROUBLES: Final[dict[str, tuple[Act, Act, float]]] = {
    "killed": (RedisServer.kill, RedisServer.start, 3.0),
    "frozen (SIGSTOP)": (RedisServer.pause, RedisServer.resume, 10.0),
    "slow (each command up to 500 ms)": (RedisServer.slow_down, RedisServer.speed_up, 3.0),
    "a key of the wrong type": (_wrong_type, _right_type, 3.0),
    "password refused": (_want_password, _want_none, 3.0),
}
"""What begins it, what ends it, and how many seconds it lasts."""


def allow(stage: Stage) -> None:
    """D10 with `on_store_error: allow`: every request passes, whatever becomes of Redis."""
    _run(stage, "allow", expected=200)


def refuse(stage: Stage) -> None:
    """D10 with `on_store_error: refuse`: 503 at once while Redis cannot be asked."""
    _run(stage, "refuse", expected=503)


def _run(stage: Stage, policy: str, *, expected: int) -> None:
    section = {"enabled": True, "requests_per_minute": UNLIMITED, "on_store_error": policy}
    server = RedisServer(stage.folder)
    state = {"redis_url": server.url, "timeout_ms": TIMEOUT_MS}
    try:
        with stage.gateway(workers=2, rate_limit=section, state=state) as gateway:
            _judge_outage(stage, gateway, "down at start", expected, 3.0)
            server.start()
            _wait_until_counted(gateway, server)
            healthy = _load_counted(stage, gateway, 3.0)
            stage.marks.equals("healthy: other than 200", _others(healthy, 200), 0)
            for name, (begin, end, seconds) in TROUBLES.items():
                begin(server)
                _judge_outage(stage, gateway, name, expected, seconds, healthy)
                end(server)
                _wait_until_counted(gateway, server)
            flushed = _load_counted(stage, gateway, 1.0, lambda: server.command("FLUSHALL"))
            stage.marks.equals("FLUSHALL: other than 200", _others(flushed, 200), 0)
    finally:
        server.kill()


def _judge_outage(
    stage: Stage, gateway: RunningGateway, name: str, expected: int, seconds: float, healthy: Answers | None = None
) -> None:
    alarms = gateway.metric(_STORE_ERRORS)
    onset = _load(stage, gateway, SETTLING_S)
    answers = _load(stage, gateway, seconds)
    marks = stage.marks
    # Those of the first moment wait for `timeout_ms`, and some were decided before it began.
    marks.equals(f"{name}: neither 200 nor {expected} in the first moment", _others(onset, 200, expected), 0)
    marks.equals(f"{name}: other than {expected} afterwards", _others(answers, expected), 0)
    eventually(lambda: gateway.metric(_STORE_ERRORS) - alarms >= answers.statuses.total(), "the alarm metric rises")
    marks.at_least(f"{name}: alarms", gateway.metric(_STORE_ERRORS) - alarms, answers.statuses.total())
    if healthy is not None:
        added_ms = max(0.0, answers.p99_s() - healthy.p99_s()) * 1e3
        marks.at_most(f"{name}: added p99", added_ms, ADDED_P99_MS, " ms")


def _load(stage: Stage, gateway: RunningGateway, seconds: float) -> Answers:
    return steady(gateway.port, repeat(_ITEM), rate_per_s=RATE_PER_S, seconds=max(0.3, seconds * min(1.0, stage.scale)))


def _load_counted(
    stage: Stage, gateway: RunningGateway, seconds: float, before: Callable[[], object] = lambda: None
) -> Answers:
    """Load while Redis is well; once more if there was trouble, for a machine that stops for `timeout_ms` is trouble.

    What causes it every time, such as a script that Redis has forgotten, is in the last answers too.
    """
    answers = Answers()
    for _ in range(ATTEMPTS):
        before()
        answers = _load(stage, gateway, seconds)
        if not _others(answers, 200):
            break
    return answers


def _others(answers: Answers, *statuses: int) -> int:
    return answers.statuses.total() + answers.lost - sum(answers.statuses[status] for status in set(statuses))


def _wait_until_counted(gateway: RunningGateway, server: RedisServer) -> None:
    """Wait until both workers count again: none of twenty requests raises the alarm."""

    def counts() -> bool:
        before = gateway.metric(_STORE_ERRORS)
        if any("ratelimit-limit" not in gateway.get("/api/items/7").headers for _ in range(20)):
            return False
        return gateway.metric(_STORE_ERRORS) == before and server.command("EXISTS", "api-gateway:generation") != ""

    eventually(counts, "all workers count again", timeout_s=20)


def many_processes(stage: Stage) -> None:
    """R9: 8 processes make 100,000 calls of one key: exactly the limit passes, and no key lives for ever."""
    with RedisServer(stage.folder) as server:
        started_s = time.monotonic()
        processes = [_start_counting(server, stage.folder / str(number)) for number in range(PROCESSES)]
        passed = sum(int(process.communicate(timeout=120)[0]) for process in processes)
        stage.marks.note("calls a second", PROCESSES * CALLS / (time.monotonic() - started_s))
        keys = server.command("--scan").splitlines()
        lasting = [key for key in keys if int(server.command("TTL", key)) <= 0]
    stage.marks.equals(f"allowed of {PROCESSES * CALLS:,} calls", passed, LIMIT)
    stage.marks.at_least("keys", len(keys), 1)
    stage.marks.equals("keys without an end", len(lasting), 0)


def _start_counting(server: RedisServer, folder: Path) -> subprocess.Popen[str]:
    folder.mkdir()
    command = [sys.executable, "-m", "tests.faults.test_state_redis", server.url, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, env=python_environment(), stdout=subprocess.PIPE, text=True)
