"""Everything about traces that a worker needs, joined: recorder, exporter, the channel to the collector."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from typing import TYPE_CHECKING, Final

from . import __version__
from .config.settings import ObservabilitySettings
from .deadlines import DeadlineWheel
from .grpc.channel import Channel
from .grpc.connectivity import ChannelOptions, SilentObserver
from .grpc.target import parse_target
from .model.message import HeaderList
from .model.upstream import UnaryReply
from .span_export import CollectorChannel, ExportListener, ExportOptions, SpanExporter
from .telemetry.metrics import Metrics
from .telemetry.otlp import Envelope
from .telemetry.sampling import Sampling
from .telemetry.span_encoding import SpanEncoder
from .telemetry.span_recorder import SpanRecorder
from .telemetry.tracing import Tracing

COLLECTOR: Final = "collector"
MAX_BACKOFF_S: Final = 10.0
"""Longest wait between two attempts to reach a collector that is gone."""
RESOLVE_INTERVAL_S: Final = 30.0


class Collector:
    """Records and exports the spans of one worker, or does nothing without an endpoint.

    Call `start` in the worker's loop, `aclose` at its end. Raises ValueError for an endpoint that cannot be used.
    """

    def __init__(
        self,
        settings: ObservabilitySettings,
        metrics: Metrics,
        *,
        loop: asyncio.AbstractEventLoop,
        wheel: DeadlineWheel,
    ) -> None:
        self.recorder: SpanRecorder | None = None
        """Takes finished requests; None without an endpoint."""
        self._exporter: SpanExporter | None = None
        if settings.tempo_endpoint is None:
            # What others decided travels on; nothing begins here.
            self.tracing = Tracing(Sampling(0.0))
            return
        self.recorder = SpanRecorder(
            SpanEncoder(
                max_attributes=settings.max_attributes_per_span,
                max_events=settings.max_events_per_span,
                wall_clock_offset_ns=_wall_clock_offset_ns,
            ),
            max_queued_spans=settings.max_queued_spans,
            call_soon=loop.call_soon,
        )
        self.tracing = Tracing(Sampling(settings.sample_ratio, follows_parent=settings.follow_parent), self.recorder)
        self._exporter = SpanExporter(
            self.recorder,
            _PatientChannel(_channel(settings, settings.tempo_endpoint, loop=loop, wheel=wheel)),
            Envelope(_resource(settings), scope="api_gateway", version=__version__),
            ExportOptions(
                endpoint=settings.tempo_endpoint,
                timeout_s=settings.otlp_timeout_secs,
                max_batch_spans=settings.max_spans_per_export,
                interval_s=settings.export_interval_ms / 1000,
                headers=[(name.encode(), value.encode()) for name, value in settings.headers.items()],
            ),
            _ExportReports(metrics),
            loop=loop,
        )

    def start(self) -> None:
        """Begin to export."""
        if self._exporter is not None:
            self._exporter.start()

    async def aclose(self, within_s: float) -> None:
        """Send what is left, at most for so long, and close the channel."""
        if self._exporter is not None:
            await self._exporter.aclose(within_s)


def _channel(
    settings: ObservabilitySettings, endpoint: str, *, loop: asyncio.AbstractEventLoop, wheel: DeadlineWheel
) -> Channel:
    return Channel(
        COLLECTOR,
        parse_target(
            endpoint,
            ca_path=settings.tls_ca_cert_path,
            client_cert_path=settings.tls_client_cert_path,
            client_key_path=settings.tls_client_key_path,
        ),
        ChannelOptions(
            pool_size=1,
            connect_timeout_s=settings.otlp_timeout_secs,
            max_backoff_s=MAX_BACKOFF_S,
            resolve_interval_s=RESOLVE_INTERVAL_S,
            user_agent=f"api-gateway/{__version__}",
        ),
        loop=loop,
        wheel=wheel,
        observer=SilentObserver(),  # the exporter tells of what matters
    )


def _resource(settings: ObservabilitySettings) -> dict[str, str | int]:
    host = socket.gethostname()
    return {
        "telemetry.sdk.name": "api-gateway",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": __version__,
        "host.name": host,
        "process.pid": os.getpid(),
        "service.instance.id": f"{host}:{os.getpid()}",
        "service.version": __version__,
        **settings.resource_attributes,
        "service.name": settings.service_name,
    }


def _wall_clock_offset_ns() -> int:
    return time.time_ns() - time.monotonic_ns()


class _PatientChannel:
    """A channel whose calls wait for a connection until their deadline. Implements `span_export.CollectorChannel`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @property
    def last_error(self) -> str:
        """Why the last attempt to connect failed."""
        return self._channel.last_error

    async def unary_ready(self, path: bytes, message: bytes, *, deadline_s: float, metadata: HeaderList) -> UnaryReply:
        """Call."""
        return await self._channel.unary(path, message, deadline_s=deadline_s, metadata=metadata, waits_for_ready=True)

    async def aclose(self) -> None:
        """Close the channel."""
        await self._channel.aclose()


class _ExportReports:
    """Counts what became of spans. Implements `span_export.ExportListener`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._exported = metrics.exported_spans()

    def exported(self, spans: int) -> None:
        """Count."""
        self._exported.add(spans)

    def dropped(self, spans: int, reason: str) -> None:
        """Count."""
        self._metrics.dropped_spans(reason).add(spans)


if TYPE_CHECKING:
    _channel_shape: type[CollectorChannel] = _PatientChannel
    _listener: type[ExportListener] = _ExportReports
