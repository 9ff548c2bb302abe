"""How the services of one worker are doing, for `/health` and for the metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from ..config.settings import Settings
from ..discovery.publish import RoutePublisher
from ..discovery.watcher import Watcher
from ..grpc.channel import Channel
from ..grpc.connectivity import State
from ..operator.health import HealthSource, ServiceHealth
from ..telemetry import metric_catalogue as catalogue
from ..telemetry.metrics import Metrics
from .guards import Guards


class Overview:
    """Reads the state of the parts, and changes nothing. Implements `operator.health.HealthSource`."""

    def __init__(
        self,
        settings: Settings,
        channels: Mapping[str, Channel],
        watcher: Watcher,
        publisher: RoutePublisher,
        guards: Guards,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._channels = channels
        self._watcher = watcher
        self._publisher = publisher
        self._guards = guards
        self._clock = clock
        self.is_stopping = False
        """Set by who stops the worker."""

    def is_draining(self) -> bool:
        """Whether the gateway is shutting down."""
        return self.is_stopping

    def unready_reasons(self) -> Mapping[str, str]:
        """What besides discovery keeps the gateway from being ready."""
        return self._guards.unready_reasons()

    def service_health(self) -> Mapping[str, ServiceHealth]:
        """State of every service."""
        published = self._publisher.published
        routes = Counter(planned.service for planned in published.plan.routes) if published is not None else Counter()
        return {key: self._service_health(key, routes[key]) for key in self._channels}

    def show_channels(self, metrics: Metrics) -> None:
        """Have the metrics ask, once a second, for what no channel reports."""
        for key, channel in self._channels.items():
            name = self._settings.service_name(key)
            metrics.watch(catalogue.QUEUED_CALLS, partial(_queued_calls, channel), name)
            metrics.watch(catalogue.REACHABLE, partial(self._is_reachable, key), name)

    def _is_reachable(self, key: str) -> bool:
        return self._channels[key].state in (State.READY, State.IDLE) and not self._watcher.statuses[key].error

    def _service_health(self, key: str, routes: int) -> ServiceHealth:
        channel = self._channels[key]
        status = self._watcher.statuses[key]
        return ServiceHealth(
            endpoint=self._settings.services[key].endpoint_text,
            is_reachable=self._is_reachable(key),
            is_discovered=status.is_discovered,
            connection=channel.state.value,
            addresses={address: each.value for address, each in channel.address_states.items()},
            breaker=self._guards.breaker_state(key),
            routes=routes,
            schema_age_s=self._clock() - status.last_success_s if status.last_success_s else None,
            error=status.error,
        )


def _queued_calls(channel: Channel) -> int:
    return channel.queued_calls


if TYPE_CHECKING:
    _source: type[HealthSource] = Overview
