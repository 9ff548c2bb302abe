"""An event loop whose clock jumps: where nothing happens, the next timer is due at once. Sockets work as ever.

For tests of time itself: a backoff of two minutes takes 20 ms, and nothing that is measured depends on the machine.
The clock stands still while code runs and while the kernel works, however long both take, so a machine that stops for
a second changes nothing. That the kernel has no packet left is asked, not guessed: a busy one delivers them late.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import socket
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

REAL_WAIT_S = 0.02
"""How long nothing must happen before the clock jumps."""
MAX_CPUS = 16
"""Processors that are asked whether they have packets left."""
TURN_S = 1e-5
"""What a turn of the loop takes by its clock: not nothing, so that timers come due in a loop that is always busy."""
START_S = 1_000.0

T = TypeVar("T")


class Loopback:
    """Knows when everything that was sent on loopback has arrived: packets of one processor do not overtake each other.

    On Linux one is sent from each processor that this thread may have run on; elsewhere from wherever it runs.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(1.0)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.connect(self._socket.getsockname())

    def settle(self) -> None:
        """Return when what was sent before has arrived."""
        if not hasattr(os, "sched_setaffinity"):
            self._send_and_receive()
            return
        cpus = os.sched_getaffinity(0)
        try:
            for cpu in sorted(cpus)[:MAX_CPUS]:
                os.sched_setaffinity(0, {cpu})
                self._send_and_receive()
        finally:
            os.sched_setaffinity(0, cpus)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send_and_receive(self) -> None:
        # Datagrams may be dropped, and then there is nothing to wait for.
        with suppress(TimeoutError):
            self._socket.send(b"!")
            self._socket.recv(1)


class _JumpingSelector(selectors.SelectSelector):
    """Waits a moment for sockets; then says that the whole wait has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = START_S
        self._loopback = Loopback()

    def close(self) -> None:
        super().close()
        self._loopback.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now_s += TURN_S
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(REAL_WAIT_S)
        if not ready:
            self._loopback.settle()
            ready = super().select(0)
        if not ready:
            self.now_s += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer, and passes in no other way."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the clock, which started at `START_S`."""
        return self._jumping.now_s


def run_in_virtual_time(scenario: Coroutine[Any, Any, T]) -> T:
    """Run a scenario to its end and return its result."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(scenario)
