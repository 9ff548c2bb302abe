"""How many of a worker's connections one address may hold, so that a single client cannot take them all (F10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..policy.client_address import Client


class AddressShare:
    """Counts open connections by the peer's key: an IPv4 address or an IPv6 /64. Bounded by the open connections."""

    __slots__ = ("_counts", "_identify", "_max_connections")

    def __init__(self, identify: Callable[[str], Client], max_connections: int) -> None:
        """`identify` tells who a peer is. Trusted proxies are exempt: they speak for many."""
        self._identify = identify
        self._max_connections = max_connections
        self._counts: dict[bytes, int] = {}

    def take(self, peer: str) -> bool:
        """Count a new connection of a peer; False when it has as many as it may have, and then nothing is counted."""
        client = self._identify(peer)
        if client.is_trusted:
            return True
        count = self._counts.get(client.key, 0)
        if count >= self._max_connections:
            return False
        self._counts[client.key] = count + 1
        return True

    def give_back(self, peer: str) -> None:
        """Forget one connection of a peer for which `take` was True."""
        client = self._identify(peer)
        if client.is_trusted:
            return
        count = self._counts[client.key] - 1
        if count:
            self._counts[client.key] = count
        else:
            del self._counts[client.key]
