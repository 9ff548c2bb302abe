"""What parts report, turned into metrics and log lines. One small class for each kind of reporter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .config.settings import Settings
from .grpc.retries import RESULTS
from .model.errors import GatewayError
from .model.exchange import Exchange
from .model.message import HeaderList
from .model.status import Code
from .model.trace import Trace, WorkSpan
from .model.upstream import UnaryCaller, UnaryReply
from .policy.auth import AuthListener, KeyFetch, Reason
from .state.store import BreakerState
from .telemetry.access_log import AccessLog
from .telemetry.log import get_logger
from .telemetry.metrics import Metrics
from .telemetry.span_recorder import SpanRecorder
from .telemetry.tracing import Tracing

_upstream_log = get_logger("api_gateway.upstream")
_breaker_log = get_logger("api_gateway.breaker")
_auth_log = get_logger("api_gateway.auth")
_limit_log = get_logger("api_gateway.rate_limit")

_REPEATED_AFTER_S: Final = 60


class ExchangeReports:
    """Implements `proxy.ExchangeListener`."""

    def __init__(self, metrics: Metrics, access_log: AccessLog, recorder: SpanRecorder | None = None) -> None:
        self._metrics = metrics
        self._access_log = access_log
        self._recorder = recorder

    def started(self) -> None:
        """A request has begun."""
        self._metrics.in_flight += 1

    def finished(self, exchange: Exchange) -> None:
        """A request has ended."""
        self._metrics.in_flight -= 1
        self._metrics.record(exchange)
        self._access_log.record(exchange)
        if self._recorder is not None:
            self._recorder.request_ended(exchange)


class ChannelReports:
    """Implements `grpc.channel.ChannelObserver` for one service."""

    def __init__(self, service: str, metrics: Metrics, on_disconnect: Callable[[], None]) -> None:
        self._service = service
        self._metrics = metrics
        self._connections = metrics.active_connections(service)
        self._queue_wait = metrics.queue_wait(service)
        # So that the first one is a rise, and no series that begins with it.
        self._retries = {result: metrics.retries(service, result) for result in RESULTS}
        for series in self._retries.values():
            series.set(0)
        self._on_disconnect = on_disconnect

    def connections_changed(self, count: int) -> None:
        """The number of open connections changed."""
        self._connections.set(count)

    def connected(self) -> None:
        """A connection is ready."""
        _upstream_log.info("connected", service=self._service)

    def disconnected(self, reason: str) -> None:
        """A working connection is gone: the backend may come back with another schema."""
        _upstream_log.info("disconnected", service=self._service, reason=reason)
        self._on_disconnect()

    def replaced(self, reason: str) -> None:
        """A connection drains in favour of a new one."""
        _upstream_log.info("connection replaced", service=self._service, reason=reason)

    def addresses_changed(self, added: list[str], removed: list[str]) -> None:
        """The service moved."""
        _upstream_log.info("addresses changed", service=self._service, added=added, removed=removed)

    def serving_changed(self, address: str, is_serving: bool, reason: str) -> None:
        """An address takes calls, or none. One that takes them again may have another schema."""
        if is_serving:
            _upstream_log.info("address serves", service=self._service, address=address)
            self._on_disconnect()
        else:
            _upstream_log.warning("address does not serve", service=self._service, address=address, reason=reason)

    def warned(self, reason: str) -> None:
        """Something an operator should know of."""
        _upstream_log.warning("backend behaves oddly", service=self._service, reason=reason)

    def connect_failed(self, reason: str, retry_in_s: float) -> None:
        """An attempt failed."""
        _upstream_log.warning(
            "connection failed", service=self._service, reason=reason, retry_in_seconds=round(retry_in_s, 1)
        )

    def call_waited(self, waited_s: float) -> None:
        """A call had to wait for its turn."""
        self._queue_wait.observe(waited_s)

    def retried(self, result: str) -> None:
        """A call was tried again, or was not."""
        self._retries[result].add()


class CountedCaller:
    """A channel whose calls count like those that requests ask for. Implements `model.upstream.UnaryCaller`."""

    def __init__(self, caller: UnaryCaller, service: str, metrics: Metrics) -> None:
        self._caller = caller
        self._service = service
        self._metrics = metrics

    async def unary(
        self, path: bytes, message: bytes, *, deadline_s: float, metadata: HeaderList, trace: Trace | None = None
    ) -> UnaryReply:
        """Call, and count how it ended."""
        try:
            reply = await self._caller.unary(path, message, deadline_s=deadline_s, metadata=metadata, trace=trace)
        except GatewayError as error:
            self._count(path, error.code)
            raise
        self._count(path, Code.OK)
        return reply

    def _count(self, path: bytes, grpc_code: int) -> None:
        self._metrics.calls(self._service, path[1:].decode()).record(grpc_code)


class DiscoveryReports:
    """Implements `discovery.watcher.DiscoveryListener`."""

    _RESULTS: Final = {"changed": "ok", "unchanged": "unchanged", "failed": "failed"}

    def __init__(self, metrics: Metrics, settings: Settings, clock: Callable[[], float]) -> None:
        self._metrics = metrics
        self._settings = settings
        self._clock = clock

    def refreshed(self, service: str, result: str) -> None:
        """A reading ended."""
        self._metrics.schema_read(self._settings.service_name(service), self._RESULTS[result], self._clock())


class BreakerReports:
    """Implements `policy.breaker.BreakerListener`. Of a store that fails, the log hears once a minute."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float]) -> None:
        """`clock` is monotonic."""
        self._metrics = metrics
        self._clock = clock
        self._silent_until_s = 0.0

    def breaker_changed(self, service: str, old: BreakerState, new: BreakerState) -> None:
        """A breaker changed its state."""
        self._metrics.breaker_changed(service, old.label, new.label)
        _breaker_log.warning("circuit breaker changed", service=service, old=old.label, new=new.label)

    def breaker_store_failed(self, service: str, reason: str) -> None:
        """The shared state did not answer."""
        now_s = self._clock()
        if now_s >= self._silent_until_s:
            self._silent_until_s = now_s + _REPEATED_AFTER_S
            _breaker_log.warning(
                "circuit breaker decides without the other workers",
                service=service,
                reason=reason,
                until_next_line_seconds=_REPEATED_AFTER_S,
            )


class LimitReports:
    """Implements `policy.rate_limit.RateLimitListener`. Every failure counts; the log hears of one a minute."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float]) -> None:
        """`clock` is monotonic."""
        self._metrics = metrics
        self._clock = clock
        self._silent_until_s = 0.0

    def rate_limited(self, route: str) -> None:
        """A request was one too many."""
        self._metrics.rate_limit_exceeded(route).add()

    def rate_limit_store_failed(self, reason: str) -> None:
        """A request could not be counted."""
        self._metrics.rate_limit_store_errors.add()
        now_s = self._clock()
        if now_s >= self._silent_until_s:
            self._silent_until_s = now_s + _REPEATED_AFTER_S
            _limit_log.warning("rate limit store failed", reason=reason, until_next_line_seconds=_REPEATED_AFTER_S)


class AuthReports:
    """Makes the `AuthListener` that counts, logs and records."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float], tracing: Tracing) -> None:
        self._metrics = metrics
        self._tracing = tracing
        self._clock = clock

    def listener(self) -> AuthListener:
        """Return the listener."""
        return AuthListener(on_failure=self._failed, on_key_fetch=self._fetched)

    def _failed(self, reason: Reason) -> None:
        self._metrics.auth_failures(reason.value).add()

    def _fetched(self, fetch: KeyFetch) -> None:
        attributes: list[tuple[str, str | int]] = [("http.request.method", "GET"), ("url.full", fetch.url)]
        error_type = "" if fetch.is_ok else "KEYS_NOT_FETCHED"
        span = WorkSpan("GET key set", fetch.started_s, fetch.ended_s, attributes, error_type)
        self._tracing.work_ended(span, fetch.trace)
        self._metrics.key_set_fetched(fetch.is_ok, self._clock())
        if fetch.is_ok:
            _auth_log.info("key set fetched", left_out=list(fetch.problems))
        else:
            _auth_log.warning("key set not fetched", reason=fetch.detail)
