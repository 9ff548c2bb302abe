"""Sends ended spans to a collector by OTLP/gRPC, beside the requests and never in their way.

A collector that is slow, refuses or is gone costs its spans and nothing else: the queue is bounded, few exports are
under way at once, each ends within its timeout, and the log gets one line for an outage, not one for each batch.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Final, Protocol

from .model.errors import GatewayError, Source
from .model.message import HeaderList
from .model.status import Code, code_name
from .model.upstream import UnaryReply
from .telemetry.log import get_logger
from .telemetry.otlp import Envelope, read_rejected
from .telemetry.span_recorder import SpanRecorder
from .transcoding.status_details import retry_delay_s

EXPORT: Final = b"/opentelemetry.proto.collector.trace.v1.TraceService/Export"
MAX_EXPORTS: Final = 4
"""Exports under way at once: enough to send 20,000 spans a second to a collector 100 ms away."""
FIRST_BACKOFF_S: Final = 0.1
MAX_BACKOFF_S: Final = 5.0
QUIET_S: Final = 60.0
"""Time between two lines about a collector that is too slow."""
RETRYABLE: Final = frozenset(
    (Code.CANCELLED, Code.DEADLINE_EXCEEDED, Code.ABORTED, Code.OUT_OF_RANGE, Code.UNAVAILABLE, Code.DATA_LOSS)
)
"""What the OTLP specification lets a client try again ("OTLP/gRPC response", "Failures")."""
THROTTLING: Final = RETRYABLE | {Code.RESOURCE_EXHAUSTED}
"""With these a collector may state how long to wait ("OTLP/gRPC Throttling"); the last may be tried again only then."""
MAX_THROTTLE_S: Final = 60.0
"""Longest pause between batches that a collector can ask for."""

_log = get_logger("api_gateway.tracing")


class CollectorChannel(Protocol):
    """The channel to the collector; `grpc.channel.Channel` is the one there is."""

    @property
    def last_error(self) -> str:
        """Why the last attempt to connect failed."""

    async def unary_ready(self, path: bytes, message: bytes, *, deadline_s: float, metadata: HeaderList) -> UnaryReply:
        """Call, and wait for a connection until the deadline. Raises GatewayError."""

    async def aclose(self) -> None:
        """Close it."""


class ExportListener(Protocol):
    """Who counts."""

    def exported(self, spans: int) -> None:
        """The collector took so many spans."""

    def dropped(self, spans: int, reason: str) -> None:
        """So many are lost: `queue_full`, `failed`, `rejected` or `shutdown`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """How spans are sent."""

    endpoint: str
    """For the log."""
    timeout_s: float = 3.0
    """Longest time for a batch, with all attempts."""
    max_batch_spans: int = 512
    interval_s: float = 1.0
    """Longest time that a span waits for its batch to fill."""
    headers: HeaderList = field(default_factory=list, repr=False)
    """Metadata of every export. Secret."""


class SpanExporter:
    """Takes spans from a recorder until `aclose`. Owns the channel."""

    def __init__(
        self,
        recorder: SpanRecorder,
        channel: CollectorChannel,
        envelope: Envelope,
        options: ExportOptions,
        listener: ExportListener,
        *,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._recorder = recorder
        self._channel = channel
        self._envelope = envelope
        self._options = options
        self._listener = listener
        self._loop = loop
        self._exports: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._told_dropped_spans = 0
        self._is_failing = False
        self._lost_spans = 0
        """Lost since the outage began."""
        self._overflowed_spans = 0
        """Those that found the queue full and of which the log has not heard."""
        self._quiet_until_s = 0.0
        self._throttled_until_s = 0.0
        recorder.on_queued = self._queued

    def start(self) -> None:
        """Begin to send."""
        self._tick()

    async def aclose(self, within_s: float) -> None:
        """Send what waits, at most for so long, then drop the rest and close the channel."""
        self._recorder.on_queued = None
        # The last chance of what waits, whatever the collector asked for.
        self._throttled_until_s = 0.0
        if self._timer is not None:
            self._timer.cancel()
        self._recorder.encode()
        deadline_s = self._loop.time() + within_s
        while len(self._recorder) or self._exports:
            self._fill(1)
            left_s = deadline_s - self._loop.time()
            if left_s <= 0:
                break
            await asyncio.wait(self._exports, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        for export in self._exports:
            export.cancel()
        await asyncio.gather(*self._exports, return_exceptions=True)
        rest = len(self._recorder.take(len(self._recorder)))
        self._count_dropped()
        if rest:
            self._listener.dropped(rest, "shutdown")
        await self._channel.aclose()

    # When

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._options.interval_s, self._tick)
        self._recorder.encode()
        self._fill(1)
        self._count_dropped()

    def _queued(self, waiting: int) -> None:
        if waiting >= self._options.max_batch_spans:
            self._fill(self._options.max_batch_spans)

    def _fill(self, at_least: int) -> None:
        """Start exports while there is room for one and so many spans wait."""
        if self._loop.time() < self._throttled_until_s:
            return
        while len(self._exports) < MAX_EXPORTS and len(self._recorder) >= at_least:
            spans = self._recorder.take(self._options.max_batch_spans)
            export = self._loop.create_task(self._export(spans), name="export of spans")
            self._exports.add(export)
            export.add_done_callback(self._ended)

    def _ended(self, export: asyncio.Task[None]) -> None:
        self._exports.discard(export)
        if not export.cancelled() and self._recorder.on_queued is not None:
            self._fill(self._options.max_batch_spans)

    # One export

    async def _export(self, spans: list[bytes]) -> None:
        try:
            rejected, reason = await self._send(self._envelope.wrap(spans))
        except GatewayError as error:
            self._listener.dropped(len(spans), "failed")
            self._failed(len(spans), error)
            return
        except asyncio.CancelledError:
            self._listener.dropped(len(spans), "shutdown")
            raise
        self._tell_overflow()
        rejected = min(rejected, len(spans))
        self._listener.exported(len(spans) - rejected)
        if rejected:
            self._listener.dropped(rejected, "rejected")
        self._succeeded(rejected, reason)

    async def _send(self, request: bytes) -> tuple[int, str]:
        """Send a batch, again and again within the timeout. Returns how many spans the collector rejected, and why."""
        deadline_s = self._loop.time() + self._options.timeout_s
        backoff_s = FIRST_BACKOFF_S
        while True:
            try:
                reply = await self._channel.unary_ready(
                    EXPORT, request, deadline_s=deadline_s, metadata=self._options.headers
                )
                return read_rejected(reply.message)
            except GatewayError as error:
                pause_s = self._pause_s(error, backoff_s)
                if pause_s is None or self._loop.time() + pause_s >= deadline_s:
                    raise
            await asyncio.sleep(pause_s)
            backoff_s = min(backoff_s * 2, MAX_BACKOFF_S)

    def _pause_s(self, error: GatewayError, backoff_s: float) -> float | None:
        """Return how long to wait before a batch is sent again; None when that is no use.

        A wait that the collector asks for holds for the other batches too.
        """
        asked_s = retry_delay_s(error.details) if error.code in THROTTLING else None
        if asked_s is None:
            return backoff_s * random.uniform(0.8, 1.2) if error.code in RETRYABLE else None  # noqa: S311 - no secret
        now_s = self._loop.time()
        self._throttled_until_s = max(self._throttled_until_s, now_s + min(asked_s, MAX_THROTTLE_S))
        return max(asked_s, backoff_s)

    # What the log hears

    def _failed(self, spans: int, error: GatewayError) -> None:
        self._lost_spans += spans
        if self._is_failing:
            return
        self._is_failing = True
        reason = f"{code_name(error.code)}: {error.message}"
        if error.source is not Source.UPSTREAM or error.code is Code.DEADLINE_EXCEEDED:
            reason = f"{reason} ({self._channel.last_error})" if self._channel.last_error else reason
        _log.warning("spans cannot be exported", endpoint=self._options.endpoint, reason=reason)

    def _succeeded(self, rejected: int, reason: str) -> None:
        if rejected and not self._is_failing:
            self._is_failing = True
            _log.warning("spans are rejected", endpoint=self._options.endpoint, reason=reason, spans=rejected)
        elif self._is_failing and not rejected:
            self._is_failing = False
            _log.info("spans are exported again", endpoint=self._options.endpoint, lost=self._lost_spans)
            self._lost_spans = self._overflowed_spans = 0

    def _tell_overflow(self) -> None:
        """Say that the collector works and is too slow: once a minute."""
        now_s = self._loop.time()
        if self._overflowed_spans and not self._is_failing and now_s >= self._quiet_until_s:
            _log.warning("spans are dropped", endpoint=self._options.endpoint, spans=self._overflowed_spans)
            self._overflowed_spans = 0
            self._quiet_until_s = now_s + QUIET_S

    def _count_dropped(self) -> None:
        dropped = self._recorder.dropped_spans - self._told_dropped_spans
        if dropped:
            self._told_dropped_spans += dropped
            self._lost_spans += dropped
            self._overflowed_spans += dropped
            self._listener.dropped(dropped, "queue_full")
