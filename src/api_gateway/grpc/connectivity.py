"""The words about a channel's connections: states, bounds, and who hears of changes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from ..http2.connection import CONNECTION_WINDOW_BYTES
from .backoff import MAX_BACKOFF_S
from .retries import NO_RETRIES, RetryPolicy

SHORT_LIFE_S: Final = 1.0
MAX_SHORT_LIVES: Final = 2
"""A backend that drops connections within `SHORT_LIFE_S`, without having served a call, is called back at once this
often, then with backoff: SETTINGS start the backoff over, and nothing else would keep calls from hammering it."""
DEFAULT_RECONNECT_GRACE_S: Final = 4.0
"""Long enough for the third attempt (0 s, 1 s, 2.6 s, each with jitter) after a connection was lost."""
MAX_ADDRESSES: Final = 100
"""Addresses of one service that a worker connects to; of a larger set, as many at random. Connections cost memory at
both ends, and with this many the load is even enough."""


class State(Enum):
    """Connectivity of a channel or of one address (grpc doc/connectivity-semantics-and-api.md)."""

    IDLE = "idle"
    CONNECTING = "connecting"
    READY = "ready"
    TRANSIENT_FAILURE = "transient_failure"
    NOT_SERVING = "not_serving"
    """Of an address only: connected, but its health service says that it does not serve."""
    SHUTDOWN = "shutdown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOptions:
    """Bounds of a channel. Everything that happens by the clock alone is off unless it is asked for."""

    pool_size: int = 10
    """Most connections in all, but for the one that every address gets and for those that replace another."""
    connect_timeout_s: float = 20.0
    max_message_bytes: int = 16 * 1024 * 1024
    max_queued_calls: int = 1_000
    reconnect_grace_s: float = DEFAULT_RECONNECT_GRACE_S
    max_backoff_s: float = MAX_BACKOFF_S
    """Longest wait between two attempts to connect to one address."""
    resolve_interval_s: float = 0.0
    """Time between two looks at the addresses of names and at the TLS files; 0: only when a connection fails."""
    keepalive_interval_s: float = 0.0
    """Silence on a connection after which it is asked for a sign of life; 0: never."""
    keepalive_timeout_s: float = 20.0
    """How long that sign may take before the connection is given up."""
    keepalive_without_calls: bool = False
    """Whether connections without calls are asked too."""
    max_connection_age_s: float = 0.0
    """Age at which a connection is replaced by a new one, +-10 %; 0: never."""
    health_service: str | None = None
    """Name to watch by grpc.health.v1, where "" is the server as a whole; None: no watch."""
    connection_window_bytes: int = CONNECTION_WINDOW_BYTES
    """Data a backend may send on one connection before it is received."""
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

    def replaced(self, reason: str) -> None:
        """A connection drains in favour of a new one that is ready."""

    def connect_failed(self, reason: str, retry_in_s: float) -> None:
        """An attempt failed; the next one follows after `retry_in_s`.

        Of an address among several, only the first failure in a row with the same reason is told.
        """

    def addresses_changed(self, added: list[str], removed: list[str]) -> None:
        """The names of the service mean other addresses than before."""

    def serving_changed(self, address: str, is_serving: bool, reason: str) -> None:
        """By its health service, an address now takes calls, or takes none."""

    def warned(self, reason: str) -> None:
        """Something was noticed that an operator should know of; nothing was lost."""

    def call_waited(self, waited_s: float) -> None:
        """A call that could not be placed at once left the queue, to be sent or because it ended."""

    def retried(self, result: str) -> None:
        """A retry ended: `succeeded`, `failed`; or there was none: `throttled`, `refused` (`retries.py`)."""


class SilentObserver:
    """A channel observer that has nothing to tell."""

    def connections_changed(self, count: int) -> None:
        """Do nothing."""

    def connected(self) -> None:
        """Do nothing."""

    def disconnected(self, reason: str) -> None:
        """Do nothing."""

    def replaced(self, reason: str) -> None:
        """Do nothing."""

    def connect_failed(self, reason: str, retry_in_s: float) -> None:
        """Do nothing."""

    def addresses_changed(self, added: list[str], removed: list[str]) -> None:
        """Do nothing."""

    def serving_changed(self, address: str, is_serving: bool, reason: str) -> None:
        """Do nothing."""

    def warned(self, reason: str) -> None:
        """Do nothing."""

    def call_waited(self, waited_s: float) -> None:
        """Do nothing."""

    def retried(self, result: str) -> None:
        """Do nothing."""


if TYPE_CHECKING:
    _observer: type[ChannelObserver] = SilentObserver
