"""Which addresses a service has: its names looked up, again and again; addresses written as such stay what they are.

An answer that is empty, or none, changes nothing: the last good addresses of that name stay in use (fault B19).
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from .backoff import Backoff
from .connectivity import MAX_ADDRESSES, ChannelOptions
from .target import Target, host_and_port

MIN_INTERVAL_S: Final = 2.0
"""Least time between two lookups because connections fail: enough to follow a roll-out, no load on a name server."""

Lookup = Callable[[str, int], Awaitable[Sequence[tuple[str, int]]]]
"""Returns the addresses and ports of a name and a port. Raises OSError or UnicodeError when there are none."""


@dataclass(frozen=True, slots=True)
class Address:
    """One place to connect to."""

    host: str
    """IPv4 or IPv6 address in text."""
    port: int
    server_name: str = ""
    """Name to verify by TLS; empty without TLS."""

    def __str__(self) -> str:
        return host_and_port(self.host, self.port)


class ResolverOwner(Protocol):
    """Who is told how lookups end."""

    def resolved(self, addresses: list[Address]) -> None:
        """These are the addresses, at least one."""

    def needs_addresses(self) -> bool:
        """Whether a name that could not be looked up should be tried again."""

    def resolve_failed(self, reason: str, retry_in_s: float | None) -> None:
        """A name could not be looked up; told once while it goes on.

        Without any address known it is told each time, and the next lookup follows after `retry_in_s`.
        """


class Resolver:
    """Looks up the names of one target. `aclose` when done."""

    def __init__(
        self,
        target: Target,
        options: ChannelOptions,
        owner: ResolverOwner,
        *,
        loop: asyncio.AbstractEventLoop,
        lookup: Lookup | None = None,
    ) -> None:
        self._endpoints = target.endpoints
        self._options = options
        self._owner = owner
        self._loop = loop
        self._lookup = lookup or self._getaddrinfo
        self._known: dict[Target, list[Address]] = {}
        """The last good addresses of each endpoint."""
        self._chosen: list[Address] = []
        self._backoff = Backoff(options.max_backoff_s)
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last_end_s = -MIN_INTERVAL_S
        self._is_closed = False
        self._told_problem = ""
        for endpoint in self._endpoints:
            if _is_address(endpoint.host):
                self._known[endpoint] = [_address(endpoint, endpoint.host, endpoint.port)]
        self.is_static = all(endpoint in self._known for endpoint in self._endpoints)
        """Whether there is nothing to look up."""

    @property
    def is_looking_up(self) -> bool:
        """Whether a lookup is under way."""
        return self._task is not None

    @property
    def is_failing(self) -> bool:
        """Whether the last lookup failed and nothing is known yet."""
        return self._backoff.interval_s > 0

    @property
    def is_waiting(self) -> bool:
        """Whether the next lookup has its time."""
        return self._timer is not None

    def resolve(self) -> None:
        """Tell the addresses as soon as they are known, if they were not told yet: before returning, or later."""
        if self._chosen or self._is_closed:
            return
        if self.is_static:
            self._choose()
        elif self._timer is None:
            self._start()

    def resolve_again(self) -> None:
        """Look up once more: connections failed, or it is time. Not more often than every `MIN_INTERVAL_S`."""
        if self.is_static or self._task is not None or self._timer is not None or self._is_closed:
            return
        wait_s = self._last_end_s + MIN_INTERVAL_S - self._loop.time()
        if wait_s > 0:
            self._timer = self._loop.call_later(wait_s, self._start)
        else:
            self._start()

    async def aclose(self) -> None:
        """Stop looking up."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _start(self) -> None:
        self._timer = None
        if self._task is None and not self._is_closed:
            self._task = self._loop.create_task(self._look_up_all(), name="resolve")

    def _retry_due(self) -> None:
        self._timer = None
        if self._owner.needs_addresses():
            self._start()

    async def _look_up_all(self) -> None:
        started_s = self._loop.time()
        problems: list[str] = []
        try:
            names = [each for each in self._endpoints if not _is_address(each.host)]
            problems = [text for text in await asyncio.gather(*map(self._look_up_one, names)) if text]
        finally:
            self._task = None
            self._last_end_s = self._loop.time()
        if any(self._known.values()):
            self._backoff.reset()
            self._choose()
            self._tell("; ".join(problems))
        else:
            wait_s = self._backoff.failed(started_s, self._last_end_s)
            self._timer = self._loop.call_later(wait_s, self._retry_due)
            self._owner.resolve_failed("; ".join(problems), wait_s)

    def _tell(self, problem: str) -> None:
        """Tell of a problem when it begins; a name server that is away for hours is no news every minute."""
        if problem and problem != self._told_problem:
            self._owner.resolve_failed(problem, None)
        self._told_problem = problem

    async def _look_up_one(self, endpoint: Target) -> str:
        """Keep what a name means now; return the problem if there is one."""
        try:
            async with asyncio.timeout(self._options.connect_timeout_s):
                found = await self._lookup(endpoint.host, endpoint.port)
        except TimeoutError:
            return f"{endpoint.host}: no answer of the resolver within {self._options.connect_timeout_s:g} s"
        except (OSError, UnicodeError) as error:
            # UnicodeError: a host that no name server can be asked for.
            return f"{endpoint.host}: {error}"
        if not found:
            return f"{endpoint.host}: the name has no address"
        self._known[endpoint] = [_address(endpoint, host, port) for host, port in found]
        return ""

    def _choose(self) -> None:
        """Tell the addresses; of too many, those used until now and others at random."""
        every = list(dict.fromkeys(address for known in self._known.values() for address in known))
        if len(every) > MAX_ADDRESSES:
            kept = [address for address in self._chosen if address in set(every)][:MAX_ADDRESSES]
            fresh = [address for address in every if address not in set(kept)]
            every = [*kept, *random.sample(fresh, MAX_ADDRESSES - len(kept))]
        self._chosen = every
        self._owner.resolved(every)

    async def _getaddrinfo(self, host: str, port: int) -> Sequence[tuple[str, int]]:
        found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [(_with_scope(address), int(address[1])) for *_, address in found]


def _with_scope(address: tuple[object, ...]) -> str:
    """Return the host of a socket address; a link-local one is of no use without its interface."""
    host = str(address[0])
    return f"{host}%{address[3]}" if len(address) == 4 and address[3] and "%" not in host else host


def _address(endpoint: Target, host: str, port: int) -> Address:
    return Address(host, port, endpoint.tls.domain if endpoint.tls is not None else "")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
