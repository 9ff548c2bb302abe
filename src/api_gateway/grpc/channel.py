"""A service's connections: open, pick, reconnect with backoff, drain; and the calls that wait for one.

Calls are placed on a connection at once when one has a free stream. Otherwise they wait in a bounded queue while a
connection is being opened, and fail with UNAVAILABLE when that has failed (grpc doc/wait-for-ready.md). One exception,
on purpose: after a connection that worked was lost, calls wait up to `reconnect_grace_s` for the next attempts, so that
a backend's quick restart is a delay and not an error.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import ngh2

from ..deadlines import DeadlineWheel
from ..http2.connection import Connection
from ..http2.handlers import Headers, StreamHandler
from ..http2.tls import TlsError, client_context, require_h2
from ..model.errors import GatewayError, unavailable
from ..model.message import HeaderList
from ..waiting import Pending
from . import failures
from .call import Call
from .call_head import CallHeads
from .connectivity import (
    BACKOFF_FACTOR,
    BACKOFF_JITTER,
    INITIAL_BACKOFF_S,
    MAX_BACKOFF_S,
    MAX_SHORT_LIVES,
    SHORT_LIFE_S,
    ChannelObserver,
    ChannelOptions,
    State,
)
from .retries import Retries
from .stream_call import StreamCall
from .target import Target
from .unary_call import UnaryCall

GROW_AT_STREAMS: Final = 40
"""Open streams on the picked connection from which another one is opened, if the pool allows."""


class Channel:
    """All connections of one worker to one service. Not thread-safe. `aclose` when done."""

    def __init__(
        self,
        name: str,
        target: Target,
        options: ChannelOptions,
        *,
        loop: asyncio.AbstractEventLoop,
        wheel: DeadlineWheel,
        observer: ChannelObserver,
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
        """Those that take new streams; replaced, never changed."""
        self._ready_since_s: dict[Connection, float] = {}
        self._short_lives = 0
        """Connections in a row that were lost as soon as they were ready."""
        self._next = 0
        self._queue: OrderedDict[Call[Any], None] = OrderedDict()
        self._connecting: set[asyncio.Task[None]] = set()
        self._retry_timer: asyncio.TimerHandle | None = None
        self._backoff_s = 0.0
        self._grace_until_s = 0.0
        self._last_error = "not connected yet"
        self._is_shut_down = False
        self._settings_waiters: dict[Connection, Pending[None]] = {}
        self.retries = Retries(options.retry, loop=loop, place=self._place_again, on_result=observer.retried)

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
    ) -> UnaryCall:
        """Start a unary call of `/package.Service/Method`; await what comes back.

        `deadline_s` is a time of the loop's clock. The metadata must be sendable (`grpc/metadata.py`).
        """
        call = UnaryCall(
            self,
            self._heads.of(path),
            message,
            deadline_s=deadline_s,
            metadata=metadata,
            waits_for_ready=waits_for_ready,
            is_idempotent=is_idempotent,
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
    ) -> StreamCall:
        """Start a call with any number of messages each way."""
        call = StreamCall(
            self,
            self._heads.of(path),
            deadline_s=deadline_s,
            metadata=metadata,
            waits_for_ready=waits_for_ready,
            is_idempotent=is_idempotent,
        )
        self._place(call)
        return call

    def _place(self, call: Call[Any]) -> None:
        connection = self._pick()
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
            return
        if self._is_shut_down:
            call.abandon(unavailable("the gateway is shutting down", "SHUTTING_DOWN"))
            return
        if self.state is State.TRANSIENT_FAILURE and not call.waits_for_ready:
            call.abandon(self._unreachable())
            return
        if len(self._queue) >= self._options.max_queued_calls:
            call.abandon(
                unavailable("too many requests are waiting for this service", "UPSTREAM_QUEUE_FULL", service=self.name)
            )
            return
        call.is_queued = True
        self._queue[call] = None
        if not self._ready:
            self._connect()
        else:
            self._grow()

    def retry(self, call: Call[Any]) -> None:
        """Place a call again, in the loop's next turn: its old connection is in the middle of something."""
        self._loop.call_soon(self._place_again, call)

    def _place_again(self, call: Call[Any]) -> None:
        if not call.done():
            self._place(call)

    def retire(self, connection: Connection, reason: str) -> None:
        """Open no more streams on a connection; it closes with its last one."""
        self._retire(connection, reason)
        connection.drain()

    def forget(self, call: Call[Any]) -> None:
        """Take a call out of the queue."""
        call.is_queued = False
        self._queue.pop(call, None)

    def _drain_queue(self) -> None:
        while self._queue:
            connection = self._pick()
            if connection is None:
                if self._ready:
                    self._grow()
                return
            call, _ = self._queue.popitem(last=False)
            call.is_queued = False
            call.start(connection)

    def _fail_queue(self) -> None:
        for call in [call for call in self._queue if not call.waits_for_ready]:
            call.abandon(self._unreachable())

    def _unreachable(self) -> GatewayError:
        return failures.unreachable(self.name, self._last_error)

    # State

    @property
    def state(self) -> State:
        """Connectivity now."""
        if self._is_shut_down:
            return State.SHUTDOWN
        if self._ready:
            return State.READY
        if self._retry_timer is not None and self._loop.time() >= self._grace_until_s:
            return State.TRANSIENT_FAILURE
        if self._connecting or self._retry_timer is not None:
            # An attempt under way after a failed one does not make calls wait again.
            is_failing = self._backoff_s > 0 and self._loop.time() >= self._grace_until_s
            return State.TRANSIENT_FAILURE if is_failing else State.CONNECTING
        return State.IDLE

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
        return len(self._queue)

    def connect(self) -> None:
        """Open a connection if there is none, without waiting for a call."""
        if not self._ready:
            self._connect()

    async def aclose(self) -> None:
        """Fail what waits, close every connection and end every task."""
        self._is_shut_down = True
        if self._retry_timer is not None:
            self._retry_timer.cancel()
            self._retry_timer = None
        self._last_error = "the gateway is shutting down"
        for call in list(self._queue):
            call.abandon(self._unreachable())
        self.retries.close(self._unreachable)
        tasks = list(self._connecting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self._connections):
            connection.close("the gateway is shutting down")

    # Connecting

    def _grow(self) -> None:
        if (
            len(self._connections) + len(self._connecting) < self._options.pool_size
            and not self._connecting
            and self._retry_timer is None
        ):
            self._start_attempt()

    def _connect(self) -> None:
        if not self._connecting and self._retry_timer is None and not self._is_shut_down:
            self._start_attempt()

    def _start_attempt(self) -> None:
        self._retry_timer = None
        task = self._loop.create_task(self._attempt(), name=f"connect {self.name}")
        self._connecting.add(task)
        task.add_done_callback(self._attempt_ended)

    def _attempt_ended(self, task: asyncio.Task[None]) -> None:
        self._connecting.discard(task)
        if self._queue:
            # Calls that came while this attempt was under way, or whose connection was lost in the moment it became
            # ready, could not start another one then.
            if self._ready:
                self._grow()
            else:
                self._connect()

    async def _attempt(self) -> None:
        started_s = self._loop.time()
        connection = Connection(ngh2.Role.CLIENT, self, loop=self._loop)
        settings = self._settings_waiters[connection] = Pending[None]()
        try:
            async with asyncio.timeout(self._options.connect_timeout_s):
                await self._open_transport(connection)
                await settings
        except TimeoutError:
            connection.abort("connect timeout")
            self._failed(started_s, f"no connection within {self._options.connect_timeout_s:g} s")
        except (OSError, TlsError, ValueError) as error:
            # ValueError: a host or TLS domain that no resolver and no certificate can have.
            connection.abort(str(error))
            self._failed(started_s, failures.describe(error, is_tls=self.target.tls is not None))
        except BaseException:
            connection.abort("cancelled")
            raise
        finally:
            del self._settings_waiters[connection]

    async def _open_transport(self, connection: Connection) -> None:
        target = self.target
        context = None
        if target.tls is not None:
            tls = target.tls
            context = client_context(tls.ca_path, tls.client_cert_path, tls.client_key_path)
        transport, _ = await self._loop.create_connection(
            lambda: connection,
            target.host,
            target.port,
            ssl=context,
            server_hostname=target.tls.domain if target.tls is not None else None,
        )
        if target.tls is not None:
            require_h2(transport)
        if not connection.is_closed:
            # One that was closed already has told the waiter why.
            self._connections.add(connection)
            self._observer.connections_changed(len(self._connections))

    def _failed(self, started_s: float, reason: str) -> None:
        self._last_error = reason
        self._backoff_s = min(self._backoff_s * BACKOFF_FACTOR or INITIAL_BACKOFF_S, MAX_BACKOFF_S)
        jittered_s = self._backoff_s * random.uniform(1 - BACKOFF_JITTER, 1 + BACKOFF_JITTER)  # noqa: S311 - not a secret
        # The interval runs from the start of the attempt, as connection-backoff.md has it.
        delay_s = max(0.0, started_s + jittered_s - self._loop.time())
        if self._loop.time() + delay_s >= self._grace_until_s:
            # No further attempt falls into the grace period: whoever waits for it waits in vain.
            self._grace_until_s = 0.0
        if not self._is_shut_down:
            self._retry_timer = self._loop.call_later(delay_s, self._retry_due)
            self._observer.connect_failed(reason, delay_s)
        if self.state is State.TRANSIENT_FAILURE:
            self._fail_queue()

    def _forget_backoff(self) -> None:
        """Start over: a connection worked until now, whatever became of attempts to open more of them."""
        self._backoff_s = 0.0
        if self._retry_timer is not None:
            self._retry_timer.cancel()
            self._retry_timer = None

    def _retry_due(self) -> None:
        self._retry_timer = None
        if self._loop.time() >= self._grace_until_s and not self._queue:
            # Nobody waits: the next call or the next look of discovery connects.
            return
        self._connect()

    # ConnectionOwner

    def connection_ready(self, connection: Connection) -> None:
        """Let the connection take calls. Only now the backoff starts over (reliability G56)."""
        if self.target.tls is not None and connection.transport is not None:
            # SETTINGS may come with the end of the handshake, before the attempt has looked at what ALPN selected.
            try:
                require_h2(connection.transport)
            except TlsError as error:
                connection.abort(str(error))
                return
        waiter = self._settings_waiters.get(connection)
        if waiter is not None:
            waiter.resolve(None)
        self._forget_backoff()
        self._grace_until_s = 0.0
        self._ready_since_s[connection] = self._loop.time()
        self._ready = [*self._ready, connection]
        self._observer.connected()
        self._drain_queue()

    def settings_changed(self, connection: Connection) -> None:
        """More streams may be allowed now."""
        self._drain_queue()

    def stream_freed(self, connection: Connection) -> None:
        """A waiting call may start."""
        if self._queue:
            self._drain_queue()

    def goaway_received(self, connection: Connection, last_stream_id: int, error_code: int, debug_data: bytes) -> None:
        """Open no more streams there; what is open may finish."""
        text = debug_data[:100].decode("utf-8", "replace")
        self._retire(connection, f"GOAWAY {error_code} {text}".strip())

    def worn_out(self, connection: Connection, reason: str) -> None:
        """Open no more streams there."""
        self.retire(connection, reason)

    def connection_lost(self, connection: Connection, reason: str) -> None:
        """Forget the connection; reconnect when somebody waits."""
        waiter = self._settings_waiters.get(connection)
        if waiter is not None:
            waiter.fail(ConnectionError(reason))
        if connection in self._connections:
            self._connections.remove(connection)
            self._observer.connections_changed(len(self._connections))
        self._retire(connection, reason)

    def request_received(
        self, connection: Connection, stream_id: int, headers: Headers, end_stream: bool
    ) -> StreamHandler | None:
        """Refuse: backends do not call us."""
        return None

    def _retire(self, connection: Connection, reason: str) -> None:
        if connection not in self._ready:
            return
        self._ready = [each for each in self._ready if each is not connection]
        self._last_error = reason
        now_s = self._loop.time()
        lived_s = now_s - self._ready_since_s.pop(connection)
        is_short_life = lived_s < SHORT_LIFE_S and not connection.has_served
        self._short_lives = self._short_lives + 1 if is_short_life else 0
        if not self._is_shut_down:
            if not self._ready:
                self._grace_until_s = now_s + self._options.reconnect_grace_s
                self._forget_backoff()
                if self._short_lives > MAX_SHORT_LIVES:
                    self._failed(now_s, reason)
            self._observer.disconnected(reason)
            if self._queue and not self._ready:
                self._connect()
