"""What we changed in gunicorn's arbiter. That it works is shown with real processes, in tests/faults."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_gateway.edge.process import Serving
from api_gateway.edge.worker import (
    MAX_RESPAWN_PAUSE_S,
    STABLE_S,
    STOP_MARGIN_S,
    GatewayArbiter,
    GatewayWorker,
    RespawnPause,
    Supervisor,
    inherited_listeners,
)
from api_gateway.telemetry.log import configure_logging
from tests.unit.telemetry.capture import Capture


class Factory:
    """A factory of nothing."""

    workers = 3
    stop_timeout_s = 7.5

    def __init__(self) -> None:
        self.ended_pids: list[int] = []
        self.is_right = True

    def make(self) -> Serving:
        raise AssertionError("no worker is started here")

    async def started(self, serving: Serving, age: int) -> None:
        raise AssertionError("no worker is started here")

    def forked(self) -> None:
        raise AssertionError("no worker is started here")

    def ended(self, pid: int) -> None:
        self.ended_pids.append(pid)

    def reload(self) -> bool:
        return self.is_right


@pytest.fixture
def factory() -> Factory:
    """What the arbiter is made for."""
    return Factory()


@pytest.fixture
def arbiter(factory: Factory, tmp_path: Path) -> Iterator[GatewayArbiter]:
    """An arbiter that was not started."""
    listener = socket.create_server(("127.0.0.1", 0))
    fd = listener.fileno()
    yield GatewayArbiter(Supervisor(factory, listeners=[listener], directory=tmp_path))
    os.close(fd)


def test_the_first_deaths_are_made_good_at_once() -> None:
    pause = RespawnPause()
    assert pause.is_over(0.0)
    pause.worker_died(1.0, 10.0)
    assert pause.is_over(10.0)


def test_a_crash_loop_slows_down() -> None:
    """D6: a worker that dies again and again must not take the machine."""
    pause = RespawnPause()
    now_s = 100.0
    pauses = []
    for _ in range(12):
        pause.worker_died(0.1, now_s)
        start_s = now_s
        while not pause.is_over(now_s):
            now_s += 0.5
        pauses.append(now_s - start_s)
    assert pauses[:5] == [0.0, 0.5, 1.0, 2.0, 4.0]
    assert pauses[-1] == MAX_RESPAWN_PAUSE_S


def test_a_long_life_begins_anew() -> None:
    pause = RespawnPause()
    for _ in range(5):
        pause.worker_died(0.1, 0.0)
    pause.worker_died(STABLE_S, 100.0)
    assert pause.is_over(100.0)
    pause.worker_died(0.1, 101.0)
    assert pause.is_over(101.0)


def test_the_factory_decides_how_many_and_how_long(arbiter: GatewayArbiter, factory: Factory) -> None:
    assert arbiter.num_workers == 3
    assert arbiter.cfg.graceful_timeout == 7 + STOP_MARGIN_S
    factory.workers = 5
    arbiter.app.reload()
    assert arbiter.app.cfg.workers == 5


def test_a_successor_is_started_as_this_process_was(arbiter: GatewayArbiter) -> None:
    """`python -m` puts a file's path into sys.argv, which cannot be run as a script."""
    assert arbiter.START_CTX["args"] == [sys.executable, *sys.orig_argv[1:]]


def test_a_second_signal_is_urgent(arbiter: GatewayArbiter) -> None:
    arbiter.signal(signal.SIGTERM, None)
    assert arbiter.SIG_QUEUE.get_nowait() == signal.SIGTERM
    arbiter.signal(signal.SIGINT, None)
    assert arbiter.SIG_QUEUE.get_nowait() == signal.SIGQUIT
    arbiter.signal(signal.SIGHUP, None)
    assert arbiter.SIG_QUEUE.get_nowait() == signal.SIGHUP


def test_the_end_by_impatience_is_no_success(arbiter: GatewayArbiter) -> None:
    arbiter.signal(signal.SIGTERM, None)
    with pytest.raises(SystemExit) as patient:
        arbiter.halt()
    assert patient.value.code == 0
    arbiter.signal(signal.SIGTERM, None)
    with pytest.raises(SystemExit) as urgent:
        arbiter.halt()
    assert urgent.value.code == 1


def test_only_unexpected_ends_slow_down(arbiter: GatewayArbiter, factory: Factory) -> None:
    for is_dismissed, starts in ((True, True), (False, False)):
        for _ in range(6):
            worker = GatewayWorker(1, os.getpid(), [], arbiter.app, 1.0, arbiter.cfg, arbiter.log)
            worker.pid, worker.is_dismissed = 4_000_000, is_dismissed
            arbiter.worker_ended(worker)
            worker.tmp.close()
        assert arbiter._pause.is_over(0.0) is starts
    assert len(factory.ended_pids) == 12


def test_a_worker_that_dies_is_told(arbiter: GatewayArbiter) -> None:
    """Which one, how old it was, and when another takes its place: at once, then ever later."""
    with Capture() as capture:
        configure_logging(capture.writer)
        for is_dismissed in (True, False, False, False):
            worker = GatewayWorker(1, os.getpid(), [], arbiter.app, 1.0, arbiter.cfg, arbiter.log)
            worker.pid, worker.is_dismissed = 4_000_000, is_dismissed
            arbiter.worker_ended(worker)
            worker.tmp.close()
        lines = [line for line in capture.lines if line["fields"]["message"] == "worker died"]
    assert {(line["level"], line["target"]) for line in lines} == {("ERROR", "api_gateway.arbiter")}
    assert [line["fields"]["worker"] for line in lines] == [4_000_000] * 3
    assert [line["fields"]["replaced_in_seconds"] for line in lines] == [0.0, 0.5, 1.0]
    assert all(line["fields"]["lived_seconds"] >= 0 for line in lines)


def test_a_wrong_configuration_starts_nothing(arbiter: GatewayArbiter, factory: Factory) -> None:
    factory.is_right = False
    arbiter.reload()
    assert arbiter.WORKERS == {}


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"GUNICORN_FD": "5"}, id="no predecessor"),
        pytest.param({"GUNICORN_PID": "1", "GUNICORN_FD": "5"}, id="somebody else's"),
        pytest.param({"GUNICORN_PID": str(os.getppid())}, id="no listener"),
    ],
)
def test_nothing_is_taken_over_by_mistake(environ: dict[str, str]) -> None:
    assert inherited_listeners(environ) == []


def test_a_predecessors_listeners_are_taken_over() -> None:
    theirs = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [each.getsockname() for each in theirs]
    fds = ",".join(str(each.detach()) for each in theirs)
    ours = inherited_listeners({"GUNICORN_PID": str(os.getppid()), "GUNICORN_FD": fds})
    assert [each.getsockname() for each in ours] == addresses
    for each in ours:
        each.close()
