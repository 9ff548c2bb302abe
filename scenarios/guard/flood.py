"""Requests in numbers: pipelined as fast as answers come, or at a steady rate; only statuses and times are kept."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

CONNECTIONS: Final = 8
BATCH: Final = 16
"""Requests that one connection has under way at a time when the rate is not bounded."""
_TIMEOUT_S: Final = 20.0
_IP_BIND_ADDRESS_NO_PORT: Final = 24
"""Linux's number; Python knows the name since 3.12."""
_AT_ONCE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: on, for no time."""
_STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3}) ")


def request(path: str, *headers: str, method: str = "GET") -> bytes:
    """Return a request without a body, to be sent again and again."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: gateway", *headers, "", ""]).encode()


@dataclass(slots=True)
class Answers:
    """What came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    times: list[tuple[float, float, int]] = field(default_factory=list)
    """Monotonic time of each answer, seconds since its request (or batch of requests) was sent, status."""
    lost: int = 0
    """Requests whose connection ended first."""

    def join(self, later: Answers) -> None:
        """Add what came back later."""
        self.statuses.update(later.statuses)
        self.times += later.times
        self.lost += later.lost

    def p99_s(self) -> float:
        """Return the time that 99 of 100 answers did not exceed, 0 without any."""
        ordered = sorted(took_s for _, took_s, _ in self.times)
        return ordered[len(ordered) * 99 // 100] if ordered else 0.0

    def most_within(self, seconds: float, status: int) -> int:
        """Return the most answers of a status in any stretch of time of that length."""
        moments = sorted(moment_s for moment_s, _, found in self.times if found == status)
        most = start = 0
        for end, moment_s in enumerate(moments):
            while moment_s - moments[start] >= seconds:
                start += 1
            most = max(most, end - start + 1)
        return most


class _Line:
    """One keep-alive connection, opened anew when it ended."""

    def __init__(self, port: int, source: str) -> None:
        self._address = ("127.0.0.1", port)
        self._source = source
        self._socket: socket.socket | None = None

    def ask(self, batch: list[bytes]) -> list[int]:
        """Send requests at once and return the statuses of their answers. Raises OSError when some have none."""
        try:
            if self._socket is None:
                self._socket = _connect(self._address, self._source)
            self._socket.sendall(b"".join(batch))
            received = b""
            while len(found := _STATUS.findall(received)) < len(batch):
                # What is left of the last body comes with the next answers; no body has a status line in it.
                data = self._socket.recv(262_144)
                if not data:
                    raise ConnectionResetError("the connection ended")
                received += data
        except OSError:
            self.close()
            raise
        return [int(status) for status in found]

    def close(self) -> None:
        """Close it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _connect(address: tuple[str, int], source: str) -> socket.socket:
    made = socket.socket()
    try:
        made.settimeout(_TIMEOUT_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            # The port is chosen with the connection: it need not be free at every address, only at this pair. And no
            # closed connection waits for its last packets: a hundred thousand of them would hold kernel memory.
            made.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            made.bind((source, 0))
        made.connect(address)
    except OSError:
        made.close()
        raise
    return made


def flood(port: int, requests: Iterable[bytes], *, source: str = "", connections: int = CONNECTIONS) -> Answers:
    """Send every request once, as fast as answers come. `source` is a loopback address to send from."""
    answers = Answers()
    lock = threading.Lock()
    waiting = iter(requests)

    def work() -> None:
        line = _Line(port, source)
        while True:
            with lock:
                batch = list(islice(waiting, BATCH))
            if not batch:
                break
            _ask(line, batch, answers, lock)
        line.close()

    _run(work, connections)
    return answers


def once_from(port: int, sources: Iterable[str], message: bytes, *, connections: int = CONNECTIONS) -> Answers:
    """Send one request from each loopback address, over a connection of its own, as fast as answers come."""
    answers = Answers()
    lock = threading.Lock()
    waiting = iter(sources)

    def work() -> None:
        while True:
            with lock:
                source = next(waiting, None)
            if source is None:
                break
            line = _Line(port, source)
            _ask(line, [message], answers, lock)
            line.close()

    _run(work, connections)
    return answers


def steady(
    port: int, requests: Iterator[bytes], *, rate_per_s: float, seconds: float, connections: int = CONNECTIONS
) -> Answers:
    """Send requests one by one at a rate, each connection in its turn."""
    answers = Answers()
    lock = threading.Lock()
    started_s = time.monotonic()
    numbers = iter(range(int(rate_per_s * seconds)))

    def work() -> None:
        line = _Line(port, "")
        while True:
            with lock:
                number = next(numbers, None)
                if number is None:
                    break
                message = next(requests)
            time.sleep(max(0.0, started_s + number / rate_per_s - time.monotonic()))
            _ask(line, [message], answers, lock)
        line.close()

    _run(work, connections)
    return answers


def _ask(line: _Line, batch: list[bytes], answers: Answers, lock: threading.Lock) -> None:
    sent_s = time.monotonic()
    try:
        statuses = line.ask(batch)
    except OSError:
        with lock:
            answers.lost += len(batch)
        return
    now_s = time.monotonic()
    with lock:
        answers.statuses.update(statuses)
        answers.times += [(now_s, now_s - sent_s, status) for status in statuses]


def _run(work: Callable[[], None], connections: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
