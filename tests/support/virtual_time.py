"""An event loop whose clock jumps: where nothing happens, the next timer is due at once. Sockets work as ever.

For tests of time itself: a backoff of two minutes takes 20 ms, and nothing that is measured depends on the machine.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

REAL_WAIT_S = 0.02
"""How long the kernel gets for what is on its way between two sockets of this process before the clock jumps."""

T = TypeVar("T")


class _JumpingSelector(selectors.SelectSelector):
    """Waits a moment for sockets; then skips the rest of the wait."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= REAL_WAIT_S:
            return super().select(timeout)
        ready = super().select(REAL_WAIT_S)
        if not ready:
            self.skipped_s += timeout - REAL_WAIT_S
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the clock: real time and all that was skipped."""
        return super().time() + self._jumping.skipped_s


def run_in_virtual_time(scenario: Coroutine[Any, Any, T]) -> T:
    """Run a scenario to its end and return its result."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(scenario)
