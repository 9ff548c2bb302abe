"""Whoever logs never waits, and nothing is lost without being counted."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_gateway.telemetry.log_writer import LogWriter
from tests.unit.telemetry.forking import run_forking


class Pipe:
    """A pipe whose reader reads only when asked to."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.data = b""
        self._thread: threading.Thread | None = None

    def read_all(self) -> None:
        """Read in a thread until the writing end is closed."""
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def finish(self) -> list[bytes]:
        """Close the writing end and return all lines."""
        os.close(self.writer)
        self.writer = -1
        if self._thread is None:
            self._read()
        else:
            self._thread.join()
        return self.data.splitlines(keepends=True)

    def _read(self) -> None:
        while data := os.read(self.reader, 65_536):
            self.data += data


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    for fd in (pipe.reader, pipe.writer):
        if fd >= 0:
            os.close(fd)


def test_lines_arrive_in_order(pipe: Pipe) -> None:
    pipe.read_all()
    writer = LogWriter(pipe.writer)
    lines = [b"line %d\n" % number for number in range(5_000)]
    for line in lines:
        writer.write(line)
    writer.close(timeout_s=30)
    assert pipe.finish() == lines
    assert writer.dropped_lines == 0


@pytest.mark.parametrize("is_threaded", [True, False])
def test_stopped_reader_costs_lines_and_never_time(pipe: Pipe, is_threaded: bool) -> None:
    """D12: with the pipe full, writing goes on at once, the queue stays bounded, and lost lines are counted."""
    writer = LogWriter(pipe.writer, max_queued_bytes=100_000, flush_interval_s=0.001, is_threaded=is_threaded)
    line = b"x" * 99 + b"\n"
    for _ in range(20_000):
        writer.write(line)
    dropped = writer.dropped_lines
    assert dropped > 10_000

    pipe.read_all()
    writer.close(timeout_s=30)
    received = pipe.finish()
    assert set(received) == {line}
    assert len(received) + writer.dropped_lines == 20_000


def test_queue_is_bounded_in_lines(pipe: Pipe) -> None:
    """C13: short lines have a bound of their own."""
    _fill(pipe.writer)
    writer = LogWriter(pipe.writer, max_queued_lines=100, is_threaded=False)
    for _ in range(150):
        writer.write(b"\n")
    assert writer.dropped_lines == 50
    writer.close(timeout_s=0)
    assert writer.dropped_lines == 150


def test_close_gives_up_when_nobody_reads(pipe: Pipe) -> None:
    """D12: a stopped reader does not hold the shutdown."""
    _fill(pipe.writer)
    writer = LogWriter(pipe.writer)
    writer.write(b"one\n")
    writer.close(timeout_s=0.01)
    writer.write(b"two\n")
    assert writer.dropped_lines == 2


@pytest.mark.parametrize("is_threaded", [True, False])
def test_reader_that_went_away_costs_lines_only(is_threaded: bool) -> None:
    """D12: EPIPE."""
    reader, fd = os.pipe()
    os.close(reader)
    writer = LogWriter(fd, is_threaded=is_threaded)
    for _ in range(3):
        writer.write(b"lost\n")
    writer.close(timeout_s=30)
    assert writer.dropped_lines == 3
    os.close(fd)


@pytest.mark.parametrize("is_threaded", [True, False])
def test_closed_descriptor_costs_lines_only(is_threaded: bool) -> None:
    """D12: EBADF."""
    reader, fd = os.pipe()
    # A number that no other test's file can take meanwhile.
    high = fcntl.fcntl(fd, fcntl.F_DUPFD, 900)
    for number in (reader, fd, high):
        os.close(number)
    writer = LogWriter(high, is_threaded=is_threaded)
    writer.write(b"lost\n")
    writer.close(timeout_s=30)
    assert writer.dropped_lines == 1


def test_full_disk_costs_lines_only() -> None:
    """D12: ENOSPC."""
    fd = os.open("/dev/full", os.O_WRONLY) if Path("/dev/full").exists() else pytest.skip("only Linux has /dev/full")
    writer = LogWriter(fd)
    writer.write(b"lost\n")
    writer.close(timeout_s=30)
    assert writer.dropped_lines == 1
    os.close(fd)


def test_non_blocking_descriptor_is_waited_for(pipe: Pipe) -> None:
    """Whoever shares our stdout may have made it non-blocking."""
    os.set_blocking(pipe.writer, False)
    writer = LogWriter(pipe.writer)
    lines = [b"%d %s\n" % (number, b"x" * 15_000) for number in range(50)]
    for line in lines:
        writer.write(line)
    pipe.read_all()
    writer.close(timeout_s=30)
    assert pipe.finish() == lines
    assert writer.dropped_lines == 0


def test_line_after_a_torn_one_begins_on_its_own(pipe: Pipe) -> None:
    """A write that failed in the middle must not spoil the next line."""
    os.set_blocking(pipe.writer, False)
    writer = LogWriter(pipe.writer, is_threaded=False)
    capacity = _fill(pipe.writer)
    os.read(pipe.reader, 8_192)
    writer.write(b"x" * 16_000 + b"\n")
    assert writer.dropped_lines == 1
    os.read(pipe.reader, capacity)
    writer.write(b"whole\n")
    assert pipe.finish()[-1] == b"whole\n"
    assert writer.dropped_lines == 1


def test_writes_are_whole_lines_that_enter_a_pipe_in_one_piece(pipe: Pipe) -> None:
    """Workers share the pipe; only writes up to PIPE_BUF never interleave. A packet pipe shows each write apart."""
    if not hasattr(os, "O_DIRECT") or not hasattr(os, "pipe2"):
        pytest.skip("only Linux has packet pipes")
    reader, fd = os.pipe2(os.O_DIRECT)
    writer = LogWriter(fd, is_shared=True)
    lines = [b"%d %s\n" % (number, b"x" * 900) for number in range(20)]
    for line in lines:
        writer.write(line)
    writer.close(timeout_s=30)
    os.close(fd)
    writes = []
    while data := os.read(reader, 65_536):
        writes.append(data)
    os.close(reader)
    assert b"".join(writes) == b"".join(lines)
    assert all(data.endswith(b"\n") and len(data) <= 4_096 for data in writes)
    assert len(writes) < len(lines)


def test_threads_may_write_at_once(pipe: Pipe) -> None:
    pipe.read_all()
    writer = LogWriter(pipe.writer)

    def write() -> None:
        for _ in range(2_000):
            writer.write(b"x\n")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close(timeout_s=30)
    assert pipe.finish() == [b"x\n"] * 8_000


def test_signal_handler_may_log_while_its_thread_does(pipe: Pipe) -> None:
    """A handler or a finalizer runs in the middle of whatever its thread was doing, with the lock held."""
    writer = LogWriter(pipe.writer)
    with writer._lock:
        writer.write(b"from a handler\n")
    writer.close(timeout_s=30)
    assert pipe.finish() == [b"from a handler\n"]


def test_close_twice_and_without_lines(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writer)
    writer.close()
    writer.close()
    assert writer.dropped_lines == 0


def test_forked_children_have_their_own_queue_and_thread(tmp_path: Path) -> None:
    """R: nothing is written twice or lost when a process with a writer forks."""
    lines = run_forking("writers", tmp_path).splitlines()
    expected = [b"%s %d" % (name, number) for name in (b"one", b"two") for number in range(100)]
    assert sorted(lines) == sorted([b"parent", b"parent threaded", *expected])


def _fill(fd: int) -> int:
    """Fill a pipe; return how much it took."""
    was_blocking = os.get_blocking(fd)
    os.set_blocking(fd, False)
    taken = 0
    try:
        while True:
            taken += os.write(fd, b"\n" * 4_096)
    except BlockingIOError:
        os.set_blocking(fd, was_blocking)
        return taken
