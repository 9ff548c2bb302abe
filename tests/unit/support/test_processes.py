"""Children start, are heard, and always end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.processes import ChildProcess, ProcessFailedError, ready_message, start_process

READY = 'print(\'{"event": "ready", "port": 7}\', flush=True);'
WAIT = "import signal; signal.pause();"


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-c", code)


@contextmanager
def started(code: str) -> Iterator[ChildProcess]:
    with start_process(python(code)) as process:
        yield process


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param('{"event": "ready", "port": 1}', {"event": "ready", "port": 1}, id="ready"),
        pytest.param('{"event": "else"}', None, id="another_event"),
        pytest.param("{broken", None, id="not_json"),
        pytest.param("listening", None, id="plain_text"),
        pytest.param("[]", None, id="not_an_object"),
    ],
)
def test_ready_message(line: str, expected: object) -> None:
    assert ready_message(line) == expected


def test_the_ready_message_may_come_after_other_lines() -> None:
    with started("print('hello');" + READY + WAIT) as process:
        assert process.ready["port"] == 7
        assert process.stdout.lines[0] == "hello"
        assert process.exit_code is None


def test_stop_ends_it_by_sigterm_and_may_be_repeated() -> None:
    with started(READY + WAIT) as process:
        assert process.stop() == -signal.SIGTERM
        assert process.stop() == -signal.SIGTERM
    assert not is_alive(process.pid)


def test_a_child_that_ignores_sigterm_is_killed() -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + READY + "signal.pause()"
    with started(code) as process:
        assert process.stop(timeout_s=0.1) == -signal.SIGKILL


def test_a_child_that_ends_early_is_reported_with_its_words() -> None:
    with pytest.raises(ProcessFailedError, match=r"(?s)exit code 3.*no luck"):
        start_process(python("import sys; print('no luck', file=sys.stderr); sys.exit(3)"))


def test_a_child_that_is_never_ready_is_killed() -> None:
    process = ChildProcess(python(WAIT))
    with pytest.raises(ProcessFailedError, match=r"within 0\.1 s"):
        process.wait_until_ready(timeout_s=0.1)
    assert process.exit_code == -signal.SIGKILL


def test_a_full_pipe_never_blocks_the_child() -> None:
    with started("print('x' * 1_000_000);" + READY + WAIT) as process:
        assert len(process.stdout.lines[0]) == 1_000_000


def test_grandchildren_go_with_the_child() -> None:
    code = "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()']);"
    with started(code + "print(child.pid, flush=True);" + READY + WAIT) as process:
        assert is_alive(int(process.stdout.lines[0]))
    # The grandchild inherited the stream, so its end is the end of both.
    with pytest.raises(EOFError):
        process.stdout.wait_for(lambda line: line == "never", timeout_s=0)


def test_wait_for_finds_lines_that_come_later() -> None:
    with started(READY + "import sys; print('got', sys.stdin.read(), file=sys.stderr)") as process:
        process.send_signal(signal.SIGCONT)
        with pytest.raises(TimeoutError):
            process.stderr.wait_for(lambda line: line.startswith("got"), timeout_s=0.05)
        process.kill()
        with pytest.raises(EOFError):
            process.stderr.wait_for(lambda line: line.startswith("got"))
