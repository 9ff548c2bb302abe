"""Asks silent connections for a sign of life (gRFC A8, reliability G51): one timer a connection, nothing per call."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ..http2.connection import Connection
from .connectivity import ChannelOptions


@dataclass(slots=True)
class KeepalivePolicy:
    """When the next connections of a channel are asked."""

    interval_s: float
    """Silence after which a connection is asked; 0: never."""
    timeout_s: float
    without_calls: bool

    @classmethod
    def of(cls, options: ChannelOptions) -> KeepalivePolicy:
        """Return what the options say."""
        return cls(options.keepalive_interval_s, options.keepalive_timeout_s, options.keepalive_without_calls)

    def slow_down(self) -> None:
        """Double the interval: a backend found that it is asked too often (G40)."""
        self.interval_s *= 2


class Keepalive:
    """Watches one connection from when it is ready until `stop`. A connection that does not answer is aborted."""

    def __init__(self, connection: Connection, policy: KeepalivePolicy, *, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._interval_s = policy.interval_s
        self._timeout_s = policy.timeout_s
        self._without_calls = policy.without_calls
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = loop.call_later(policy.interval_s, self._look)

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        connection = self._connection
        now_s = self._loop.time()
        # The interval runs from the last byte that was read, whatever it was, not from the last PING.
        due_s = connection.last_read_s + self._interval_s
        if now_s < due_s:
            self._timer = self._loop.call_at(due_s, self._look)
        elif not self._without_calls and len(connection.streams) <= connection.quiet_streams:
            # Nobody would notice a dead connection now. A call that comes next is covered from the next look on.
            self._timer = self._loop.call_later(self._interval_s, self._look)
        else:
            connection.ping()
            self._timer = self._loop.call_later(self._timeout_s, self._judge, now_s)

    def _judge(self, asked_s: float) -> None:
        self._timer = None
        connection = self._connection
        if connection.last_read_s <= asked_s:
            connection.abort(f"no sign of life within {self._timeout_s:g} s after a PING (keepalive)")
        else:
            self._look()
