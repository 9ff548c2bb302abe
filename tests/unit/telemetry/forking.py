"""Processes that fork as the gateway does: this file run as a module, so that no thread of pytest is in the way."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from api_gateway.telemetry.log_writer import LogWriter
from api_gateway.telemetry.metrics import Metrics, mark_worker_dead, prepare_metrics_directory
from api_gateway.telemetry.trace_context import new_span_id
from tests.unit.telemetry.capture import finished

ROOT = Path(__file__).resolve().parents[3]


def run_forking(what: str, directory: Path) -> bytes:
    """Run one of the scenarios below in a process of its own; return what it wrote to stdout."""
    command = [sys.executable, "-m", "tests.unit.telemetry.forking", what, str(directory)]
    paths = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.run(command, check=True, cwd=ROOT, env=environment, timeout=60, stdout=subprocess.PIPE).stdout


def fork(work: Callable[[], None]) -> int:
    """Do the work in a child and return its pid. The child ends without any clean-up, like one that was killed."""
    child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    finally:
        os._exit(1)


def count(directory: Path, requests: int) -> None:
    """Be a worker: count requests and write them."""
    metrics = Metrics(directory, version="1.2.3")
    metrics.route("/api/users/:id", "GET", metrics.calls("users", "users.Users/Get"))
    metrics.in_flight = 2
    metrics.active_connections("users").set(3)
    metrics.show_breaker("users", "half_open")
    metrics.show_plan("users", routes=requests, conflicts=0, unmapped=0)
    for _ in range(requests):
        metrics.record(finished(route="/api/users/:id", duration_s=0.25, grpc_code=0))
    metrics.flush(0.0)


def show(directory: Path) -> None:
    """Print the page as a process sees it that counted nothing itself."""
    print(Metrics(directory, version="1.2.3").render(b"")[1].decode(), flush=True)


def ids(directory: Path) -> None:
    """Let the parent and two children each draw an id."""
    for name in ("one", "two"):
        os.waitpid(fork(lambda name=name: _write_id(directory / name)), 0)  # type: ignore[misc]  # a lambda's default
    _write_id(directory / "parent")


def _write_id(path: Path) -> None:
    path.write_text(new_span_id())


def workers(directory: Path) -> None:
    """Three workers count and stay; one is killed and replaced, its successor counts too."""
    prepare_metrics_directory(directory)
    pids = [_start_worker(directory, requests) for requests in (1, 10, 100)]
    show(directory)
    _kill(pids[2])
    mark_worker_dead(directory, pids[2])
    mark_worker_dead(directory, pids[2])
    show(directory)
    pids[2] = _start_worker(directory, 1000)
    show(directory)
    for pid in pids:
        _kill(pid)


def _start_worker(directory: Path, requests: int) -> int:
    """Return the pid of a worker that has counted and goes on living."""
    is_done, done = os.pipe()

    def work() -> None:
        count(directory, requests)
        os.write(done, b".")
        signal.pause()

    pid = fork(work)
    os.read(is_done, 1)
    return pid


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def full_disk(directory: Path) -> None:
    """Let files grow no further for a while (here by the limit of the process), then again."""
    prepare_metrics_directory(directory)
    metrics = Metrics(directory, version="1")
    is_whole = [metrics.flush(0.0)]
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 * 1024, hard))
    for number in range(1_000):
        metrics.record(finished(route=f"/{number}"))
    is_whole.append(metrics.flush(0.0))
    for number in range(1_000):
        metrics.record(finished(route=f"/{number}"))
    is_whole.append(metrics.flush(0.0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    is_whole.append(metrics.flush(0.0))
    print(f"# flushed {is_whole}")
    show(directory)


def writers(directory: Path) -> None:
    """Parent and children share one log writer and its descriptor; what the parent queued is written once."""
    writer = LogWriter(1, is_threaded=False)
    threaded = LogWriter(1)
    threaded.write(b"parent threaded\n")
    writer.write(b"parent\n")
    for name in (b"one", b"two"):
        os.waitpid(fork(lambda name=name: _log(threaded, name)), 0)  # type: ignore[misc]  # a lambda's default
    threaded.close()
    writer.close()
    (directory / "done").touch()


def _log(writer: LogWriter, name: bytes) -> None:
    for number in range(100):
        writer.write(b"%s %d\n" % (name, number))
    writer.close(timeout_s=30)


if __name__ == "__main__":
    scenarios = {"full_disk": full_disk, "ids": ids, "workers": workers, "writers": writers}
    scenarios[sys.argv[1]](Path(sys.argv[2]))
