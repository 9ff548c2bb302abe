"""Well-behaved HTTP/1.1 clients at a steady rate, which tell apart what a stopping gateway may and may not do.

Each has one keep-alive connection, honours `connection: close`, uses no connection that has been closed meanwhile, and
never repeats a request.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.gateway import Answer, Client, RunningGateway

CONNECTIONS = 8
PATIENCE_S = 60.0
"""Longest wait for what will happen, on however slow a machine."""
OK = 200
Send = Callable[[Client, str], Answer]
"""Sends the request with this id and returns its answer."""


@dataclass(slots=True)
class Outcome:
    """What became of all requests. Complete once the load has ended."""

    statuses: Counter[int] = field(default_factory=Counter)
    """Answered requests."""
    lost: list[str] = field(default_factory=list)
    """Requests on a connection that had been used before, or of which an answer had begun: cut off."""
    turned_away: list[str] = field(default_factory=list)
    """Requests on new connections that ended without a byte: the kernel had accepted them, nobody else."""
    refused: int = 0
    """Connections that could not be made. The client stops then."""
    others: list[str] = field(default_factory=list)
    """Answers that are not 200, in full."""

    @property
    def answered(self) -> int:
        """Requests that got an answer."""
        return self.statuses.total()

    def assert_all_served(self, gateway: RunningGateway) -> None:
        """Fail unless every request was answered with 200; then say what else happened, and what the gateway logged."""
        problems = [*self.lost, *self.turned_away, *self.others, *["refused"] * self.refused]
        if problems:
            lines = [line for line in gateway.log() if line["fields"].get("status") != OK]
            raise AssertionError("\n".join([f"of {self.answered} answers:", *problems, *map(str, lines)]))
        assert self.answered > 0


class SteadyLoad:
    """The clients, as threads. `stop` them, or let them end when no connection can be made any more."""

    def __init__(self, port: int, send: Send, *, rate_per_s: float, stops_when_refused: bool) -> None:
        self.outcome = Outcome()
        self._port = port
        self._send = send
        self._interval_s = CONNECTIONS / rate_per_s
        self._stops_when_refused = stops_when_refused
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CONNECTIONS)]
        for thread in self._threads:
            thread.start()

    def wait_for(self, answers: int, *, timeout_s: float = PATIENCE_S) -> None:
        """Wait until so many more answers have come."""
        wanted = self.outcome.answered + answers
        deadline_s = time.monotonic() + timeout_s
        while self.outcome.answered < wanted:
            assert time.monotonic() < deadline_s, f"only {self.outcome} after {timeout_s} s"
            time.sleep(0.005)

    def join(self, *, timeout_s: float = PATIENCE_S) -> Outcome:
        """Wait for the clients to end by themselves."""
        for thread in self._threads:
            thread.join(timeout_s)
            assert not thread.is_alive(), "a client still waits"
        return self.outcome

    def stop(self) -> Outcome:
        """Let each client finish its request, and end."""
        self._is_over.set()
        return self.join()

    def _run(self, number: int) -> None:
        # Spread over the interval, so that the rate is steady and not a row of bursts.
        due_s = time.monotonic() + self._interval_s * number / CONNECTIONS
        count = 0
        client: Client | None = None
        while not self._is_over.wait(max(0.0, due_s - time.monotonic())):
            due_s += self._interval_s
            count += 1
            if client is not None and client.is_ended():
                client.close()
                client = None
            is_new = client is None
            client = client or Client(self._port)
            if self._ask(client, f"{number}-{count}", is_new=is_new):
                continue
            client.close()
            client = None
            if self.outcome.refused and self._stops_when_refused:
                return
        if client is not None:
            client.close()

    def _ask(self, client: Client, request_id: str, *, is_new: bool) -> bool:
        """Send one request; return whether the connection may be used again."""
        outcome = self.outcome
        try:
            answer = self._send(client, request_id)
        except ConnectionRefusedError:
            outcome.refused += 1
            return False
        except (OSError, http.client.HTTPException) as error:
            is_untouched = is_new and isinstance(error, ConnectionResetError | http.client.RemoteDisconnected)
            (outcome.turned_away if is_untouched else outcome.lost).append(f"{request_id}: {error!r}")
            return False
        with self._lock:
            outcome.statuses[answer.status] += 1
            if answer.status != OK:
                outcome.others.append(f"{request_id}: {answer}")
        return not client.is_closed


@contextmanager
def steady_load(
    port: int, send: Send, *, rate_per_s: float = 200.0, stops_when_refused: bool = True
) -> Iterator[SteadyLoad]:
    """Send requests until the context ends."""
    load = SteadyLoad(port, send, rate_per_s=rate_per_s, stops_when_refused=stops_when_refused)
    try:
        yield load
    finally:
        load.stop()
