"""The addresses of one service and the connections to each: which there are, which take calls, what became of others.

When a name means other addresses than before, the new ones are connected to, and the old ones drain as soon as one of
the new ones takes calls: never before, so that a wrong answer of a name server takes nothing away.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from ..http2.connection import Connection
from .connectivity import State
from .resolver import Address, Lookup, Resolver
from .subchannel import Subchannel, SubchannelOwner, Surroundings
from .target import Target


class AddressesOwner(SubchannelOwner, Protocol):
    """The channel, as its addresses see it."""

    def needs_addresses(self) -> bool:
        """Whether somebody waits for a name that could not be looked up."""

    def lookup_failed(self, reason: str, retry_in_s: float) -> None:
        """No address is known, and the lookup failed."""


class Addresses:
    """All subchannels of one channel. Implements `ResolverOwner`."""

    def __init__(
        self, owner: AddressesOwner, target: Target, surroundings: Surroundings, *, lookup: Lookup | None = None
    ) -> None:
        self._owner = owner
        self._surroundings = surroundings
        self._loop = surroundings.loop
        self._subchannels: dict[Address, Subchannel] = {}
        self._superseded: dict[Address, Subchannel] = {}
        """Those whose address is gone; in use until one of the others takes calls."""
        self._removed: list[Subchannel] = []
        """Those that drain."""
        self._resolver = Resolver(target, surroundings.options, self, loop=self._loop, lookup=lookup)
        self._is_wanted = False
        """Whether connections are to be opened as soon as addresses are known."""
        self._timer: asyncio.TimerHandle | None = None

    # What the channel asks

    def __len__(self) -> int:
        """Return how many addresses there are."""
        return len(self._subchannels)

    def ready(self) -> list[Connection]:
        """Return the connections that take calls, now that this may have changed."""
        ready = _ready_of(self._subchannels)
        if not self._superseded:
            return ready
        if not ready:
            return _ready_of(self._superseded)
        superseded, self._superseded = self._superseded, {}
        for subchannel in superseded.values():
            self._remove(subchannel)
        return ready

    def connected(self) -> Connection | None:
        """Return a connection with a free stream, whether its address serves or not."""
        return next(
            (each for subchannel in self._subchannels.values() for each in subchannel.ready if each.can_open_stream),
            None,
        )

    def states(self) -> dict[str, State]:
        """Return the connectivity of each address."""
        return {str(address): subchannel.state for address, subchannel in self._subchannels.items()}

    @property
    def state(self) -> State:
        """Connectivity when no connection takes calls: all in one word."""
        if not self._subchannels:
            if not self._resolver.is_looking_up and not self._resolver.is_waiting:
                return State.IDLE
            return State.TRANSIENT_FAILURE if self._resolver.is_failing else State.CONNECTING
        states = {subchannel.state for subchannel in self._subchannels.values()}
        if State.CONNECTING in states:
            return State.CONNECTING
        return State.IDLE if states == {State.IDLE} else State.TRANSIENT_FAILURE

    @property
    def is_not_serving(self) -> bool:
        """Whether there are connections, and all of them to addresses that say that they do not serve."""
        return bool(self.not_serving_reason)

    @property
    def not_serving_reason(self) -> str:
        """What such an address says; empty when there is none, or another one takes calls."""
        reason = ""
        for subchannel in self._subchannels.values():
            state = subchannel.state
            if state is State.READY:
                return ""
            if state is State.NOT_SERVING:
                reason = subchannel.last_error
        return reason

    def tries_before(self, time_s: float) -> bool:
        """Whether any address is tried before this time of the loop's clock."""
        return any(subchannel.tries_before(time_s) for subchannel in self._subchannels.values())

    # What the channel tells

    def connect(self) -> None:
        """Open a connection to every address that has none."""
        self._is_wanted = not self._subchannels
        self._resolver.resolve()
        for subchannel in list(self._subchannels.values()):
            subchannel.connect()
        if self._timer is None:
            self._look_later()

    def open_another(self, room: int) -> Subchannel | None:
        """Open one more connection to the address with the fewest of those that work; return its subchannel."""
        subchannels = self._subchannels.values()
        if sum(subchannel.is_connecting for subchannel in subchannels) >= room:
            return None
        able = [each for each in subchannels if each.ready and each.is_serving and not each.is_busy]
        chosen = min(able, key=_connection_count, default=None)
        if chosen is not None:
            chosen.connect_another()
        return chosen

    def look_again(self) -> None:
        """Look names up soon: a connection failed or was lost, so the service may have moved."""
        self._resolver.resolve_again()

    def retire(self, connection: Connection, reason: str) -> None:
        """Open no more streams on a connection; it closes with its last one."""
        for subchannel in self._all():
            if connection in subchannel.connections:
                subchannel.retire(connection, reason)

    async def aclose(self) -> None:
        """Close every connection and end every task."""
        if self._timer is not None:
            self._timer.cancel()
        await self._resolver.aclose()
        everything = self._all()
        for subchannel in everything:
            subchannel.stop()
        for subchannel in everything:
            await subchannel.aclose()

    def _all(self) -> list[Subchannel]:
        return [*self._subchannels.values(), *self._superseded.values(), *self._removed]

    # Looking again

    def _look_later(self) -> None:
        interval_s = self._surroundings.options.resolve_interval_s
        if interval_s:
            self._timer = self._loop.call_later(interval_s, self._look)

    def _look(self) -> None:
        self._look_later()
        self._resolver.resolve_again()
        stamp = self._surroundings.dialer.stamp()
        for subchannel in list(self._subchannels.values()):
            subchannel.replace_outdated(stamp)

    # ResolverOwner

    def needs_addresses(self) -> bool:
        """Whether a name that could not be looked up should be tried again."""
        return self._owner.needs_addresses()

    def resolved(self, addresses: list[Address]) -> None:
        """Use these addresses, and no others."""
        is_first = not self._subchannels
        added = [address for address in addresses if address not in self._subchannels]
        gone = [address for address in self._subchannels if address not in set(addresses)]
        for address in added:
            self._subchannels[address] = self._revived(address) or Subchannel(address, self._owner, self._surroundings)
        for address in gone:
            self._supersede(address)
        if (added or gone) and not is_first:
            self._surroundings.observer.addresses_changed([str(each) for each in added], [str(each) for each in gone])
        if self._is_wanted:
            self.connect()
        self._removed = [each for each in self._removed if each.connections or each.is_connecting]
        self._owner.serving_changed()
        self._owner.settled()

    def resolve_failed(self, reason: str, retry_in_s: float | None) -> None:
        """Go on with what is known."""
        if retry_in_s is not None:
            self._owner.lookup_failed(reason, retry_in_s)
        else:
            self._surroundings.observer.warned(f"{reason}; the last known addresses stay in use")

    def _revived(self, address: Address) -> Subchannel | None:
        subchannel = self._superseded.pop(address, None)
        if subchannel is not None:
            subchannel.is_superseded = False
        return subchannel

    def _supersede(self, address: Address) -> None:
        subchannel = self._subchannels.pop(address)
        subchannel.is_superseded = True
        if subchannel.ready:
            self._superseded[address] = subchannel
        else:
            self._remove(subchannel)

    def _remove(self, subchannel: Subchannel) -> None:
        self._removed.append(subchannel)
        subchannel.remove("no longer an address of the service")


def _ready_of(subchannels: dict[Address, Subchannel]) -> list[Connection]:
    return [connection for each in subchannels.values() if each.is_serving for connection in each.ready]


def _connection_count(subchannel: Subchannel) -> int:
    return len(subchannel.connections)
