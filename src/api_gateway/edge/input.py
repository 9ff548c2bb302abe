"""The way in from one client: holding it back, and hearing that it goes away meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from .application import nobody
from .hang_ups import HangUps

_NONE: Final = -1


class Input:
    """Whether one transport is read. `on_gone` is called when the client closes its side, or resets, while it is not.

    Whoever has one ends it with its connection.
    """

    __slots__ = ("_descriptor", "_hang_ups", "_on_gone", "_transport", "is_paused")

    def __init__(self, transport: asyncio.Transport, hang_ups: HangUps, on_gone: Callable[[], None]) -> None:
        self.is_paused = False
        """Whether the client is held back."""
        self._transport = transport
        self._hang_ups = hang_ups
        self._on_gone = on_gone
        self._descriptor = _NONE

    def pause(self) -> None:
        """Read nothing for now."""
        if self.is_paused:
            return
        self.is_paused = True
        self._transport.pause_reading()
        connection = self._transport.get_extra_info("socket")
        self._descriptor = _NONE if connection is None else connection.fileno()
        if self._descriptor != _NONE:
            self._hang_ups.watch(self._descriptor, self._on_gone)

    def resume(self) -> bool:
        """Go on reading; return whether that is a change."""
        if not self.is_paused:
            return False
        self.is_paused = False
        self.close()
        self._transport.resume_reading()
        return True

    def end(self) -> None:
        """Let go of the connection, which would hold itself otherwise until the garbage collector comes by."""
        self.close()
        self._on_gone = nobody

    def close(self) -> None:
        """Hear no more of the client."""
        if self._descriptor != _NONE:
            self._hang_ups.forget(self._descriptor, self._on_gone)
            self._descriptor = _NONE
