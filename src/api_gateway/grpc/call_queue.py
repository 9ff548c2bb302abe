"""The calls that wait for a connection or for a free stream, in order; each leaves when its deadline passes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from ..http2.connection import Connection
from ..model.errors import GatewayError
from .call import Call


class CallQueue:
    """The waiting calls of one channel."""

    def __init__(self, clock: Callable[[], float], on_waited: Callable[[float], None]) -> None:
        """`on_waited` is told for each call that leaves how many seconds it waited."""
        self.calls: OrderedDict[Call[Any], float] = OrderedDict()
        """In the order they came, with the time. Read it; change it by the methods."""
        self._clock = clock
        self._on_waited = on_waited

    def append(self, call: Call[Any]) -> None:
        """Have a call wait, behind all others."""
        call.is_queued = True
        self.calls[call] = self._clock()

    def discard(self, call: Call[Any]) -> None:
        """Take a call out, if it is there."""
        call.is_queued = False
        began_s = self.calls.pop(call, None)
        if began_s is not None:
            self._on_waited(self._clock() - began_s)

    def start_on(self, connection: Connection) -> None:
        """Start calls on a connection as long as it takes any."""
        while self.calls and connection.can_open_stream:
            call, began_s = self.calls.popitem(last=False)
            call.is_queued = False
            self._on_waited(self._clock() - began_s)
            call.start(connection)

    def fail(self, error: Callable[[], GatewayError], *, patient_too: bool = False) -> None:
        """Fail all calls, but those that wait until there is a connection only with `patient_too`."""
        for call in [call for call in self.calls if patient_too or not call.waits_for_ready]:
            call.abandon(error())
