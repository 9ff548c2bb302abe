"""The echo service, planned and compiled with a fake channel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from api_gateway.config.settings import ServiceSettings, Settings
from api_gateway.discovery.compile import Compiled, RouteCompiler
from api_gateway.discovery.plan import PlannedRoute, plan_routes
from api_gateway.model.policy import Policy
from api_gateway.schema import Schema
from api_gateway.telemetry.metrics import Metrics, prepare_metrics_directory
from tests.support.descriptors import schema_of
from tests.support.fake_service import FakeService

ECHO = schema_of("echo.proto")


class Compiling:
    """A compiler for one service, `echo`, with everything around it."""

    def __init__(
        self,
        directory: Path,
        *,
        policies: tuple[Policy, ...] = (),
        service: dict[str, Any] | None = None,
        **sections: Any,
    ) -> None:
        prepare_metrics_directory(directory)
        self.settings = Settings(
            services={"echo": ServiceSettings(endpoint="http://127.0.0.1:1", name="echo-service", **(service or {}))},
            **sections,
        )
        self.metrics = Metrics(directory, version="test")
        self.service = FakeService()
        self._policies = policies
        self.bound: list[str] = []
        """Routes whose policies were asked for."""
        self.compiler = RouteCompiler(self.settings, {"echo": self.service}, self.metrics, self._bind)

    def _bind(self, planned: PlannedRoute) -> tuple[Policy, ...]:
        self.bound.append(f"{planned.verb} {planned.template.text}")
        return self._policies

    def compile(self, schema: Schema = ECHO) -> Compiled:
        """Plan and compile."""
        schemas = {"echo": schema}
        return self.compiler.compile(plan_routes(schemas, self.settings), schemas)
