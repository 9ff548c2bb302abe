"""Listeners and their connections: accept, limit, drain."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Final

from ..deadlines import DeadlineWheel
from ..waiting import Pending
from .address_share import AddressShare
from .application import Application, Connection, EdgeLimits
from .hang_ups import HangUps
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
    """All client connections of one worker. Implements `edge.application.ConnectionSet`."""

    def __init__(
        self,
        application: Application,
        limits: EdgeLimits,
        *,
        loop: asyncio.AbstractEventLoop,
        wheel: DeadlineWheel,
        share: AddressShare | None = None,
    ) -> None:
        """`share` bounds the connections of one address; without it only `limits` counts."""
        self.application = application
        self.limits = limits
        self.wheel = wheel
        self.hang_ups = HangUps(loop)
        self.clock: Callable[[], float] = loop.time
        self.is_draining = False
        self._share = share
        self._loop = loop
        self._connections: set[Connection] = set()
        self._servers: list[asyncio.Server] = []
        self._listeners: Sequence[socket.socket] = ()
        self._empty: Pending[None] | None = None

    @property
    def connection_count(self) -> int:
        """Open client connections."""
        return len(self._connections)

    async def start(self, listeners: Sequence[socket.socket]) -> None:
        """Accept connections on listening sockets. `drain` closes them; until then they are the caller's."""
        self._listeners = listeners
        for listener in listeners:
            # Without a backlog, the loop would listen again with one of 100.
            server = await self._loop.create_server(self._connection, sock=listener.dup(), backlog=BACKLOG)
            self._servers.append(server)

    def _connection(self) -> Http1Connection:
        return Http1Connection(self, self._loop)

    def opened(self, connection: Connection) -> bool:
        """Take note of a connection; False when there are too many, of its address or in all."""
        if len(self._connections) >= self.limits.max_connections:
            return False
        if self._share is not None and not self._share.take(connection.peer):
            return False
        self._connections.add(connection)
        return True

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        if connection in self._connections:
            self._connections.remove(connection)
            if self._share is not None:
                self._share.give_back(connection.peer)
        if self._empty is not None and not self._connections:
            self._empty.resolve(None)

    async def drain(self, timeout_s: float) -> bool:
        """Stop accepting and let what is in flight finish; return whether all did within `timeout_s`.

        Connections that the kernel or the loop had already accepted for us are served too. What is left at the end is
        cut off, and cancelled before this returns. When this is cancelled, connections stay as they are.
        """
        self.is_draining = True
        for accepted in self._stop_accepting():
            await self._loop.connect_accepted_socket(self._connection, accepted)
        # Whom the loop accepted a moment ago only the loop knows of: uvloop calls `connection_made` in its next turn.
        await asyncio.sleep(0)
        for connection in self._connections:
            connection.drain()
        is_clean = await self._is_emptied(timeout_s)
        for connection in list(self._connections):
            connection.abort()
        self.hang_ups.close()
        return is_clean

    def _stop_accepting(self) -> list[socket.socket]:
        """Close the listeners; return what clients had opened before.

        Nothing is awaited between the last accept and the close: whoever comes later must be refused, or sent to
        another process that listens on the same port, and not be left in a queue that nobody looks at.
        """
        for server in self._servers:
            server.close()
        accepted = []
        for listener in self._listeners:
            try:
                while True:
                    connection, _ = listener.accept()
                    connection.setblocking(False)
                    accepted.append(connection)
            except OSError:
                # The queue is empty; or there are no descriptors left, and then whoever waits in it is turned away.
                pass
            listener.close()
        return accepted

    async def _is_emptied(self, timeout_s: float) -> bool:
        if self._connections:
            self._empty = Pending()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._empty
            except TimeoutError:
                return False
        return True
