"""Builds every part from the settings, joins them, starts them in order and stops them in reverse."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from . import __version__
from .blueprint import ADMIN_LIMITS, AUTH_CHANNEL_OPTIONS, channel_options, edge_limits, service_target
from .collector import Collector
from .config.settings import ServiceSettings, Settings
from .deadlines import DeadlineWheel
from .discovery.compile import RouteCompiler
from .discovery.plan import PlannedRoute
from .discovery.publish import Published, RoutePublisher
from .discovery.watcher import Watcher
from .edge.address_share import AddressShare
from .edge.cors import Cors
from .edge.memory import memory_trimmer
from .edge.respond import ErrorAnswers
from .edge.server import Server
from .grpc.channel import Channel
from .grpc.connectivity import State
from .grpc.target import parse_target
from .listeners import AuthReports, BreakerReports, ChannelReports, DiscoveryReports, ExchangeReports, LimitReports
from .model.policy import Policy
from .model.upstream import UnaryCaller
from .operator.admin import LoopbackOnly, RefreshReport, RefreshRoutes
from .operator.health import Health, Live, Ready, ServiceHealth
from .operator.metrics import MetricsPage
from .policy.auth import Auth, GuardedRoute
from .policy.breaker import Breaker
from .policy.client_address import ClientAddress
from .policy.rate_limit import RateLimit
from .proxy import Endpoint, Proxy
from .routing.route import Route
from .routing.table import RouteTable
from .state.cluster import ClusterStore
from .state.local import LocalStoreFile
from .state.memory import MemoryStore
from .state.store import MachineStore, StoreError
from .telemetry import access_log, process_usage
from .telemetry import metric_catalogue as catalogue
from .telemetry.access_log import AccessLog
from .telemetry.log import configure_logging, get_logger, level_of
from .telemetry.log_writer import LogWriter
from .telemetry.metrics import UNMATCHED, Metrics
from .transcoding.headers import ForwardedHeaders

TRIM_ROUNDS: Final = 5
"""Rounds of housekeeping between two returns of free memory to the system."""
HOUSEKEEPING_S: Final = 1.0
"""Time between two flushes of the metrics and two looks at the generation number."""
FIRST_ROUND_S: Final = 2.0
"""How long a worker that starts waits for its backends' schemas before it accepts. Nothing is refused meanwhile: the
kernel holds the connections, or another worker takes them."""
ADMIN_DRAIN_S: Final = 1.0
"""How long the operators' listener may take to end, after that of the clients has."""
MIN_SPAN_FLUSH_S: Final = 1.0
"""What the last spans get to reach the collector even if the drain timeout is over: workers have a margin of 5 s."""
AUTH_SERVICE: Final = "auth"
"""Name of the auth service's channel in logs and metrics."""

if TYPE_CHECKING:
    # Routes and auth know a channel by what they need of it; this fails when the shapes part.
    _caller: type[UnaryCaller] = Channel

_NEVER_S: Final = 365 * 24 * 3600.0

_log = get_logger("api_gateway.app")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all workers of one gateway have in common. Made by the first process, before any worker."""

    settings: Settings
    state: LocalStoreFile | None
    """What several workers share; None for one worker, which keeps its state to itself."""
    metrics_directory: Path
    writer: LogWriter


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
        self._local_store = _machine_store(shared)
        self._cluster_store = _cluster_store(settings, self._local_store)
        self._store: MachineStore | ClusterStore = self._cluster_store or self._local_store
        self._generation = self._local_store.read_generation()

        self._channels = {key: self._channel(key, service) for key, service in settings.services.items()}
        self._auth_channel = self._open_auth_channel()
        self._auth = self._make_auth()
        self._limit = (
            RateLimit(settings.rate_limit, self._store, LimitReports(self.metrics, loop.time))
            if settings.rate_limit.enabled
            else None
        )
        self._breakers = {
            key: Breaker(settings.service_name(key), service.circuit_breaker, self._store, BreakerReports(self.metrics))
            for key, service in settings.services.items()
        }
        self._show_breakers(loop.time())

        self._client_address = ClientAddress(settings.trusted_proxies)
        endpoints = self._make_endpoints()
        is_apart = settings.admin.port is not None
        self._proxy = self._make_proxy({} if is_apart else endpoints)
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
        self._housekeeper: asyncio.Task[None] | None = None
        self._is_stopping = False

    # Life

    async def start(self, listeners: Sequence[socket.socket]) -> None:
        """Begin to serve on listening sockets, which stay the caller's, and to discover.

        With an `admin.port`, the second socket is for operators; they see the gateway before its clients do.
        """
        public = listeners
        if self._admin_server is not None:
            public = listeners[:1]
            await self._admin_server.start(listeners[1:])
        if self._cluster_store is not None:
            await self._cluster_store.start()
            self._generation = self._cluster_store.read_generation()
        if self._auth is not None:
            self._auth.start()
        self._collector.start()
        self.watcher.start()
        # A worker that accepts before it has a table answers 404 where its siblings know the route.
        await self.watcher.wait_for_first_round(FIRST_ROUND_S)
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
        self._is_stopping = True
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
        if self._auth is not None:
            await self._auth.aclose()
        for channel in self._all_channels():
            await channel.aclose()
        await self._collector.aclose(min(flush_s, self._settings.observability.otlp_timeout_secs))
        if self._housekeeper is not None:
            self._housekeeper.cancel()
            await asyncio.gather(self._housekeeper, return_exceptions=True)
        self._wheel.close()
        self.metrics.close(self._loop.time())
        if self._cluster_store is not None:
            await self._cluster_store.close()
        self._local_store.close()
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
            self._show_breakers(now_s)
            self.metrics.flush(now_s)
            if number % TRIM_ROUNDS == 0:
                trim_memory()
            try:
                generation = self._store.read_generation()
            except StoreError as error:
                _log.warning("shared state cannot be read", reason=str(error))
                continue
            if generation != self._generation:
                self._generation = generation
                await self.watcher.refresh()

    def _show_breakers(self, now_s: float) -> None:
        """Show changes that other workers made: a breaker's gauge is the largest of all workers."""
        for breaker in self._breakers.values():
            self.metrics.show_breaker(breaker.service, breaker.record(now_s).state.label)

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

    def _open_auth_channel(self) -> Channel | None:
        auth = self._settings.auth
        if auth is None or auth.service_endpoint is None or auth.jwt is not None:
            return None
        return Channel(
            AUTH_SERVICE,
            parse_target(auth.service_endpoint),
            AUTH_CHANNEL_OPTIONS,
            loop=self._loop,
            wheel=self._wheel,
            observer=ChannelReports(AUTH_SERVICE, self.metrics, lambda: None),
        )

    def _make_auth(self) -> Auth | None:
        if self._settings.auth is None:
            return None
        return Auth(
            self._settings.auth,
            AuthReports(self.metrics, self._loop.time, self._collector.tracing).listener(),
            service=self._auth_channel,
        )

    def _all_channels(self) -> list[Channel]:
        channels = list(self._channels.values())
        return [*channels, self._auth_channel] if self._auth_channel is not None else channels

    def _make_endpoints(self) -> Mapping[tuple[str, str], Endpoint]:
        limits = (self._limit.bind(UNMATCHED, "*"),) if self._limit is not None else ()
        guard: Policy = self._auth.bind_role("admin") if self._auth is not None else LoopbackOnly()
        return {
            ("GET", "/health"): Health(self, version=__version__, uptime_s=lambda: self._loop.time() - self._started_s),
            ("GET", "/health/live"): Live(),
            ("GET", "/health/ready"): Ready(self),
            ("GET", "/metrics"): MetricsPage(self._render_metrics),
            ("POST", "/admin/refresh-routes"): RefreshRoutes(self._refresh, (*limits, guard)),
        }

    def _make_proxy(self, endpoints: Mapping[tuple[str, str], Endpoint]) -> Proxy:
        return Proxy(
            clock=monotonic,
            client_address=self._client_address,
            endpoints=endpoints,
            unmatched_policies=(self._limit.bind(UNMATCHED, "*"),) if self._limit is not None else (),
            respond=ErrorAnswers(self._settings.errors.format),
            forwarded=ForwardedHeaders(self._settings.headers.forward),
            listener=ExchangeReports(
                self.metrics,
                AccessLog(
                    self._writer,
                    level=level_of(access_log.TARGET, self._settings.log.level, self._settings.log.levels),
                    is_enabled=self._settings.log.requests,
                    sample_successes=self._settings.log.sample_successes,
                ),
                self._collector.recorder,
            ),
            cross_origin=Cors(self._settings.cors) if self._settings.cors.enabled else None,
            max_timeout_s=self._settings.server.request_timeout_ms / 1000,
            tracing=self._collector.tracing,
        )

    def _bind_policies(self, planned: PlannedRoute) -> tuple[Policy, ...]:
        """Return a route's policies. The limit comes first so that a flood of bad tokens is cheap (semantics 32)."""
        template, verb = planned.template.text, planned.verb
        policies: list[Policy] = []
        if self._limit is not None:
            policies.append(self._limit.bind(template, verb))
        if self._auth is not None:
            guarded = GuardedRoute(
                service=planned.service, method=planned.method.full_name, template=template, verb=verb
            )
            policies.append(self._auth.bind(guarded, self._channels[planned.service]))
        service = self._settings.services[planned.service]
        timeout_ms = min(planned.timeout_ms or service.timeout_ms, self._settings.server.request_timeout_ms)
        policies.append(self._breakers[planned.service].bind(timeout_ms / 1000))
        return tuple(policies)

    def _watch_numbers(self) -> None:
        """Have the metrics ask, once a second, for what nobody reports."""
        watch = self.metrics.watch
        watch(catalogue.DROPPED_LINES, lambda: self._writer.dropped_lines)
        watch(catalogue.CLIENT_CONNECTIONS, lambda: self._server.connection_count)
        watch(catalogue.CPU, process_usage.cpu_s)
        watch(catalogue.MEMORY, process_usage.resident_bytes)
        if self._auth is not None:
            tokens = self._auth.tokens
            watch(catalogue.AUTH_CACHE, lambda: tokens.hits, "hit")
            watch(catalogue.AUTH_CACHE, lambda: tokens.misses, "miss")
        for key in self._channels:
            name = self._settings.service_name(key)
            watch(catalogue.QUEUED_CALLS, partial(_queued_calls, self._channels[key]), name)
            watch(catalogue.REACHABLE, partial(self._is_reachable, key), name)

    def _is_reachable(self, key: str) -> bool:
        return self._channels[key].state in (State.READY, State.IDLE) and not self.watcher.statuses[key].error

    def _publish(self, table: RouteTable[Route]) -> None:
        self._proxy.routes = table

    # For operators

    @property
    def published(self) -> Published | None:
        """The plan in force."""
        return self._publisher.published

    def is_draining(self) -> bool:
        """Whether the gateway is shutting down."""
        return self._is_stopping

    def unready_reasons(self) -> Mapping[str, str]:
        """What besides discovery keeps the gateway from being ready."""
        if self._auth is not None and not self._auth.is_ready(self._loop.time()):
            return {"auth": "the key set was not loaded yet"}
        return {}

    def service_health(self) -> Mapping[str, ServiceHealth]:
        """State of every service."""
        published = self.published
        counts: dict[str, int] = {}
        for planned in published.plan.routes if published is not None else ():
            counts[planned.service] = counts.get(planned.service, 0) + 1
        return {key: self._service_health(key, counts.get(key, 0)) for key in self._channels}

    def _service_health(self, key: str, routes: int) -> ServiceHealth:
        now_s = self._loop.time()
        channel = self._channels[key]
        status = self.watcher.statuses[key]
        return ServiceHealth(
            endpoint=self._settings.services[key].endpoint_text,
            is_reachable=self._is_reachable(key),
            is_discovered=status.is_discovered,
            connection=channel.state.value,
            addresses={address: each.value for address, each in channel.address_states.items()},
            breaker=self._breakers[key].record(now_s).state.label,
            routes=routes,
            schema_age_s=now_s - status.last_success_s if status.last_success_s else None,
            error=status.error,
        )

    async def _render_metrics(self, accept: bytes) -> tuple[bytes, bytes]:
        self.metrics.flush(self._loop.time())
        # With thousands of routes it takes a second; requests go on meanwhile.
        return await self._loop.run_in_executor(None, self.metrics.render, accept)

    async def _refresh(self) -> RefreshReport:
        if self._auth is not None:
            self._auth.forget_policies()
        # A task of its own: what it awaits must not depend on the client staying.
        change, failed = await self._loop.create_task(self.watcher.refresh(), name="refresh on demand")
        try:
            if self._cluster_store is not None:
                await self._cluster_store.bump_generation()
            else:
                self._local_store.bump_generation()
            self._generation = self._store.read_generation()
        except StoreError as error:
            _log.warning("other workers were not told to refresh", reason=str(error))
        return RefreshReport(added=change.added, removed=change.removed, changed=change.changed, failed=failed)


def _queued_calls(channel: Channel) -> int:
    return channel.queued_calls


def _machine_store(shared: Shared) -> MachineStore:
    limit = shared.settings.rate_limit
    if shared.state is None:
        return MemoryStore(window_s=limit.window_seconds, max_memory_bytes=int(limit.max_memory))
    return shared.state.open(window_s=limit.window_seconds)


def _cluster_store(settings: Settings, local: MachineStore) -> ClusterStore | None:
    if settings.state.redis_url is None:
        return None
    return ClusterStore(
        settings.state.redis_url,
        local,
        window_s=settings.rate_limit.window_seconds,
        timeout_s=settings.state.timeout_ms / 1000,
    )
