"""Builds every part of a worker from the settings, joins them, starts them in order and stops them in reverse."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Mapping, Sequence
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Final

from .. import __version__
from ..blueprint import ADMIN_LIMITS, channel_options, edge_limits, service_target
from ..collector import Collector
from ..config.settings import ServiceSettings
from ..deadlines import DeadlineWheel
from ..discovery.compile import RouteCompiler
from ..discovery.plan import PlannedRoute
from ..discovery.publish import Published, RoutePublisher
from ..discovery.watcher import READ_TIMEOUT_S, Watcher
from ..edge.address_share import AddressShare
from ..edge.cors import Cors
from ..edge.memory import memory_trimmer
from ..edge.respond import ErrorAnswers
from ..edge.server import Server
from ..grpc.channel import Channel
from ..listeners import ChannelReports, DiscoveryReports, ExchangeReports
from ..model.policy import Policy
from ..model.upstream import UnaryCaller
from ..operator.admin import RefreshReport, RefreshRoutes
from ..operator.health import Health, Live, Ready
from ..operator.metrics import MetricsPage
from ..policy.client_address import ClientAddress
from ..proxy import Endpoint, Proxy
from ..routing.route import Route
from ..routing.table import RouteTable
from ..telemetry import access_log, process_usage
from ..telemetry import metric_catalogue as catalogue
from ..telemetry.access_log import AccessLog
from ..telemetry.log import configure_logging, get_logger, level_of
from ..telemetry.metrics import Metrics
from ..transcoding.headers import ForwardedHeaders
from .guards import Guards
from .overview import Overview
from .shared import Shared, SharedState

TRIM_ROUNDS: Final = 5
"""Rounds of housekeeping between two returns of free memory to the system."""
HOUSEKEEPING_S: Final = 1.0
"""Time between two flushes of the metrics and two looks at the generation number."""
FIRST_ROUND_S: Final = 2.0
"""How long a worker that starts waits for its backends' schemas before it accepts. Nothing is refused meanwhile: the
kernel holds the connections, or another worker takes them. From then on requests wait that match no route yet."""
ADMIN_DRAIN_S: Final = 1.0
"""How long the operators' listener may take to end, after that of the clients has."""
MIN_SPAN_FLUSH_S: Final = 1.0
"""What the last spans get to reach the collector even if the drain timeout is over: workers have a margin of 5 s."""

if TYPE_CHECKING:
    # Routes and auth know a channel by what they need of it; this fails when the shapes part.
    _caller: type[UnaryCaller] = Channel

_NEVER_S: Final = 365 * 24 * 3600.0

_log = get_logger("api_gateway.app")


class Gateway:
    """One worker: `start`, serve, `stop`. Must be made inside its event loop."""

    def __init__(self, shared: Shared) -> None:
        settings = shared.settings
        self._settings = settings
        self._loop = loop = asyncio.get_running_loop()
        self._started_s = loop.time()
        self._wheel = DeadlineWheel(loop)
        self._writer = shared.writer
        configure_logging(shared.writer, level=settings.log.level, levels=settings.log.levels)
        self.metrics = Metrics(shared.metrics_directory, version=__version__)
        self._collector = Collector(settings.observability, self.metrics, loop=loop, wheel=self._wheel)
        self._state = SharedState(shared)
        self._channels = {key: self._channel(key, service) for key, service in settings.services.items()}
        self._guards = Guards(
            settings,
            self._state.store,
            self.metrics,
            loop=loop,
            wheel=self._wheel,
            tracing=self._collector.tracing,
        )
        self._guards.show_breakers()
        self._publisher = RoutePublisher(
            settings,
            RouteCompiler(settings, self._channels, self.metrics, self._bind_policies),
            self.metrics,
            self._publish,
        )
        self.watcher = Watcher(
            self._channels,
            self._publisher,
            DiscoveryReports(self.metrics, settings, loop.time),
            # Overrides need the schema too. Switched off, discovery asks at start, after a reconnect, on demand.
            refresh_interval_s=settings.discovery.refresh_interval_seconds if settings.discovery.enabled else _NEVER_S,
            clock=loop.time,
        )
        self._overview = Overview(
            settings, self._channels, self.watcher, self._publisher, self._guards, clock=loop.time
        )

        self._client_address = ClientAddress(settings.trusted_proxies)
        endpoints = self._make_endpoints()
        is_apart = settings.admin.port is not None
        self._proxy = self._make_proxy({} if is_apart else endpoints)
        self._server = Server(
            self._proxy,
            edge_limits(settings.server),
            loop=loop,
            wheel=self._wheel,
            share=AddressShare(self._client_address.identify, settings.server.max_connections_per_address),
        )
        self._admin_server = (
            Server(self._make_proxy(endpoints), ADMIN_LIMITS, loop=loop, wheel=self._wheel) if is_apart else None
        )
        self._watch_numbers()
        self._are_metrics_written = True
        self._housekeeper: asyncio.Task[None] | None = None
        self._hearing: asyncio.Task[None] | None = None

    # Life

    async def start(self, listeners: Sequence[socket.socket]) -> None:
        """Begin to serve on listening sockets, which stay the caller's, and to discover.

        With an `admin.port`, the second socket is for operators; they see the gateway before its clients do.
        """
        public = listeners
        if self._admin_server is not None:
            public = listeners[:1]
            await self._admin_server.start(listeners[1:])
        await self._state.start()
        self._guards.start()
        self._collector.start()
        self.watcher.start()
        # A worker that accepts before it has a table would answer 404 where its siblings know the route: what matches
        # nothing waits for the services that have not been heard yet.
        if not await self.watcher.wait_for_first_round(FIRST_ROUND_S):
            is_over = asyncio.Event()
            self._proxy.wait_for_routes = is_over.wait
            self._hearing = self._loop.create_task(self._hear_all_services(is_over), name="first round")
        await self._server.start(public)
        self._housekeeper = self._loop.create_task(self._keep_house(), name="housekeeping")
        # What exists now lives as long as the worker: no collection needs to look at it again.
        gc.collect()
        gc.freeze()
        # Requests leave hardly any cycles; looking for them every 700 objects costs 2 % of a request.
        gc.set_threshold(20_000, 20, 100)

    async def stop(self) -> bool:
        """Stop accepting, let requests finish within the drain timeout, then close everything.

        Returns whether every request could finish.
        """
        self._overview.is_stopping = True
        _log.info("draining", in_flight=self.metrics.in_flight, connections=self._server.connection_count)
        delay_s = self._settings.server.shutdown_delay_ms / 1000
        if delay_s:
            await asyncio.sleep(delay_s)
        drained_by_s = self._loop.time() + self._settings.server.drain_timeout_ms / 1000
        is_clean = await self._server.drain(self._settings.server.drain_timeout_ms / 1000)
        if self._admin_server is not None:
            # To the end operators see that it drains.
            await self._admin_server.drain(ADMIN_DRAIN_S)
        if is_clean:
            _log.info("drained")
        else:
            _log.warning("requests cut off", drain_timeout_ms=self._settings.server.drain_timeout_ms)
        await self._close(max(MIN_SPAN_FLUSH_S, drained_by_s - self._loop.time()))
        return is_clean

    async def _close(self, flush_s: float) -> None:
        await self.watcher.aclose()
        await self._guards.aclose()
        for channel in self._channels.values():
            await channel.aclose()
        await self._collector.aclose(min(flush_s, self._settings.observability.otlp_timeout_secs))
        tasks = [task for task in (self._housekeeper, self._hearing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._wheel.close()
        self.metrics.close(self._loop.time())
        await self._state.aclose()
        self._writer.close()

    async def _keep_house(self) -> None:
        due_s = self._loop.time()
        trim_memory = memory_trimmer()
        for number in count(1):
            due_s += HOUSEKEEPING_S
            await asyncio.sleep(max(0.0, due_s - self._loop.time()))
            now_s = self._loop.time()
            self.metrics.observe_loop_lag(max(0.0, now_s - due_s))
            due_s = max(due_s, now_s - HOUSEKEEPING_S)
            self._guards.show_breakers()
            self._write_metrics(now_s)
            if number % TRIM_ROUNDS == 0:
                trim_memory()
            if self._state.is_refresh_due():
                await self.watcher.refresh()

    def _write_metrics(self, now_s: float) -> None:
        was_written, self._are_metrics_written = self._are_metrics_written, self.metrics.flush(now_s)
        if was_written and not self._are_metrics_written:
            _log.warning("metrics cannot be written: the disk is full, or the runtime directory gone")

    # Parts

    def _channel(self, key: str, service: ServiceSettings) -> Channel:
        name = self._settings.service_name(key)
        return Channel(
            name,
            service_target(service),
            channel_options(service, self._settings.retry_of(key)),
            loop=self._loop,
            wheel=self._wheel,
            observer=ChannelReports(name, self.metrics, lambda: self.watcher.trigger(key)),
        )

    def _make_endpoints(self) -> Mapping[tuple[str, str], Endpoint]:
        overview = self._overview
        return {
            ("GET", "/health"): Health(
                overview, version=__version__, uptime_s=lambda: self._loop.time() - self._started_s
            ),
            ("GET", "/health/live"): Live(),
            ("GET", "/health/ready"): Ready(overview),
            ("GET", "/metrics"): MetricsPage(self._render_metrics),
            ("POST", "/admin/refresh-routes"): RefreshRoutes(self._refresh, self._guards.of_admin()),
        }

    def _make_proxy(self, endpoints: Mapping[tuple[str, str], Endpoint]) -> Proxy:
        settings = self._settings
        log = settings.log
        return Proxy(
            clock=monotonic,
            client_address=self._client_address,
            endpoints=endpoints,
            unmatched_policies=self._guards.of_unmatched(),
            respond=ErrorAnswers(settings.errors.format),
            forwarded=ForwardedHeaders(settings.headers.forward),
            listener=ExchangeReports(
                self.metrics,
                AccessLog(
                    self._writer,
                    level=level_of(access_log.TARGET, log.level, log.levels),
                    is_enabled=log.requests,
                    sample_successes=log.sample_successes,
                ),
                self._collector.recorder,
            ),
            cross_origin=Cors(settings.cors) if settings.cors.enabled else None,
            max_timeout_s=settings.server.request_timeout_ms / 1000,
            tracing=self._collector.tracing,
        )

    def _bind_policies(self, planned: PlannedRoute) -> tuple[Policy, ...]:
        return self._guards.of_route(planned, self._channels[planned.service])

    def _watch_numbers(self) -> None:
        """Have the metrics ask, once a second, for what nobody reports."""
        watch = self.metrics.watch
        watch(catalogue.DROPPED_LINES, lambda: self._writer.dropped_lines)
        watch(catalogue.CLIENT_CONNECTIONS, lambda: self._server.connection_count)
        watch(catalogue.CPU, process_usage.cpu_s)
        watch(catalogue.MEMORY, process_usage.resident_bytes)
        self._overview.show_channels(self.metrics)

    async def _hear_all_services(self, is_over: asyncio.Event) -> None:
        # By then the slowest one was given up.
        await self.watcher.wait_for_first_round(READ_TIMEOUT_S)
        self._proxy.wait_for_routes = None
        is_over.set()

    def _publish(self, table: RouteTable[Route]) -> None:
        self._proxy.routes = table

    # For operators

    @property
    def published(self) -> Published | None:
        """The plan in force."""
        return self._publisher.published

    def is_draining(self) -> bool:
        """Whether the gateway is shutting down."""
        return self._overview.is_draining()

    async def _render_metrics(self, accept: bytes) -> tuple[bytes, bytes]:
        self.metrics.flush(self._loop.time())
        # With thousands of routes it takes a second; requests go on meanwhile.
        return await self._loop.run_in_executor(None, self.metrics.render, accept)

    async def _refresh(self) -> RefreshReport:
        self._guards.forget_policies()
        # A task of its own: what it awaits must not depend on the client staying.
        change, failed = await self._loop.create_task(self.watcher.refresh(), name="refresh on demand")
        await self._state.announce_refresh()
        return RefreshReport(added=change.added, removed=change.removed, changed=change.changed, failed=failed)
