"""One service as its callers see it: a channel picks a connection for each call, or has the call wait for one.

Calls are placed on a connection at once when one has a free stream. Otherwise they wait in a bounded queue while
connections are being opened, and fail with UNAVAILABLE when that has failed (grpc doc/wait-for-ready.md). One
exception, on purpose: after a connection that worked was lost, calls wait up to `reconnect_grace_s` for the next
attempts, so that a backend's quick restart is a delay and not an error.

Which connections there are is the work of `subchannel.py`, one for each address; which addresses, of `resolver.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from ..deadlines import DeadlineWheel
from ..http2.connection import Connection
from ..model.errors import GatewayError, unavailable
from ..model.message import HeaderList
from ..model.trace import Trace
from . import failures
from .addresses import Addresses
from .call import Call
from .call_head import CallHeads
from .call_queue import CallQueue
from .connectivity import ChannelObserver, ChannelOptions, State
from .dialer import Dialer
from .health import watch_head
from .keepalive import KeepalivePolicy
from .resolver import Lookup
from .retries import Retries
from .stream_call import StreamCall
from .subchannel import Subchannel, Surroundings
from .target import Target
from .unary_call import UnaryCall

GROW_AT_STREAMS: Final = 40
"""Open streams on the picked connection from which another one is opened, if the pool allows."""


class Channel:
    """All connections of one worker to one service. Not thread-safe. `aclose` when done.

    `lookup` stands in for the system's resolver.
    """

    def __init__(
        self,
        name: str,
        target: Target,
        options: ChannelOptions,
        *,
        loop: asyncio.AbstractEventLoop,
        wheel: DeadlineWheel,
        observer: ChannelObserver,
        lookup: Lookup | None = None,
    ) -> None:
        self.name = name
        self.target = target
        self.max_message_bytes = options.max_message_bytes
        self.wheel = wheel
        self.clock: Callable[[], float] = loop.time
        self._loop = loop
        self._options = options
        self._observer = observer
        self._heads = CallHeads(target, options.user_agent, compressed_from_bytes=options.compressed_from_bytes)
        self._connections: set[Connection] = set()
        """All that are open, ready or not, draining or not."""
        self._ready: list[Connection] = []
        """Those that take new streams, of all addresses that serve; replaced, never changed."""
        self._next = 0
        self._queue = CallQueue(loop.time, observer.call_waited)
        self._growing: Subchannel | None = None
        """Where the pool's last additional connection was opened, or could not be."""
        self._grace_until_s = 0.0
        self._last_error = "not connected yet"
        self._is_shut_down = False
        self.retries = Retries(options.retry, loop=loop, place=self._place_again, on_result=observer.retried)
        self._addresses = Addresses(
            self,
            target,
            Surroundings(
                options=options,
                dialer=Dialer(target, options, loop=loop),
                keepalive=KeepalivePolicy.of(options),
                queue=self._queue,
                observer=observer,
                health_head=watch_head(target, options.user_agent),
                loop=loop,
            ),
            lookup=lookup,
        )

    # Calls

    def unary(
        self,
        path: bytes,
        message: bytes,
        *,
        deadline_s: float,
        metadata: HeaderList,
        waits_for_ready: bool = False,
        is_idempotent: bool = False,
        trace: Trace | None = None,
    ) -> UnaryCall:
        """Start a unary call of `/package.Service/Method`; await what comes back.

        `deadline_s` is a time of the loop's clock. The metadata must be sendable (`transcoding/headers.py`). With
        `trace` every attempt is recorded and sends its own `traceparent`, which must not be in the metadata, too.
        """
        call = UnaryCall(
            self,
            self._heads.of(path),
            message,
            deadline_s=deadline_s,
            metadata=metadata,
            waits_for_ready=waits_for_ready,
            is_idempotent=is_idempotent,
            trace=trace,
        )
        self._place(call)
        return call

    def stream(
        self,
        path: bytes,
        *,
        deadline_s: float,
        metadata: HeaderList,
        waits_for_ready: bool = False,
        is_idempotent: bool = False,
        ignores_health: bool = False,
        trace: Trace | None = None,
    ) -> StreamCall:
        """Start a call with any number of messages each way.

        With `ignores_health` a backend that says it does not serve is called all the same.
        """
        call = StreamCall(
            self,
            self._heads.of(path),
            deadline_s=deadline_s,
            metadata=metadata,
            waits_for_ready=waits_for_ready,
            is_idempotent=is_idempotent,
            trace=trace,
        )
        connection = self._addresses.connected() if ignores_health and not self._ready else None
        if connection is not None:
            call.start(connection)
        else:
            self._place(call)
        return call

    def _place(self, call: Call[Any]) -> None:
        # Where calls wait, no stream is free: whoever frees one starts the first of them.
        connection = self._pick() if not self._queue.calls else None
        if connection is not None:
            call.start(connection)
        else:
            self._enqueue(call)

    def _pick(self) -> Connection | None:
        """Return the less busy one of the next two connections in turn: no look at all, and yet no queue at one."""
        ready = self._ready
        if not ready:
            return None
        self._next += 1
        connection = ready[self._next % len(ready)]
        if len(ready) > 1:
            other = ready[(self._next + 1) % len(ready)]
            if len(other.streams) < len(connection.streams):
                connection = other
        if len(connection.streams) >= GROW_AT_STREAMS:
            self._grow()
        if connection.can_open_stream:
            return connection
        return next((each for each in ready if each.can_open_stream), None)

    def _enqueue(self, call: Call[Any]) -> None:
        now_s = self._loop.time()
        if call.deadline_s <= now_s:
            call.expire(now_s)
        elif self._is_shut_down:
            call.abandon(unavailable("the gateway is shutting down", "SHUTTING_DOWN"))
        elif not call.waits_for_ready and self.state is State.TRANSIENT_FAILURE:
            call.abandon(self._unreachable())
        elif len(self._queue.calls) >= self._options.max_queued_calls:
            call.abandon(
                unavailable("too many requests are waiting for this service", "UPSTREAM_QUEUE_FULL", service=self.name)
            )
        else:
            self._queue.append(call)
            if self._ready:
                self._grow()
            elif len(self._queue.calls) == 1:
                # Whoever comes later finds everything under way, or is seen when that has ended.
                self.settled()

    def retry(self, call: Call[Any]) -> None:
        """Place a call again, in the loop's next turn: its old connection is in the middle of something."""
        self._loop.call_soon(self._place_again, call)

    def _place_again(self, call: Call[Any]) -> None:
        if not call.done():
            self._place(call)

    def retire(self, connection: Connection, reason: str) -> None:
        """Open no more streams on a connection; it closes with its last one."""
        self._addresses.retire(connection, reason)

    def has_connection(self) -> bool:
        """Whether calls that wait do so for a free stream. For calls."""
        return bool(self._ready)

    def forget(self, call: Call[Any]) -> None:
        """Take a call out of the queue."""
        self._queue.discard(call)

    def _drain_queue(self) -> None:
        for connection in self._ready:
            if not self._queue.calls:
                return
            self._queue.start_on(connection)
        if self._queue.calls and self._ready:
            self._grow()

    def _unreachable(self) -> GatewayError:
        if self._addresses.is_not_serving:
            return failures.not_serving(self.name, self._last_error)
        return failures.unreachable(self.name, self._last_error)

    # State

    @property
    def state(self) -> State:
        """Connectivity now."""
        if self._is_shut_down:
            return State.SHUTDOWN
        if self._ready:
            return State.READY
        state = self._addresses.state
        if state is State.TRANSIENT_FAILURE and self._loop.time() < self._grace_until_s:
            return State.CONNECTING
        return state

    @property
    def address_states(self) -> dict[str, State]:
        """Connectivity of each address; empty before they are known."""
        return self._addresses.states()

    @property
    def last_error(self) -> str:
        """Why the last attempt or connection failed, for operators."""
        return self._last_error

    @property
    def open_streams(self) -> int:
        """Streams open on all connections."""
        return sum(len(connection.streams) for connection in self._connections)

    @property
    def queued_calls(self) -> int:
        """Calls that wait for a connection or a stream."""
        return len(self._queue.calls)

    def connect(self) -> None:
        """Open a connection to every address that has none, without waiting for a call."""
        if not self._is_shut_down:
            self._addresses.connect()

    async def aclose(self) -> None:
        """Fail what waits, close every connection and end every task."""
        self._is_shut_down = True
        self._last_error = "the gateway is shutting down"
        self._queue.fail(self._unreachable, patient_too=True)
        self.retries.close(self._unreachable)
        await self._addresses.aclose()

    def _grow(self) -> None:
        """Open one more connection, where there are fewest, unless the pool is full or the last one is not open yet."""
        if len(self._connections) >= self._options.pool_size or (self._growing is not None and self._growing.is_busy):
            return
        self._growing = self._addresses.open_another(self._options.pool_size - len(self._connections))

    # SubchannelOwner

    def needs(self, subchannel: Subchannel) -> bool:
        """Whether an address that is not connected should be tried again now, unasked.

        Not when nobody waits: the next call or the next look of discovery connects.
        """
        if self._queue.calls or self._loop.time() < self._grace_until_s:
            return True
        return bool(self._ready) and not subchannel.ready

    def patient_until_s(self) -> float:
        """Return until when calls wait for the next attempts, as a time of the loop's clock; 0 when they do not."""
        return self._grace_until_s

    def opened(self, connection: Connection) -> None:
        """A connection exists; it takes no calls yet."""
        self._connections.add(connection)
        self._observer.connections_changed(len(self._connections))

    def closed(self, connection: Connection) -> None:
        """A connection exists no more."""
        self._connections.discard(connection)
        self._observer.connections_changed(len(self._connections))

    def ready(self) -> None:
        """A connection became ready."""
        self._grace_until_s = 0.0
        self._observer.connected()
        self._choose_ready()
        self._drain_queue()

    def lost(self, reason: str) -> None:
        """A connection takes no more calls, and none took its place."""
        self._last_error = reason
        self._choose_ready()
        if not self._is_shut_down:
            if not self._ready:
                self._grace_until_s = self._loop.time() + self._options.reconnect_grace_s
            self._observer.disconnected(reason)
            self._addresses.look_again()

    def serving_changed(self) -> None:
        """What is known of an address's health is not what it was."""
        self._choose_ready()
        self._drain_queue()
        if self._addresses.is_not_serving:
            self._last_error = self._addresses.not_serving_reason
            self._shorten_grace()
        self._fail_queue()

    def failed(self, subchannel: Subchannel, reason: str, retry_in_s: float) -> None:
        """An attempt failed."""
        self._last_error = reason
        if len(self._addresses) == 1 or reason != subchannel.told_failure:
            # One dead address among many is no news each time it is tried again.
            subchannel.told_failure = reason
            self._observer.connect_failed(reason, retry_in_s)
        self._addresses.look_again()
        self._shorten_grace()
        self._fail_queue()

    def _shorten_grace(self) -> None:
        if not self._addresses.tries_before(self._grace_until_s):
            # No further attempt falls into the grace period: whoever waits for it waits in vain.
            self._grace_until_s = 0.0

    # AddressesOwner

    def needs_addresses(self) -> bool:
        """Whether somebody waits for a name that could not be looked up."""
        return bool(self._queue.calls)

    def lookup_failed(self, reason: str, retry_in_s: float) -> None:
        """No address is known, and the lookup failed."""
        self._last_error = reason
        self._observer.connect_failed(reason, retry_in_s)
        self._fail_queue()

    # Both

    def settled(self) -> None:
        """What was told before is complete: whatever is missing may be opened now."""
        if self._is_shut_down:
            return
        if self._queue.calls or self._ready:
            self._addresses.connect()
        if self._queue.calls and self._ready:
            self._grow()

    def streams_allowed(self) -> None:
        """A connection may take more calls than before."""
        self._drain_queue()

    def _choose_ready(self) -> None:
        self._ready = self._addresses.ready()

    def _fail_queue(self) -> None:
        if self._queue.calls and self.state is State.TRANSIENT_FAILURE:
            self._queue.fail(self._unreachable)
