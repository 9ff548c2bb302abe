"""What protects the backends: rate limit, auth and breakers of one worker, and which of them a route gets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from math import inf
from typing import Final

from ..blueprint import AUTH_CHANNEL_OPTIONS
from ..config.settings import Settings
from ..deadlines import DeadlineWheel
from ..discovery.compile import timeout_ms_of
from ..discovery.plan import PlannedRoute
from ..grpc.channel import Channel
from ..grpc.target import parse_target
from ..listeners import AuthReports, BreakerReports, ChannelReports, CountedCaller, LimitReports
from ..model.policy import Policy
from ..operator.admin import LoopbackOnly
from ..policy.auth import Auth, GuardedRoute
from ..policy.breaker import Breaker
from ..policy.rate_limit import RateLimit
from ..state.cluster import ClusterStore
from ..state.store import MachineStore
from ..telemetry import metric_catalogue as catalogue
from ..telemetry.metrics import UNMATCHED, Metrics
from ..telemetry.tracing import Tracing

AUTH_SERVICE: Final = "auth"
"""Name of the auth service's channel in logs and metrics."""


class Guards:
    """All guards of one worker. Call `start` in its loop, `aclose` at its end."""

    def __init__(
        self,
        settings: Settings,
        store: MachineStore | ClusterStore,
        metrics: Metrics,
        *,
        loop: asyncio.AbstractEventLoop,
        wheel: DeadlineWheel,
        tracing: Tracing,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._loop = loop
        self._limit = (
            RateLimit(settings.rate_limit, store, LimitReports(metrics, loop.time))
            if settings.rate_limit.enabled
            else None
        )
        self._auth_channel = _auth_channel(settings, metrics, loop=loop, wheel=wheel)
        asked = self._auth_channel
        self._auth = (
            Auth(
                settings.auth,
                AuthReports(metrics, loop.time, tracing).listener(),
                service=CountedCaller(asked, AUTH_SERVICE, metrics) if asked is not None else None,
            )
            if settings.auth is not None
            else None
        )
        self._breakers = {
            key: Breaker(settings.service_name(key), service.circuit_breaker, store, BreakerReports(metrics, loop.time))
            for key, service in settings.services.items()
        }
        self._watch_tokens()

    def start(self) -> None:
        """Begin to load keys and to watch the auth service."""
        if self._auth is not None:
            self._auth.start()

    async def aclose(self) -> None:
        """Ask nobody any more."""
        if self._auth is not None:
            await self._auth.aclose()
        if self._auth_channel is not None:
            await self._auth_channel.aclose()

    # For requests

    def of_route(self, planned: PlannedRoute, channel: Channel) -> tuple[Policy, ...]:
        """Return a route's policies. The limit comes first so that a flood of bad tokens is cheap (semantics 32)."""
        template, verb = planned.template.text, planned.verb
        policies: list[Policy] = []
        if self._limit is not None:
            policies.append(self._limit.bind(template, verb))
        if self._auth is not None:
            guarded = GuardedRoute(
                service=planned.service, method=planned.method.full_name, template=template, verb=verb
            )
            policies.append(self._auth.bind(guarded, channel))
        # A stream of requests lasts as long as its client wants: that it is late says nothing of the backend.
        is_timed = not planned.method.is_client_streaming
        timeout_s = timeout_ms_of(planned, self._settings) / 1000 if is_timed else inf
        policies.append(self._breakers[planned.service].bind(timeout_s))
        return tuple(policies)

    def of_unmatched(self) -> tuple[Policy, ...]:
        """Return the policies of requests that match no route."""
        return (self._limit.bind(UNMATCHED, "*"),) if self._limit is not None else ()

    def of_admin(self) -> tuple[Policy, ...]:
        """Return the policies of `/admin`: without auth, it answers programs on this machine only (semantics 33)."""
        guard: Policy = self._auth.bind_role("admin") if self._auth is not None else LoopbackOnly()
        return (*self.of_unmatched(), guard)

    # For operators

    def forget_policies(self) -> None:
        """Have every backend's auth policy asked for again."""
        if self._auth is not None:
            self._auth.forget_policies()

    def unready_reasons(self) -> Mapping[str, str]:
        """What keeps the guards from admitting anybody; empty when nothing does."""
        if self._auth is not None and not self._auth.is_ready(self._loop.time()):
            return {"auth": "the key set was not loaded yet"}
        return {}

    def breaker_state(self, key: str) -> str:
        """Return the state of a service's breaker, for people."""
        return self._breakers[key].record(self._loop.time()).state.label

    def show_breakers(self) -> None:
        """Show changes that other workers made: a breaker's gauge is the largest of all workers."""
        for key, breaker in self._breakers.items():
            self._metrics.show_breaker(breaker.service, self.breaker_state(key))

    def _watch_tokens(self) -> None:
        if self._auth is not None:
            tokens = self._auth.tokens
            self._metrics.watch(catalogue.AUTH_CACHE, lambda: tokens.hits, "hit")
            self._metrics.watch(catalogue.AUTH_CACHE, lambda: tokens.misses, "miss")


def _auth_channel(
    settings: Settings, metrics: Metrics, *, loop: asyncio.AbstractEventLoop, wheel: DeadlineWheel
) -> Channel | None:
    auth = settings.auth
    if auth is None or auth.service_endpoint is None or auth.jwt is not None:
        return None
    return Channel(
        AUTH_SERVICE,
        parse_target(auth.service_endpoint),
        AUTH_CHANNEL_OPTIONS,
        loop=loop,
        wheel=wheel,
        observer=ChannelReports(AUTH_SERVICE, metrics, lambda: None),
    )
