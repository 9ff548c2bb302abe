"""An event loop whose clock jumps: where nothing happens, the next timer is due at once. Sockets work as ever.

For tests of time itself: a backoff of two minutes takes 20 ms, and nothing that is measured depends on the machine.
The clock stands still while code runs and while the kernel works, however long both take, so a machine that stops for
a second changes nothing.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

REAL_WAIT_S = 0.02
"""How long the kernel gets for what is on its way between two sockets of this process before the clock jumps."""
TURN_S = 1e-5
"""What a turn of the loop takes by its clock: not nothing, so that timers come due in a loop that is always busy."""
START_S = 1_000.0

T = TypeVar("T")


class _JumpingSelector(selectors.SelectSelector):
    """Waits a moment for sockets; then says that the whole wait has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = START_S

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now_s += TURN_S
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(REAL_WAIT_S)
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
