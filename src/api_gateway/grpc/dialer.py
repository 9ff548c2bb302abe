"""Opens the transports of a channel's connections: TCP, and TLS where the target has it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final

from ..http2.connection import Connection
from ..http2.tls import ClientContexts, FileStamp, require_h2
from .connectivity import ChannelOptions
from .resolver import Address
from .target import Target

_USER_TIMEOUT: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)
"""Linux has it (RFC 5482); without it a black hole is noticed by keepalive alone."""


class Dialer:
    """Knows how connections to one service are made, whatever the address."""

    def __init__(self, target: Target, options: ChannelOptions, *, loop: asyncio.AbstractEventLoop) -> None:
        tls = target.tls
        self._contexts = (
            ClientContexts(tls.ca_path, tls.client_cert_path, tls.client_key_path) if tls is not None else None
        )
        self._user_timeout_ms = int(options.keepalive_timeout_s * 1000) if options.keepalive_interval_s else 0
        self._loop = loop

    @property
    def is_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self._contexts is not None

    def stamp(self) -> FileStamp:
        """Look at the TLS files; connections made while they looked different had better be replaced."""
        return self._contexts.stamp() if self._contexts is not None else ()

    async def open(self, address: Address, connection: Connection) -> None:
        """Connect a connection to an address.

        Raises OSError, TlsError, or ValueError for a name that no certificate can have.
        """
        context = self._contexts.context() if self._contexts is not None else None
        if context is not None:
            # A name that no certificate can have is refused here; the loops would forget a socket over it.
            context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=address.server_name)
        transport, _ = await self._loop.create_connection(
            lambda: connection,
            address.host,
            address.port,
            ssl=context,
            server_hostname=address.server_name if context is not None else None,
        )
        if context is not None:
            require_h2(transport)
        if self._user_timeout_ms and _USER_TIMEOUT is not None and not connection.is_closed:
            # G52: what was sent and not acknowledged for so long ends the connection, even while nothing is read.
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, self._user_timeout_ms)
