"""Which traces are recorded: a share of those that begin here, and what the callers of others decided."""

from __future__ import annotations

from typing import Final

_IDS: Final = 1 << 64


class Sampling:
    """The rule of one gateway (OpenTelemetry: parent-based trace-id-ratio, or trace-id-ratio alone)."""

    __slots__ = ("_bound", "follows_parent")

    def __init__(self, ratio: float, *, follows_parent: bool = True) -> None:
        """Pick a share of `ratio`, 0 to 1; with `follows_parent` only of the traces that begin here."""
        self._bound = round(ratio * _IDS)
        self.follows_parent = follows_parent
        """Whether a caller's decision stands."""

    def picks(self, trace_id: str) -> bool:
        """Decide by the last 64 bits of a trace id, 32 hex digits, as everybody with the same ratio does."""
        if self._bound == _IDS:
            return True
        return self._bound > 0 and int(trace_id[16:], 16) < self._bound
