"""What the edge expects of the part that answers requests."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from ..deadlines import DeadlineWheel
from ..model.errors import GatewayError
from ..model.message import Request, Response
from .hang_ups import HangUps


class Application(Protocol):
    """Answers requests. `proxy.Proxy` is the one there is."""

    def handle(self, request: Request) -> Response | Coroutine[Any, None, Response]:
        """Answer one request, at once if nothing has to be waited for.

        The coroutine never raises anything but CancelledError, when the client has gone away.
        """

    def refuse(self, error: GatewayError, *, peer: str) -> Response:
        """Answer what could not be read as a request; it counts in metrics and log like one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeLimits:
    """Bounds of client connections. Times in seconds, sizes in bytes."""

    header_timeout_s: float = 10.0
    """From a request's first byte to the end of its header; trickling does not extend it."""
    body_timeout_s: float = 60.0
    """What a body gets beyond that. The time in which the gateway itself holds the client back does not count."""
    idle_timeout_s: float = 75.0
    """How long a connection may wait for its next request."""
    write_timeout_s: float = 30.0
    """How long a client may leave an answer unread; one that takes 1 KiB a second or more may go on."""
    linger_s: float = 1.0
    """How long a connection that is about to close still takes what is on its way: a request while draining, or bytes
    to be thrown away behind the last answer, which a reset would destroy."""
    max_uri_bytes: int = 8_192
    max_header_bytes: int = 65_536
    max_header_count: int = 100
    """Fields of one request; as many again may stand in the trailer of a chunked body, and are thrown away."""
    max_connections: int = 10_000
    max_pipelined: int = 100
    """Requests of one connection that may wait behind the one being answered."""


class Connection(Protocol):
    """One client connection, as the server sees it."""

    @property
    def peer(self) -> str:
        """Address of the client."""

    def drain(self) -> None:
        """Close after what is being answered."""

    def abort(self) -> None:
        """Close at once, and cancel what is being answered."""


class ConnectionSet(Protocol):
    """The server, as its connections see it."""

    limits: EdgeLimits
    wheel: DeadlineWheel
    hang_ups: HangUps
    clock: Callable[[], float]
    application: Application
    is_draining: bool

    def opened(self, connection: Connection) -> bool:
        """Take note of a connection; False when there are too many."""

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""


def nobody() -> None:
    """Stands in for the callback of a connection that is gone: nobody is left to be told."""
