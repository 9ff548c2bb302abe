"""Requests and responses as every part sees them, whatever HTTP version carried them."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import Protocol

from .headers import HeaderBlock
from .websocket import Conversation, Handshake

HeaderList = list[tuple[bytes, bytes]]
"""Field names in lower case and values, in order."""


class Body(Protocol):
    """A request body that may still be arriving."""

    def read(self, limit_bytes: int, deadline_s: float = math.inf) -> bytes | Awaitable[bytes]:
        """Return the whole body, or an awaitable of it while parts are missing.

        Raises GatewayError (413, closing) when it is longer than `limit_bytes`; the rest is then not read. 408 when it
        is not there by `deadline_s`, a monotonic time.
        """

    def chunks(self, limit_bytes: int | None) -> AsyncGenerator[bytes, None]:
        """Iterate over the parts as they arrive; a slow reader holds the client by flow control.

        Raises GatewayError (413, closing) once more than `limit_bytes` have come. With None the body may be of any
        length and take any time: the reader sees to that. Close it if it is not read to its end.
        """


class Request:
    """One request. `path` and `query` are raw (percent-encoded) text; only `path` starts with a slash.

    `headers` maps lower-case names to values; repeated fields are joined with `, ` in their order (RFC 9110 section
    5.3) and their names are in `repeated`. `peer` is the address of the other end of the connection, without the port.
    """

    __slots__ = (
        "body",
        "handshake",
        "headers",
        "http_version",
        "is_tls",
        "method",
        "path",
        "peer",
        "query",
        "repeated",
        "started_s",
    )

    def __init__(
        self,
        *,
        method: str,
        path: str,
        query: str,
        headers: dict[bytes, bytes],
        repeated: frozenset[bytes],
        body: Body | None,
        peer: str,
        started_s: float,
        http_version: str = "1.1",
        is_tls: bool = False,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.repeated = repeated
        self.body = body
        """None when the request has no body."""
        self.peer = peer
        self.started_s = started_s
        """Monotonic time of the first byte."""
        self.http_version = http_version
        self.handshake: Handshake | None = None
        """What a request for a WebSocket asks for."""
        self.is_tls = is_tls


class Response:
    """One response. Exactly one of `body` and `stream` is used; `stream` yields parts that are flushed one by one."""

    __slots__ = ("body", "close", "common", "conversation", "headers", "status", "stream")

    def __init__(
        self,
        status: int,
        headers: HeaderList,
        body: bytes = b"",
        *,
        stream: AsyncIterator[bytes] | None = None,
        close: bool = False,
        common: HeaderBlock | None = None,
    ) -> None:
        self.status = status
        self.headers = headers
        """Without `content-length`, `connection` and `date`, which belong to the connection."""
        self.common = common
        """Header fields that follow `headers`."""
        self.body = body
        self.stream = stream
        self.conversation: Conversation | None = None
        """What follows a 101, instead of a body."""
        self.close = close
        """Whether the connection must be closed after it."""
