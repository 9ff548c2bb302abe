"""One bounded queue between everybody who logs and the file descriptor that takes the lines.

Whoever logs must never wait for whoever reads the log. So lines are queued and a daemon thread writes them; when the
reader stops, the queue fills up and further lines are counted and dropped.
"""

from __future__ import annotations

import os
import select
import stat
import threading
import time
import weakref
from collections import deque
from typing import Final

_ATOMIC_BYTES: Final = select.PIPE_BUF
"""Most bytes that enter a pipe in one piece (POSIX write). All workers share one pipe: larger writes may interleave."""

_CHUNK_BYTES: Final = 256 * 1024
"""Most bytes of one write where no other process can interleave."""
_NEWLINE: Final = 0x0A


class LogWriter:
    """Write lines to a file descriptor without ever making the caller wait.

    Safe to call from every thread. The descriptor stays open. After a fork the child has its own empty queue and its
    own thread, which starts with its first line; lines queued before the fork are the parent's.

    A process that forks should have no thread and sets `is_threaded` to False: then each call writes what goes without
    waiting and keeps the rest for the next call. It may be switched on in the child, before its first line.
    """

    def __init__(
        self,
        fd: int = 1,
        *,
        max_queued_bytes: int = 8 * 1024 * 1024,
        max_queued_lines: int = 32_768,
        flush_interval_s: float = 0.1,
        is_threaded: bool = True,
        is_shared: bool = False,
    ) -> None:
        """Prepare; the bounds hold more than a second of access log at the highest rate one worker reaches.

        After a burst the thread writes again `flush_interval_s` later, so it wakes up ten times a second at most; the
        first line after a pause is written at once. `is_shared` says that other processes write to the same descriptor.
        """
        self._fd = fd
        self._max_queued_bytes = max_queued_bytes
        self._max_queued_lines = max_queued_lines
        self._flush_interval_s = flush_interval_s
        self.is_threaded = is_threaded
        # Each write gives the interpreter lock up and must win it back from the event loop: 12 us of a request's 70
        # when every twelve lines are a write of their own. So one write takes as much as it may.
        self._chunk_bytes = _ATOMIC_BYTES if is_shared and _is_pipe(fd) else _CHUNK_BYTES
        self._start_over()
        _writers.add(self)

    def _start_over(self) -> None:
        self.dropped_lines = 0
        """Lines lost in this process: the queue was full or the descriptor failed."""
        # Reentrant: a signal handler or a finalizer may log while this very thread is in `write`.
        self._lock = threading.RLock()
        self._lines: deque[bytes] = deque()
        self._held_bytes = 0
        self._held_lines = 0
        self._is_idle = True
        self._is_closed = False
        self._ends_mid_line = False
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._wake_up = threading.Lock()
        self._wake_up.acquire()

    def write(self, line: bytes) -> None:
        """Queue one line, which ends with its only newline; count it as dropped when the queue is full."""
        size = len(line)
        with self._lock:
            is_full = self._held_bytes + size > self._max_queued_bytes or self._held_lines >= self._max_queued_lines
            if is_full or self._is_closed:
                self.dropped_lines += 1
                return
            self._held_bytes += size
            self._held_lines += 1
            self._lines.append(line)
            if not self._is_idle:
                # The thread comes back by itself: under load no line pays for waking it.
                return
            self._is_idle = False
        self._rouse()

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what is queued, for at most `timeout_s`, then count the rest and every later line as dropped."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            was_idle, self._is_idle = self._is_idle, False
        thread = self._thread
        if thread is None:
            self._write_queued(until_s=time.monotonic() + timeout_s)
        else:
            self._closing.set()
            if was_idle:
                self._wake_up.release()
            thread.join(timeout_s)
        with self._lock:
            self.dropped_lines += self._held_lines
            self._held_lines = self._held_bytes = 0
            self._lines.clear()

    def _rouse(self) -> None:
        if self.is_threaded and self._thread is not None:
            self._wake_up.release()
            return
        if self.is_threaded:
            thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # No more threads, or the interpreter is ending: the next line tries again.
                pass
            else:
                self._thread = thread
                return
        else:
            self._write_queued(until_s=0.0)
        self._is_idle = True

    def _run(self) -> None:
        while True:
            self._write_queued(until_s=None)
            if self._closing.wait(self._flush_interval_s):
                self._write_queued(until_s=None)
                return
            with self._lock:
                if self._lines:
                    continue
                if self._is_closed:
                    return
                self._is_idle = True
            self._wake_up.acquire()

    def _write_queued(self, *, until_s: float | None) -> None:
        """Write until the queue is empty, waiting no longer than the monotonic time `until_s` (None: for ever)."""
        while self._lines:
            if until_s is not None and not self._is_writable(max(0.0, until_s - time.monotonic())):
                return
            lines = self._take_chunk()
            self._write_chunk(b"".join(lines))
            with self._lock:
                # After `close` gave up, the lines in hand were already counted as dropped.
                if self._held_lines:
                    self._held_lines -= len(lines)
                    self._held_bytes -= sum(map(len, lines))

    def _is_writable(self, may_wait_s: float | None) -> bool:
        poller = select.poll()
        poller.register(self._fd, select.POLLOUT)
        return bool(poller.poll(None if may_wait_s is None else may_wait_s * 1000))

    def _take_chunk(self) -> list[bytes]:
        """Take as many whole lines as enter a pipe in one piece, but one at least."""
        with self._lock:
            chunk: list[bytes] = []
            room = self._chunk_bytes
            while self._lines and (not chunk or len(self._lines[0]) <= room):
                line = self._lines.popleft()
                room -= len(line)
                chunk.append(line)
            return chunk

    def _write_chunk(self, data: bytes) -> None:
        is_mended = self._ends_mid_line
        if is_mended:
            data = b"\n" + data
        rest = self._write_all(data)
        written = len(data) - len(rest)
        if rest:
            with self._lock:
                self.dropped_lines += rest.count(b"\n") - (is_mended and not written)
        if written:
            self._ends_mid_line = data[written - 1] != _NEWLINE

    def _write_all(self, data: bytes) -> bytes:
        """Return what could not be written: the reader is gone, the disk is full, the descriptor was closed."""
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                # Somebody who shares the descriptor made it non-blocking.
                if not (self.is_threaded and self._is_writable(None)):
                    break
            except OSError:
                break
        return data


_writers: weakref.WeakSet[LogWriter] = weakref.WeakSet()


def _is_pipe(fd: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return False


def _start_over_after_fork() -> None:
    for writer in _writers:
        writer._start_over()


os.register_at_fork(after_in_child=_start_over_after_fork)
