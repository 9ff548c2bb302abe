"""Listeners and their connections: accept, limit, drain."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Final

from ..deadlines import DeadlineWheel
from ..waiting import Pending
from .application import Application, EdgeLimits
from .http1 import Http1Connection

BACKLOG: Final = 2_048
"""Connections the kernel may hold for us; a burst of reconnecting clients fits."""


def listen(host: str, port: int) -> socket.socket:
    """Bind and return a listening TCP socket. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and host == "::":
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


class Server:
    """All client connections of one worker. Implements `edge.http1.ConnectionSet`."""

    def __init__(
        self,
        application: Application,
        limits: EdgeLimits,
        *,
        loop: asyncio.AbstractEventLoop,
        wheel: DeadlineWheel,
    ) -> None:
        self.application = application
        self.limits = limits
        self.wheel = wheel
        self.is_draining = False
        self._loop = loop
        self._connections: set[Http1Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._listeners: Sequence[socket.socket] = ()
        self._empty: Pending[None] | None = None

    @property
    def connection_count(self) -> int:
        """Open client connections."""
        return len(self._connections)

    async def start(self, listeners: Sequence[socket.socket]) -> None:
        """Accept connections on listening sockets, which stay the caller's."""
        self._listeners = listeners
        for listener in listeners:
            self._servers.append(await self._loop.create_server(self._connection, sock=listener.dup()))

    def _connection(self) -> Http1Connection:
        return Http1Connection(self, self._loop)

    def opened(self, connection: Http1Connection) -> bool:
        """Take note of a connection; False when there are too many."""
        if len(self._connections) >= self.limits.max_connections:
            return False
        self._connections.add(connection)
        return True

    def closed(self, connection: Http1Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        if self._empty is not None and not self._connections:
            self._empty.resolve(None)

    async def drain(self, timeout_s: float) -> bool:
        """Stop accepting and let what is in flight finish; return whether all did within `timeout_s`.

        Connections the kernel had already accepted for us are served too. What is left at the end is cut off.
        """
        self.is_draining = True
        await self._accept_backlog()
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.drain()
        is_clean = True
        if self._connections:
            self._empty = Pending()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._empty
            except TimeoutError:
                is_clean = False
        for connection in list(self._connections):
            connection.abort()
        return is_clean

    async def _accept_backlog(self) -> None:
        for listener in self._listeners:
            while True:
                try:
                    accepted, _ = listener.accept()
                except (BlockingIOError, InterruptedError, OSError):
                    break
                accepted.setblocking(False)
                await self._loop.connect_accepted_socket(self._connection, accepted)
