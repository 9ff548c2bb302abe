"""Child processes that say when they are ready, and never outlive their test.

A child prints one line of JSON with `"event": "ready"` once it serves. Everything else it prints is collected.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
"""The project's folder."""
READY_TIMEOUT_S = 120.0
"""Longest start. Generous, because tests share the machine with other tests."""
STOP_TIMEOUT_S = 90.0
"""How long a child may take to stop by itself before it is killed. Generous, too."""
MAX_LINES = 20_000
"""Most lines kept of one stream; the oldest go first."""

Ready = dict[str, Any]


class ProcessFailedError(Exception):
    """A child ended, or took too long, before it was ready. The text contains what it printed."""


def ready_message(line: str) -> Ready | None:
    """Return the ready message if `line` is one."""
    if not line.startswith("{"):
        return None
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if message.get("event") == "ready" else None


class Output:
    """Lines of one stream of a child, read by a thread of its own so that the child never blocks on a full pipe."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._read, name="child output", daemon=True)
        self._thread.start()

    @property
    def lines(self) -> list[str]:
        """All lines so far, without their ends."""
        with self._changed:
            return list(self._lines)

    def text(self) -> str:
        """Return everything so far."""
        return "\n".join(self.lines)

    def wait_for(self, accept: Callable[[str], bool], *, timeout_s: float = STOP_TIMEOUT_S) -> str:
        """Return the first line, old or new, that `accept` takes.

        Raises TimeoutError, or EOFError when the child closed the stream without such a line.
        """
        found: list[str] = []

        def is_over() -> bool:
            found.extend(line for line in self._lines if accept(line))
            return bool(found) or self._is_closed

        with self._changed:
            if not self._changed.wait_for(is_over, timeout_s):
                raise TimeoutError(f"no such line within {timeout_s} s")
        if not found:
            raise EOFError("the stream ended without such a line")
        return found[0]

    def join(self) -> None:
        """Wait until the child, and whoever inherited the stream from it, closed it."""
        self._thread.join(STOP_TIMEOUT_S)

    def _read(self) -> None:
        with self._stream:
            for line in self._stream:
                with self._changed:
                    self._lines.append(line.rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()


class ChildProcess:
    """A running child. Use it as a context manager, or call `stop` in the end.

    The child leads a process group, so that what it forked goes with it, and it holds the reading end of a pipe as its
    standard input: children that watch for the end of input stop even when this process is killed.
    """

    def __init__(self, arguments: Sequence[str], *, environment: Mapping[str, str] | None = None) -> None:
        self.arguments = tuple(arguments)
        self._process = subprocess.Popen(
            self.arguments,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.stdout = Output(self._process.stdout)
        self.stderr = Output(self._process.stderr)
        self.ready: Ready = {}
        """The ready message, once `wait_until_ready` has returned."""

    @property
    def pid(self) -> int:
        """Process id, which is the id of its group too."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    def wait_until_ready(
        self, parse: Callable[[str], Ready | None] = ready_message, *, timeout_s: float = READY_TIMEOUT_S
    ) -> Ready:
        """Return the ready message. Raises ProcessFailedError, and then the child is gone."""
        try:
            line = self.stdout.wait_for(lambda line: parse(line) is not None, timeout_s=timeout_s)
        except (TimeoutError, EOFError) as error:
            code = self.kill() if isinstance(error, TimeoutError) else self.stop()
            raise ProcessFailedError(
                f"{' '.join(self.arguments)} was not ready ({error}); exit code {code}\n"
                f"stdout:\n{self.stdout.text()}\nstderr:\n{self.stderr.text()}"
            ) from error
        self.ready = parse(line) or {}
        return self.ready

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the child alone; nothing happens when it has ended."""
        self._process.send_signal(number)

    def close_stdin(self) -> None:
        """End its standard input, as the death of this process would."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Return the exit code once it has ended. Raises subprocess.TimeoutExpired."""
        code = self._process.wait(timeout_s)
        self._close()
        return code

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Ask it to stop (SIGTERM), kill it if it does not; returns the exit code. May be called twice."""
        self._process.terminate()
        try:
            return self.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End it and everything it started, at once; returns the exit code."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return self.wait()

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _close(self) -> None:
        # Whoever the child forked and left behind would keep the pipes open, and the readers with them.
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.close_stdin()
        self.stdout.join()
        self.stderr.join()


def start_process(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    parse: Callable[[str], Ready | None] = ready_message,
    timeout_s: float = READY_TIMEOUT_S,
) -> ChildProcess:
    """Start a program and wait until it is ready. Raises ProcessFailedError."""
    process = ChildProcess(arguments, environment=environment)
    process.wait_until_ready(parse, timeout_s=timeout_s)
    return process


def start_python(
    module: str,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    parse: Callable[[str], Ready | None] = ready_message,
    timeout_s: float = READY_TIMEOUT_S,
) -> ChildProcess:
    """Start `python -m module` with the project's source in its path and wait until it is ready."""
    return start_process(
        python_command(module, *arguments),
        environment={**python_environment(), **(environment or {})},
        parse=parse,
        timeout_s=timeout_s,
    )


def python_command(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the command line that runs a module with this interpreter."""
    return (sys.executable, "-m", module, *arguments)


def python_environment() -> dict[str, str]:
    """Return the variables by which a child finds the project's source and ours.

    What PYTHONPATH names comes first: so the same tests can run against the compiled gateway.
    """
    inherited = os.environ.get("PYTHONPATH", "")
    paths = [*filter(None, inherited.split(os.pathsep)), str(ROOT / "src"), str(ROOT)]
    return {"PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "PYTHONUNBUFFERED": "1"}
