"""`POST /admin/refresh-routes`: ask every service now."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Final

import orjson

from ..model.errors import GatewayError, Source
from ..model.exchange import Exchange
from ..model.message import Request, Response
from ..model.policy import Policy
from ..model.status import Code

_PORT: Final = re.compile(rb":\d*$")
_ELSEWHERE: Final = frozenset(
    {
        *(b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip"),
        b"origin",
    }
)
"""Headers of requests that began elsewhere: what proxies add, by their habits, and browsers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshReport:
    """What a refresh found; routes as `GET /api/users/:id`."""

    added: Sequence[str] = ()
    removed: Sequence[str] = ()
    changed: Sequence[str] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    """Services that could not be read, and why; their routes stay as they were."""


class RefreshRoutes:
    """Refreshes the routes of this worker, and tells the others to follow."""

    template = "/admin/refresh-routes"

    def __init__(self, refresh: Callable[[], Awaitable[RefreshReport]], policies: Sequence[Policy]) -> None:
        self._refresh = refresh
        self.policies = policies

    async def answer(self, request: Request) -> Response:
        """Answer with what was added, removed, changed, failed."""
        report = await self._refresh()
        body = {
            "added": list(report.added),
            "removed": list(report.removed),
            "changed": list(report.changed),
            "failed": dict(report.failed),
        }
        return Response(200, [(b"content-type", b"application/json")], orjson.dumps(body))


class LoopbackOnly:
    """Lets only programs on this machine pass, for gateways without an `auth` section (semantics 33).

    The peer of the connection counts, never a header: and a request that a proxy forwarded comes from elsewhere,
    whatever its last hop was. So does one that a page of the web made a browser on this machine send: it names the
    page as its origin or, when the page's name was made to mean this machine (DNS rebinding), a strange host.
    """

    def admit(self, exchange: Exchange, now_s: float) -> None:
        """Raise 403 for everybody else."""
        request = exchange.request
        is_forwarded = not _ELSEWHERE.isdisjoint(request.headers)
        if not _is_loopback(request.peer) or is_forwarded or not _is_local_host(request.headers.get(b"host", b"")):
            raise GatewayError(
                Code.PERMISSION_DENIED,
                "without an auth section this endpoint answers clients on the gateway's own machine only",
                reason="LOOPBACK_ONLY",
                source=Source.CLIENT,
            )

    def settle(self, exchange: Exchange, now_s: float) -> None:
        """Nothing to do."""


def _is_local_host(host: bytes) -> bool:
    """Whether a Host header means this machine by its nature: `localhost`, or a loopback address."""
    name = host.decode("latin-1").rpartition(":")[0] if _PORT.search(host) else host.decode("latin-1")
    return not name or name.lower() == "localhost" or _is_loopback(name.strip("[]"))


def _is_loopback(peer: str) -> bool:
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    # A listener on `::` sees IPv4 clients as `::ffff:127.0.0.1`, which Python before 3.13 does not count as loopback.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
