"""What planning yields: routes, and everything that did not become one. Frozen values, ready for printing and JSON."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..routing.template import Template
from ..schema import Method

Json = str | int | None | list["Json"] | dict[str, "Json"]


class Source(Enum):
    """Where a route comes from, strongest first (semantics 1)."""

    OVERRIDE = "override"
    ANNOTATION = "annotation"
    CONVENTION = "convention"
    FALLBACK = "fallback"

    @property
    def rank(self) -> int:
        """0 for the strongest."""
        return list(Source).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRoute:
    """One route: which request becomes which call."""

    service: str
    """Key of the service in the configuration."""
    method: Method
    verb: str
    """HTTP method, or `*` for all."""
    template: Template
    variables: tuple[str, ...]
    """Request fields that the template's variables bind, in its order; they may be called otherwise there."""
    body: str
    """`*`, a request field, or empty: no body."""
    response_body: str
    """A response field, or empty: the whole message."""
    timeout_ms: int | None
    """The route's own timeout, if it has one."""
    is_idempotent: bool
    """Whether its calls may be tried again."""
    source: Source

    def as_dict(self) -> dict[str, Json]:
        """Return the values for JSON."""
        return {
            "verb": self.verb,
            "path": self.template.text,
            "service": self.service,
            "method": self.method.full_name,
            "streaming": _streaming(self.method),
            "variables": list(self.variables),
            "body": self.body,
            "response_body": self.response_body,
            "timeout_ms": self.timeout_ms,
            "idempotent": self.is_idempotent,
            "source": self.source.value,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A route that is not served, because another one matches exactly the same requests."""

    loser: PlannedRoute
    winner: PlannedRoute | None
    """None when the gateway itself answers there."""

    @property
    def reason(self) -> str:
        """Why it lost, for people."""
        if self.winner is None:
            return "the path belongs to the gateway itself"
        if self.winner.source is not self.loser.source:
            return f"{self.winner.source.value} wins over {self.loser.source.value}"
        if self.winner.method.full_name != self.loser.method.full_name:
            return "the first by full method name wins"
        if self.winner.service != self.loser.service:
            return "two services offer the method; the first by key wins"
        return "the method states it twice"

    def as_dict(self) -> dict[str, Json]:
        """Return the values for JSON; the winner is `"system"` when the path belongs to the gateway itself."""
        return {
            "verb": self.loser.verb,
            "path": self.loser.template.text,
            "loser": self.loser.as_dict(),
            "winner": self.winner.as_dict() if self.winner is not None else "system",
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmapped:
    """A method without a route, or one binding of it that cannot be served."""

    service: str
    """Key of the service in the configuration."""
    method: str
    """`package.Service/Method`."""
    reason: str
    override: str
    """YAML to paste under `route_overrides:`."""

    def as_dict(self) -> dict[str, Json]:
        """Return the values for JSON."""
        return {"service": self.service, "method": self.method, "reason": self.reason, "override": self.override}


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedOverride:
    """An override of the configuration that leads to no route."""

    grpc_method: str
    http_method: str
    http_path: str
    reason: str

    def as_dict(self) -> dict[str, Json]:
        """Return the values for JSON."""
        return {
            "grpc_method": self.grpc_method,
            "http_method": self.http_method,
            "http_path": self.http_path,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All routes, and all that is none. Everything in an order that depends on nothing but the content."""

    routes: tuple[PlannedRoute, ...]
    """By path, then HTTP method."""
    conflicts: tuple[Conflict, ...]
    unmapped: tuple[Unmapped, ...]
    rejected_overrides: tuple[RejectedOverride, ...]
    """In the order of the configuration."""

    def as_dict(self) -> dict[str, Json]:
        """Return the values for JSON."""
        return {
            "routes": [route.as_dict() for route in self.routes],
            "conflicts": [conflict.as_dict() for conflict in self.conflicts],
            "unmapped": [unmapped.as_dict() for unmapped in self.unmapped],
            "rejected_overrides": [rejected.as_dict() for rejected in self.rejected_overrides],
        }


def _streaming(method: Method) -> str:
    if method.is_unary:
        return "unary"
    if method.is_client_streaming and method.is_server_streaming:
        return "bidirectional"
    return "client" if method.is_client_streaming else "server"
