"""Nothing fails open by accident: what can become of the file that workers share, and of its directory (D10, P12).

A gateway that cannot have it does not start and says why. One that loses it acts by `rate_limit.on_store_error`.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.backends import Backend
from tests.support.gateway import (
    TIMEOUT_S,
    RunningGateway,
    clean_environment,
    eventually,
    is_alive,
    listening_event,
    serving,
    start_gateway,
)
from tests.support.processes import ROOT, ChildProcess, python_command

PATH = "/api/items/7"
ALARMS = "api_gateway_rate_limit_store_errors_total"
MET = {"allow": 200, "refuse": 503}
WORKERS = 2
ASKED = 10


@contextmanager
def counting(backend: Backend, policy: str, tmp_path: Path) -> Iterator[tuple[RunningGateway, Path]]:
    """Run two workers that share a file; yield them and their runtime directory."""
    limit = {"enabled": True, "requests_per_minute": 1_000_000, "on_store_error": policy, "max_memory": "1MiB"}
    config = serving(backend.endpoint, rate_limit=limit)
    with start_gateway(config, "--workers", str(WORKERS), environment={"TMPDIR": str(tmp_path)}) as gateway:
        eventually(lambda: gateway.metric("api_gateway_workers") == WORKERS, "all workers serve")
        gateway.wait_until_routed(PATH)
        (directory,) = tmp_path.glob("api-gateway-run-*")
        yield gateway, directory


def judge_outage(gateway: RunningGateway, policy: str) -> None:
    """Ask while nothing can be counted."""
    for _ in range(ASKED):
        answer = gateway.get(PATH)
        assert answer.status == MET[policy], answer
        assert "ratelimit-limit" not in answer.headers
        if policy == "refuse":
            assert answer.reason == "RATE_LIMIT_UNAVAILABLE"
            assert int(answer.headers["retry-after"]) >= 1
            assert "state" not in answer.error["message"], "what the store says is for operators"
    eventually(lambda: gateway.get("/health/ready").status == 200, "it is ready for more")
    assert gateway.process.exit_code is None
    assert not gateway.log("unexpected error")


def replace_workers(gateway: RunningGateway) -> None:
    """Kill all workers, and wait for others."""
    killed = gateway.worker_pids()
    for pid in killed:
        # One that has touched a file that ends too early is gone already.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(is_alive(pid) for pid in killed), "they are gone")
    eventually(lambda: len(gateway.worker_pids()) == WORKERS, "others have come")


def wipe(file: Path) -> None:
    with file.open("r+b") as writer:
        writer.write(bytes(file.stat().st_size))


@pytest.mark.parametrize("policy", MET)
def test_a_damaged_file(grpcio_backend: Backend, policy: str, tmp_path: Path) -> None:
    """semantics 39: workers that have it open, and workers that find it so, act as configured."""
    with counting(grpcio_backend, policy, tmp_path) as (gateway, directory):
        assert "ratelimit-limit" in gateway.get(PATH).headers
        wipe(directory / "state" / "data.mdb")
        judge_outage(gateway, policy)
        eventually(lambda: gateway.metric(ALARMS) == ASKED, "each is an alarm")
        assert gateway.wait_for_event("rate limit store failed")["reason"]
        (directory / "state" / "data.mdb").write_bytes(b"no database")
        replace_workers(gateway)
        judge_outage(gateway, policy)
        eventually(lambda: gateway.metric(ALARMS) == 2 * ASKED, "each is an alarm")
        assert gateway.wait_for_event("shared state cannot be opened: restart the gateway")["reason"]


def test_a_truncated_file(grpcio_backend: Backend, tmp_path: Path) -> None:
    """What was cut off cannot be read: the system ends the worker that tries. The next one begins the file anew."""
    with counting(grpcio_backend, "refuse", tmp_path) as (gateway, directory):
        os.truncate(directory / "state" / "data.mdb", 0)
        met = []

        def is_counted() -> bool:
            try:
                answer = gateway.get(PATH)
            except (OSError, http.client.HTTPException):
                return False
            met.append(answer.status)
            return "ratelimit-limit" in answer.headers

        eventually(lambda: all(is_counted() for _ in range(ASKED)), "requests are counted again")
        assert set(met) <= {200, 503}
        assert gateway.process.exit_code is None


@pytest.mark.parametrize(
    ("policy", "lost", "page"),
    [
        pytest.param("allow", "state", 200, id="allow-state"),
        pytest.param("refuse", "state", 200, id="refuse-state"),
        pytest.param("refuse", ".", 503, id="refuse-everything"),
    ],
)
def test_a_directory_that_is_removed(
    grpcio_backend: Backend, policy: str, lost: str, page: int, tmp_path: Path
) -> None:
    """semantics 39: workers keep what they have open; those that come later cannot have it, and serve all the same."""
    with counting(grpcio_backend, policy, tmp_path) as (gateway, directory):
        shutil.rmtree(directory / lost)
        assert "ratelimit-limit" in gateway.get(PATH).headers
        replace_workers(gateway)
        judge_outage(gateway, policy)
        answer = gateway.get("/metrics")
        assert answer.status == page
        if page == 200:
            eventually(lambda: gateway.metric(ALARMS) == ASKED, "each is an alarm")
        else:
            assert answer.reason == "METRICS_UNAVAILABLE"
            assert gateway.wait_for_event("runtime directory is gone: restart the gateway")["directory"]
        assert gateway.wait_for_event("shared state cannot be opened: restart the gateway")["reason"]


# At start


def confined(blocks: int, *arguments: str) -> tuple[str, ...]:
    """Return a command that may write no file longer than so many blocks: each is a disk that is full by then.

    Its coverage is not measured: the figures are a file as well, and a message about that one is none of the gateway's.
    """
    script = f'unset COVERAGE_PROCESS_START COVERAGE_PROCESS_CONFIG; ulimit -f {blocks}; exec "$@"'
    return ("sh", "-c", script, "sh", *python_command("api_gateway", *arguments))


@pytest.mark.parametrize(
    ("blocks", "workers", "advice"),
    [
        pytest.param(0, 1, ["TMPDIR"], id="no room at all"),
        pytest.param(256, 2, ["TMPDIR", "rate_limit.max_memory", "make room"], id="no room for the file"),
    ],
)
def test_no_room_at_start(blocks: int, workers: int, advice: list[str]) -> None:
    """semantics 39: it does not start, and says what to do."""
    done = subprocess.run(
        confined(blocks, "run", "--backend", "http://127.0.0.1:9", "--port", "0", "--workers", str(workers)),
        cwd=ROOT,
        env={**os.environ, **clean_environment()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert [word for word in advice if word not in done.stderr] == []
    assert "Traceback" not in done.stderr


def test_no_room_for_metrics(grpcio_backend: Backend) -> None:
    """A worker whose numbers cannot be written serves, and so does the page, without them."""
    command = confined(8, "run", "--backend", grpcio_backend.endpoint, "--port", "0")
    with ChildProcess(command, environment=clean_environment()) as process:
        gateway = RunningGateway(process=process, port=process.wait_until_ready(listening_event)["port"])
        gateway.wait_until_routed(PATH)
        assert gateway.get(PATH).status == 200
        assert gateway.get("/metrics").status == 200
        assert gateway.wait_for_event("metrics cannot be written: the disk is full, or the runtime directory gone")
        assert not gateway.log("unexpected error")


def test_a_place_that_is_none(grpcio_backend: Backend, tmp_path: Path) -> None:
    """The system's other directories for temporary files serve as well."""
    environment = {"TMPDIR": str(tmp_path / "missing")}
    with start_gateway(serving(grpcio_backend.endpoint), "--workers", "2", environment=environment) as gateway:
        gateway.wait_until_routed(PATH)
        assert gateway.get(PATH).status == 200
