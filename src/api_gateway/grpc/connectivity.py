"""The words about a channel's connections: states, bounds, and who hears of changes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from .retries import NO_RETRIES, RetryPolicy

INITIAL_BACKOFF_S: Final = 1.0
BACKOFF_FACTOR: Final = 1.6
MAX_BACKOFF_S: Final = 120.0
BACKOFF_JITTER: Final = 0.2
"""The four numbers of grpc doc/connection-backoff.md."""
SHORT_LIFE_S: Final = 1.0
MAX_SHORT_LIVES: Final = 2
"""A backend that drops connections within `SHORT_LIFE_S`, without having served a call, is called back at once this
often, then with backoff: SETTINGS start the backoff over, and nothing else would keep calls from hammering it."""
DEFAULT_RECONNECT_GRACE_S: Final = 4.0
"""Long enough for the third attempt (0 s, 1 s, 2.6 s, each with jitter) after a connection was lost."""


class State(Enum):
    """Connectivity of a channel (grpc doc/connectivity-semantics-and-api.md)."""

    IDLE = "idle"
    CONNECTING = "connecting"
    READY = "ready"
    TRANSIENT_FAILURE = "transient_failure"
    SHUTDOWN = "shutdown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOptions:
    """Bounds of a channel."""

    pool_size: int = 10
    connect_timeout_s: float = 20.0
    max_message_bytes: int = 16 * 1024 * 1024
    max_queued_calls: int = 1_000
    reconnect_grace_s: float = DEFAULT_RECONNECT_GRACE_S
    user_agent: str = "api-gateway"
    retry: RetryPolicy = NO_RETRIES
    """For calls that are said to be idempotent."""
    compressed_from_bytes: int | None = None
    """Shortest message that is sent compressed; None: none is."""


class ChannelObserver(Protocol):
    """Who is told what happens to a channel's connections."""

    def connections_changed(self, count: int) -> None:
        """The number of open connections is now `count`."""

    def connected(self) -> None:
        """A connection is ready."""

    def disconnected(self, reason: str) -> None:
        """A connection that had been ready is gone or draining."""

    def connect_failed(self, reason: str, retry_in_s: float) -> None:
        """An attempt failed; the next one follows after `retry_in_s`."""

    def retried(self, result: str) -> None:
        """A retry ended: `succeeded`, `failed`; or there was none: `throttled`, `refused` (`retries.py`)."""
