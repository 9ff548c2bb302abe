"""`/health/live`, `/health/ready` and `/health` (semantics 45)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from ..model.message import HeaderList, Request, Response
from ..model.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceHealth:
    """One backend as `/health` shows it."""

    endpoint: str
    is_reachable: bool
    is_discovered: bool
    connection: str
    """State of the channel: `ready`, `connecting`, `idle`, `transient_failure`."""
    breaker: str
    routes: int
    schema_age_s: float | None
    """Seconds since the schema was last read; None when it never was."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """State of each address: those of the channel, and `not_serving`. Empty before they are known."""
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        shown: dict[str, Any] = {
            "endpoint": self.endpoint,
            "reachable": self.is_reachable,
            "discovered": self.is_discovered,
            "connection": self.connection,
            "addresses": dict(self.addresses),
            "circuit_breaker": self.breaker,
            "routes": self.routes,
            "schema_age_seconds": None if self.schema_age_s is None else round(self.schema_age_s, 3),
        }
        if self.error:
            shown["error"] = self.error
        return shown


class HealthSource(Protocol):
    """Who knows the state of the parts."""

    def is_draining(self) -> bool:
        """Whether the gateway is shutting down."""

    def service_health(self) -> Mapping[str, ServiceHealth]:
        """State of every service by key."""

    def unready_reasons(self) -> Mapping[str, str]:
        """What else keeps the gateway from being ready, by part; empty when nothing does."""


class Live:
    """Answers 200 as long as the loop turns."""

    template = "/health/live"
    policies: Sequence[Policy] = ()

    async def answer(self, request: Request) -> Response:
        """Answer."""
        return _json(200, {"status": "alive"})


class Ready:
    """Answers 200 once every service was discovered and no drain is under way."""

    template = "/health/ready"
    policies: Sequence[Policy] = ()

    def __init__(self, source: HealthSource) -> None:
        self._source = source

    async def answer(self, request: Request) -> Response:
        """Answer 200 or 503 with the reasons."""
        reasons = dict(self._source.unready_reasons())
        for name, health in self._source.service_health().items():
            if not health.is_discovered:
                reasons[name] = health.error or "not discovered yet"
        if self._source.is_draining():
            reasons["gateway"] = "shutting down"
        if reasons:
            return _json(503, {"status": "not_ready", "reasons": reasons})
        return _json(200, {"status": "ready"})


class Health:
    """Answers with the state of every service; 503 when none can be reached."""

    template = "/health"
    policies: Sequence[Policy] = ()

    def __init__(self, source: HealthSource, *, version: str, uptime_s: Callable[[], float]) -> None:
        self._source = source
        self._version = version
        self._uptime_s = uptime_s

    async def answer(self, request: Request) -> Response:
        """Answer 200 while at least one service can be reached."""
        services = self._source.service_health()
        reachable = sum(health.is_reachable for health in services.values())
        status = "down" if not reachable else "up" if reachable == len(services) else "degraded"
        return _json(
            200 if reachable else 503,
            {
                "status": status,
                "version": self._version,
                "uptime_seconds": round(self._uptime_s(), 3),
                "services": {name: health.as_dict() for name, health in services.items()},
            },
        )


def _json(status: int, value: object) -> Response:
    headers: HeaderList = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    return Response(status, headers, orjson.dumps(value))
