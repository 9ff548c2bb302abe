"""The connections to one address of a service: open, back off, keep alive, replace, drain.

A subchannel decides nothing about calls: it tells its channel which connections take them.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Final, Protocol

import ngh2

from ..http2.connection import Connection
from ..http2.handlers import Headers, StreamHandler
from ..http2.tls import FileStamp, TlsError, require_h2
from ..waiting import Pending
from .backoff import Backoff
from .call_queue import CallQueue
from .connectivity import MAX_SHORT_LIVES, SHORT_LIFE_S, ChannelObserver, ChannelOptions, State
from .dialer import Dialer
from .failures import describe
from .health import HealthWatch, Verdict
from .keepalive import Keepalive, KeepalivePolicy
from .resolver import Address

AGE_JITTER: Final = 0.1
"""Connections that were opened together are not replaced together."""


class SubchannelOwner(Protocol):
    """The channel, as its subchannels see it."""

    def needs(self, subchannel: Subchannel) -> bool:
        """Whether an address that is not connected should be tried again now, unasked."""

    def patient_until_s(self) -> float:
        """Return until when calls wait for the next attempts, as a time of the loop's clock; 0 when they do not."""

    def opened(self, connection: Connection) -> None:
        """A connection exists; it takes no calls yet."""

    def closed(self, connection: Connection) -> None:
        """A connection exists no more."""

    def ready(self) -> None:
        """A connection became ready."""

    def lost(self, reason: str) -> None:
        """A connection takes no more calls, and none took its place."""

    def serving_changed(self) -> None:
        """What is known of an address's health is not what it was."""

    def failed(self, subchannel: Subchannel, reason: str, retry_in_s: float) -> None:
        """An attempt failed."""

    def settled(self) -> None:
        """What was told before is complete: whatever is missing may be opened now."""

    def streams_allowed(self) -> None:
        """A connection may take more calls than before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all subchannels of a channel share."""

    options: ChannelOptions
    dialer: Dialer
    keepalive: KeepalivePolicy
    queue: CallQueue
    observer: ChannelObserver
    health_head: Headers
    loop: asyncio.AbstractEventLoop


@dataclass(slots=True)
class _Life:
    """What belongs to one ready connection."""

    since_s: float
    stamp: FileStamp
    keepalive: Keepalive | None = None
    age_timer: asyncio.TimerHandle | None = None
    leaving: str = ""
    """Why it is to be replaced by another one; empty when it is not."""

    def stop(self) -> None:
        if self.keepalive is not None:
            self.keepalive.stop()
        if self.age_timer is not None:
            self.age_timer.cancel()


@dataclass(slots=True)
class _Attempt:
    """A connection that is being opened."""

    settings: Pending[None] = field(default_factory=Pending)
    stamp: FileStamp = ()


class Subchannel:
    """All connections of one channel to one address. Implements `http2.handlers.ConnectionOwner`."""

    def __init__(self, address: Address, owner: SubchannelOwner, surroundings: Surroundings) -> None:
        self.address = address
        self.connections: set[Connection] = set()
        """All that are open, ready or not, draining or not."""
        self.ready: list[Connection] = []
        """Those that may be given calls while `is_serving`; replaced, never changed."""
        self.is_superseded = False
        """Whether its address is gone, so that nothing new is to be opened."""
        self.told_failure = ""
        """The last failure that operators were told of since a connection was ready."""
        self.last_error = ""
        """Why the last attempt or connection failed."""
        self._owner = owner
        self._options = surroundings.options
        self._dialer = surroundings.dialer
        self._keepalive = surroundings.keepalive
        self._queue = surroundings.queue
        self._observer = surroundings.observer
        self._loop = surroundings.loop
        self._lives: dict[Connection, _Life] = {}
        self._attempts: dict[Connection, _Attempt] = {}
        self._short_lives = 0
        """Connections in a row that were lost as soon as they were ready."""
        self._task: asyncio.Task[None] | None = None
        self._retry_timer: asyncio.TimerHandle | None = None
        self._retry_at_s = 0.0
        self._backoff = Backoff(self._options.max_backoff_s)
        self._is_removed = False
        self._told_not_serving = False
        self._health = self._make_watch(surroundings)
        self._is_serving = self._health is None

    def _make_watch(self, surroundings: Surroundings) -> HealthWatch | None:
        service = self._options.health_service
        if service is None:
            return None
        return HealthWatch(
            surroundings.health_head,
            service,
            loop=self._loop,
            on_change=self._health_changed,
            on_warning=lambda reason: self._observer.warned(f"{self.address}: {reason}"),
        )

    # What the channel asks

    @property
    def is_serving(self) -> bool:
        """Whether its ready connections may be given calls."""
        return self._is_serving

    @property
    def is_connecting(self) -> bool:
        """Whether an attempt is under way."""
        return self._task is not None

    @property
    def is_busy(self) -> bool:
        """Whether an attempt is under way or has its time."""
        return self._task is not None or self._retry_timer is not None

    def tries_before(self, time_s: float) -> bool:
        """Whether an attempt is under way, or begins before this time of the loop's clock."""
        if self._retry_timer is not None:
            # The attempt that has just failed may be about to end.
            return self._retry_at_s < time_s
        return self._task is not None

    @property
    def state(self) -> State:
        """Connectivity now."""
        if self.ready:
            if self._is_serving:
                return State.READY
            is_pending = self._health is not None and self._health.verdict is Verdict.PENDING
            return State.CONNECTING if is_pending else State.NOT_SERVING
        if not self.is_busy:
            return State.IDLE
        return State.TRANSIENT_FAILURE if self._retry_timer is not None or self._is_failing() else State.CONNECTING

    def _is_failing(self) -> bool:
        # An attempt under way after a failed one does not make calls wait again.
        return self._backoff.interval_s > 0

    # What the channel tells

    def connect(self) -> None:
        """Open a connection if there is none and none is being opened."""
        if not self.ready:
            self.connect_another()

    def connect_another(self) -> None:
        """Open one more connection, unless an attempt is under way or has its time."""
        if not self.is_busy and not self._is_removed and not self.is_superseded:
            self._start_attempt()

    def remove(self, reason: str) -> None:
        """Open nothing any more; what is open drains."""
        self.stop()
        for connection in list(self.connections):
            if connection in self._lives:
                self.retire(connection, reason)
            elif not connection.is_ready:
                connection.abort(reason)

    def stop(self) -> None:
        """Start nothing any more: no attempt, no watch."""
        self._is_removed = True
        self._cancel_retry()
        if self._task is not None:
            self._task.cancel()
        if self._health is not None:
            self._health.stop()

    async def aclose(self) -> None:
        """End the attempt and close every connection."""
        self.stop()
        task = self._task
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)
        for connection in list(self.connections):
            connection.close("the gateway is shutting down")

    def retire(self, connection: Connection, reason: str) -> None:
        """Open no more streams on a connection; it closes with its last one."""
        self._retire(connection, reason)
        connection.drain()

    def replace_outdated(self, stamp: FileStamp) -> None:
        """Replace the connections that were made with other TLS files than there are now."""
        for connection in self.ready:
            if self._lives[connection].stamp != stamp:
                self._replace(connection, "its TLS files have changed")

    # Connecting

    def _start_attempt(self) -> None:
        self._retry_timer = None
        self._task = task = self._loop.create_task(self._attempt(), name=f"connect {self.address}")
        task.add_done_callback(self._attempt_ended)

    def _attempt_ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not self._is_removed and not self.is_busy and self._leaving() is not None:
            self._start_attempt()
        self._owner.settled()

    async def _attempt(self) -> None:
        started_s = self._loop.time()
        connection = Connection(
            ngh2.Role.CLIENT,
            self,
            loop=self._loop,
            connection_window_bytes=self._options.connection_window_bytes,
        )
        attempt = self._attempts[connection] = _Attempt()
        try:
            async with asyncio.timeout(self._options.connect_timeout_s):
                attempt.stamp = self._dialer.stamp()
                await self._dialer.open(self.address, connection)
                if not connection.is_closed:
                    # One that was closed already has told the waiter why.
                    self.connections.add(connection)
                    self._owner.opened(connection)
                await attempt.settings
        except TimeoutError:
            connection.abort("connect timeout")
            self._failed(started_s, f"{self.address}: no connection within {self._options.connect_timeout_s:g} s")
        except (OSError, TlsError, ValueError) as error:
            # ValueError: a host or TLS domain that no resolver and no certificate can have.
            connection.abort(str(error))
            self._failed(started_s, f"{self.address}: {describe(error, is_tls=self._dialer.is_tls)}")
        except BaseException:
            connection.abort("cancelled")
            raise
        finally:
            del self._attempts[connection]

    def _failed(self, started_s: float, reason: str) -> None:
        self.last_error = reason
        if self._is_removed:
            return
        wait_s = self._backoff.failed_with_patience(started_s, self._loop.time(), self._owner.patient_until_s())
        self._cancel_retry()
        self._retry_timer = self._loop.call_later(wait_s, self._retry_due)
        self._retry_at_s = self._loop.time() + wait_s
        self._owner.failed(self, reason, wait_s)

    def _cancel_retry(self) -> None:
        if self._retry_timer is not None:
            self._retry_timer.cancel()
            self._retry_timer = None

    def _forget_backoff(self) -> None:
        """Start over: a connection worked until now, whatever became of attempts to open more of them."""
        self._backoff.reset()
        self._cancel_retry()

    def _retry_due(self) -> None:
        self._retry_timer = None
        if self._leaving() is not None or self._owner.needs(self):
            self.connect_another()

    # Replacing

    def _replace(self, connection: Connection, reason: str) -> None:
        """Open another connection, then drain this one."""
        life = self._lives.get(connection)
        if life is not None and not life.leaving and not self._is_removed:
            life.leaving = reason
            self.connect_another()

    def _leaving(self) -> Connection | None:
        return next((connection for connection in self.ready if self._lives[connection].leaving), None)

    def _give_way(self) -> None:
        """Drain one connection that is to be replaced, now that there is another one."""
        leaving = self._leaving()
        if leaving is not None:
            reason = self._lives[leaving].leaving
            self._let_go(leaving)
            leaving.drain()
            self._observer.replaced(f"{self.address}: {reason}")

    # ConnectionOwner

    def connection_ready(self, connection: Connection) -> None:
        """Let the connection take calls. Only now the backoff starts over (reliability G56)."""
        if self._dialer.is_tls and connection.transport is not None:
            # SETTINGS may come with the end of the handshake, before the attempt has looked at what ALPN selected.
            try:
                require_h2(connection.transport)
            except TlsError as error:
                connection.abort(str(error))
                return
        attempt = self._attempts.get(connection)
        self._lives[connection] = self._begin_life(connection, attempt.stamp if attempt is not None else ())
        if attempt is not None:
            attempt.settings.resolve(None)
        self.told_failure = ""
        self._forget_backoff()
        self.ready = [*self.ready, connection]
        self._give_way()
        if self._health is not None:
            self._health.watch(connection)
        self._owner.ready()

    def _begin_life(self, connection: Connection, stamp: FileStamp) -> _Life:
        life = _Life(self._loop.time(), stamp)
        if self._keepalive.interval_s:
            life.keepalive = Keepalive(connection, self._keepalive, loop=self._loop)
        if self._options.max_connection_age_s:
            age_s = self._options.max_connection_age_s * random.uniform(1 - AGE_JITTER, 1 + AGE_JITTER)  # noqa: S311 - not a secret
            life.age_timer = self._loop.call_later(age_s, self._replace, connection, f"it was open for {age_s:.0f} s")
        return life

    def settings_changed(self, connection: Connection) -> None:
        """More streams may be allowed now."""
        if self._health is not None:
            self._health.settings_changed(connection)
        self._owner.streams_allowed()

    def stream_freed(self, connection: Connection) -> None:
        """A waiting call may start."""
        if self._queue.calls and self._is_serving:
            self._queue.start_on(connection)

    def goaway_received(self, connection: Connection, last_stream_id: int, error_code: int, debug_data: bytes) -> None:
        """Open no more streams there; what is open may finish."""
        text = debug_data[:100].decode("utf-8", "replace")
        if error_code == ngh2.ErrorCode.ENHANCE_YOUR_CALM and text == "too_many_pings" and self._keepalive.interval_s:
            self._keepalive.slow_down()
            self._observer.warned(
                f"{self.address} finds that it is asked too often (too_many_pings);"
                f" new connections are asked after {self._keepalive.interval_s:g} s of silence"
            )
        self._retire(connection, f"GOAWAY {error_code} {text}".strip())

    def worn_out(self, connection: Connection, reason: str) -> None:
        """Open no more streams there."""
        self.retire(connection, reason)

    def connection_lost(self, connection: Connection, reason: str) -> None:
        """Forget the connection; reconnect when somebody waits."""
        attempt = self._attempts.get(connection)
        if attempt is not None:
            attempt.settings.fail(ConnectionError(reason))
        if connection in self.connections:
            self.connections.remove(connection)
            self._owner.closed(connection)
        self._retire(connection, reason)
        life = self._lives.pop(connection, None)
        if life is not None:
            life.stop()

    def request_received(
        self, connection: Connection, stream_id: int, headers: Headers, end_stream: bool
    ) -> StreamHandler | None:
        """Refuse: backends do not call us."""
        return None

    def _retire(self, connection: Connection, reason: str) -> None:
        if connection not in self.ready:
            return
        now_s = self._loop.time()
        lived_s = now_s - self._lives[connection].since_s
        is_short_life = lived_s < SHORT_LIFE_S and not connection.has_served
        self._short_lives = self._short_lives + 1 if is_short_life else 0
        self.last_error = reason = f"{self.address}: {reason}"
        self._let_go(connection)
        if not self.ready:
            self._forget_backoff()
        self._owner.lost(reason)
        if not self.ready and self._short_lives > MAX_SHORT_LIVES:
            self._failed(now_s, reason)
        self._owner.settled()

    def _let_go(self, connection: Connection) -> None:
        """Take a connection out of those that are given calls."""
        self.ready = [each for each in self.ready if each is not connection]
        if self._health is not None:
            self._health.leave(connection)
            if self.ready and not self._is_removed:
                self._health.watch(self.ready[0])
            elif not self.ready:
                self._health.forget()

    def _health_changed(self) -> None:
        health = self._health
        if health is None:
            return
        self._is_serving = health.verdict is Verdict.SERVING
        if health.verdict is Verdict.NOT_SERVING:
            self.last_error = f"{self.address}: {health.reason}"
        if health.verdict is not Verdict.PENDING and self._is_serving is self._told_not_serving:
            self._told_not_serving = not self._is_serving
            self._observer.serving_changed(str(self.address), self._is_serving, health.reason)
        self._owner.serving_changed()
