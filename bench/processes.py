"""Child processes whose CPU time and memory are read from `/proc`, and that never outlive the benchmark."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parent.parent
START_LIMIT_S: Final = 60.0
STOP_LIMIT_S: Final = 10.0
_POLL_S: Final = 0.02
_KEPT_OUTPUT_BYTES: Final = 16_384
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """Why the benchmark cannot go on, in words for the person who started it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Memory of a process tree, in bytes."""

    rss_bytes: int
    """Resident pages, summed over the processes; pages they share count once for each."""
    pss_bytes: int
    """The same with shared pages divided among those who share them."""


@dataclass(frozen=True, slots=True)
class CpuTime:
    """CPU time of a process, in seconds."""

    user_s: float
    system_s: float
    """In the kernel on its behalf."""


class Child:
    """One started command and everything it forks; the tree is told apart by its own session."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._output = b""
        self._process = subprocess.Popen(
            die_with_parent(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **_import_path(), **(env or {})},
            cwd=REPOSITORY,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._keep_tail, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id of the root, which is the session's id too."""
        return self._process.pid

    @property
    def output(self) -> str:
        """The last 16 KiB of what it wrote to standard output and standard error."""
        return self._output.decode(errors="replace")

    def _keep_tail(self) -> None:
        # A pipe with a reader is what a container runtime gives a server; /dev/null would make logging too cheap.
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while chunk := os.read(descriptor, 65_536):
            self._output = (self._output + chunk)[-_KEPT_OUTPUT_BYTES:]

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """Ask again and again until it is ready. Raises BenchError when it ends first or takes longer than a minute."""
        deadline_s = time.monotonic() + START_LIMIT_S
        while not is_ready():
            if self._process.poll() is not None:
                raise BenchError(f"{self.name} ended with code {self._process.returncode}; its output:\n{self.output}")
            if time.monotonic() > deadline_s:
                raise BenchError(f"{self.name} was not ready after {START_LIMIT_S:.0f} s; its output:\n{self.output}")
            time.sleep(_POLL_S)

    def cpu(self) -> dict[int, CpuTime]:
        """Return the CPU time so far, by process id."""
        return _session_cpu(self.pid)

    def memory(self) -> Memory:
        """Return the memory of the whole tree."""
        rollups = [_smaps_rollup(pid) for pid in _session_cpu(self.pid)]
        return Memory(
            rss_bytes=sum(rollup.get("Rss", 0) for rollup in rollups),
            pss_bytes=sum(rollup.get("Pss", 0) for rollup in rollups),
        )

    def stop(self) -> None:
        """End the tree: SIGTERM and the end of standard input first, SIGKILL for what is left of it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                print(f"{self.name} did not stop within {STOP_LIMIT_S:.0f} s of SIGTERM; killed", file=sys.stderr)
        self._kill_rest()
        self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _kill_rest(self) -> None:
        # Asked again until nothing is left: SIGKILL is only sent when kill(2) returns, and a fork may just have come.
        deadline_s = time.monotonic() + STOP_LIMIT_S
        while left := _session_cpu(self.pid):
            if time.monotonic() > deadline_s:
                raise BenchError(
                    f"{self.name}: processes {sorted(left)} did not end within {STOP_LIMIT_S:.0f} s of SIGKILL"
                )
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(_POLL_S)


@contextmanager
def running(name: str, command: Sequence[str], env: Mapping[str, str] | None = None) -> Iterator[Child]:
    """Start a command; end its whole tree when the block is left."""
    child = Child(name, command, env)
    try:
        yield child
    finally:
        child.stop()


def cpu_spent(before: Mapping[int, CpuTime], after: Mapping[int, CpuTime]) -> CpuTime:
    """Return CPU time between two readings of one tree. Raises BenchError when a process came or went."""
    if before.keys() != after.keys():
        raise BenchError("a process of the target came or went during the measurement, so its CPU time is unknown")
    return CpuTime(
        sum(one.user_s for one in after.values()) - sum(one.user_s for one in before.values()),
        sum(one.system_s for one in after.values()) - sum(one.system_s for one in before.values()),
    )


def find_tool(name: str) -> str:
    """Return the path of a command-line tool. Raises BenchError that says how to install it."""
    path = shutil.which(name)
    if path is None:
        raise BenchError(f"{name} is not installed; run scripts/install-system-packages")
    return path


def die_with_parent(command: Sequence[str]) -> list[str]:
    """Return the command so that the kernel ends it with us, even when we are killed and cannot clean up."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else [*command]


def _import_path() -> dict[str, str]:
    # What PYTHONPATH names comes first: `make bench` puts the compiled gateway there.
    paths = [os.environ.get("PYTHONPATH", ""), str(REPOSITORY / "src"), str(REPOSITORY)]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _session_cpu(session: int) -> dict[int, CpuTime]:
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The command's name may hold spaces and brackets: fields count behind its last bracket (proc_pid_stat(5)).
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        is_zombie = fields[0] == "Z"
        if int(fields[3]) == session and not is_zombie:
            found[int(entry.name)] = CpuTime(int(fields[11]) / _TICKS_PER_S, int(fields[12]) / _TICKS_PER_S)
    return found


def _smaps_rollup(pid: int) -> dict[str, int]:
    values = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        values[name] = int(rest.split()[0]) * 1024
    return values
