"""Turns planned routes into compiled ones: everything that can be known before a request comes is known after this."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..config.settings import BodyLimitSettings, Settings
from ..model.policy import Policy
from ..model.upstream import Upstream
from ..routing.route import Route
from ..routing.table import RouteTable
from ..schema import Schema
from ..telemetry.metrics import Metrics
from ..transcoding.binding import compile_binding, compile_frames
from ..transcoding.codecs import Codecs, compile_encoder
from .plan import Plan, PlannedRoute

PolicyBinder = Callable[[PlannedRoute], tuple[Policy, ...]]
"""Returns the policies of a route, in the order in which they are asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A finished table, and what could not be served."""

    table: RouteTable[Route]
    failures: tuple[tuple[PlannedRoute, str], ...]


class RouteCompiler:
    """Compiles routes. Keeps what it compiled last, so that a service that changed costs only its own routes."""

    def __init__(
        self,
        settings: Settings,
        channels: Mapping[str, Upstream],
        metrics: Metrics,
        bind_policies: PolicyBinder,
    ) -> None:
        self._settings = settings
        self._channels = channels
        self._metrics = metrics
        self._bind_policies = bind_policies
        self._last: dict[tuple[object, ...], Route] = {}
        self._codecs: dict[tuple[str, str], Codecs] = {}

    def compile(self, plan: Plan, schemas: Mapping[str, Schema]) -> Compiled:
        """Compile a plan. A route whose rule does not fit its messages becomes a failure; the others are served."""
        entries = []
        failures = []
        kept: dict[tuple[object, ...], Route] = {}
        codecs = {name: self._codecs_of(name, schema) for name, schema in schemas.items()}
        for planned in plan.routes:
            schema = schemas[planned.service]
            key = _identity(planned, schema)
            route = self._last.get(key)
            if route is None:
                try:
                    route = self._compile(planned, schema, codecs[planned.service])
                except ValueError as error:
                    failures.append((planned, str(error)))
                    continue
            kept[key] = route
            entries.append((planned.verb, planned.template, route))
        self._last = kept
        self._codecs = {(name, schemas[name].fingerprint): shared for name, shared in codecs.items()}
        return Compiled(table=RouteTable.build(entries), failures=tuple(failures))

    def _codecs_of(self, service: str, schema: Schema) -> Codecs:
        """Return the codecs of a service, those of its last table while its schema means the same."""
        known = self._codecs.get((service, schema.fingerprint))
        return known or Codecs(self._settings.services[service].transcoding, schema.registry)

    def _compile(self, planned: PlannedRoute, schema: Schema, codecs: Codecs) -> Route:
        settings = self._settings
        service = settings.services[planned.service]
        method = planned.method
        name = settings.service_name(planned.service)
        binding = compile_binding(
            method,
            planned.variables,
            body=planned.body,
            codecs=codecs,
            verb=planned.verb,
        )
        encoder = compile_encoder(method, response_body=planned.response_body, codecs=codecs)
        frames = None if method.is_unary or binding.is_raw or encoder.is_raw else binding
        if frames is not None and method.is_client_streaming and not binding.takes_body:
            # A rule without a body says nothing about frames: each is a whole message then.
            frames = compile_frames(method, planned.variables, codecs=codecs)
        self._metrics.route(planned.template.text, planned.verb, self._metrics.calls(name, method.full_name))
        return Route(
            template=planned.template.text,
            verb=planned.verb,
            service=name,
            method=method,
            grpc_path=f"/{method.full_name}".encode(),
            timeout_s=timeout_ms_of(planned, settings) / 1000,
            idle_timeout_s=service.stream_idle_timeout_ms / 1000,
            body_limit_bytes=body_limit_bytes(planned.template.text, settings.body_limit),
            binding=binding,
            frames=frames,
            encoder=encoder,
            registry=schema.registry,
            channel=self._channels[planned.service],
            is_idempotent=planned.is_idempotent,
            policies=self._bind_policies(planned),
        )


def timeout_ms_of(planned: PlannedRoute, settings: Settings) -> int:
    """Return the longest time for one call of a route: its own, else its service's for that kind of method."""
    service = settings.services[planned.service]
    if planned.method.is_unary:
        return min(planned.timeout_ms or service.timeout_ms, settings.server.request_timeout_ms)
    return planned.timeout_ms or service.stream_timeout_ms


def body_limit_bytes(path: str, limits: BodyLimitSettings) -> int:
    """Return the body limit of a path template: the upload limit under `upload_paths`, else the default."""
    for prefix in limits.upload_paths:
        if path == prefix or path.startswith(prefix.rstrip("/") + "/") or fnmatchcase(path, prefix):
            return int(limits.upload_limit)
    return int(limits.default_limit)


def _identity(planned: PlannedRoute, schema: Schema) -> tuple[object, ...]:
    return (
        planned.service,
        schema.fingerprint,
        planned.method.full_name,
        planned.verb,
        planned.template.text,
        planned.variables,
        planned.body,
        planned.response_body,
        planned.timeout_ms,
        planned.is_idempotent,
    )
