"""What the edge expects of the part that answers requests."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from ..model.errors import GatewayError
from ..model.message import Request, Response


class Application(Protocol):
    """Answers requests. `proxy.Proxy` is the one there is."""

    def handle(self, request: Request) -> Coroutine[Any, None, Response]:
        """Answer one request. Never raises anything but CancelledError, when the client has gone away."""

    def refuse(self, error: GatewayError, *, peer: str) -> Response:
        """Answer what could not be read as a request; it counts in metrics and log like one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeLimits:
    """Bounds of client connections. Times in seconds, sizes in bytes."""

    header_timeout_s: float = 10.0
    body_timeout_s: float = 60.0
    idle_timeout_s: float = 75.0
    max_uri_bytes: int = 8_192
    max_header_bytes: int = 65_536
    max_header_count: int = 100
    max_connections: int = 10_000
    write_timeout_s: float = 30.0
    """How long a client may leave a finished answer unread."""
    max_pipelined: int = 100
    """Requests of one connection that may wait behind the one being answered."""
