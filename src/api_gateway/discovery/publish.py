"""From schemas to the route table in force: plan, compile, swap, and say what changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..config.settings import Settings
from ..routing.route import Route
from ..routing.table import RouteTable
from ..schema import Schema
from ..telemetry.log import get_logger
from ..telemetry.metrics import Metrics
from .compile import Compiled, RouteCompiler
from .plan import Plan, PlannedRoute, plan_routes
from .watcher import TableChange

_log = get_logger("api_gateway.discovery")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What is in force, for operators."""

    plan: Plan
    failures: tuple[tuple[PlannedRoute, str], ...]
    """Planned routes that could not be compiled, and why."""


class RoutePublisher:
    """Implements `watcher.TableBuilder`."""

    def __init__(
        self,
        settings: Settings,
        compiler: RouteCompiler,
        metrics: Metrics,
        publish: Callable[[RouteTable[Route]], None],
    ) -> None:
        """`publish` puts a table in force."""
        self._settings = settings
        self._compiler = compiler
        self._metrics = metrics
        self._publish = publish
        self._shown: dict[str, tuple[object, ...]] = {}
        self.published: Published | None = None
        """The last table's plan; None before the first."""

    async def rebuild(self, schemas: Mapping[str, Schema]) -> TableChange:
        """Plan, compile and publish. Thousands of routes take seconds: a thread does it, and requests go on."""
        plan, compiled = await asyncio.to_thread(self._build, schemas)
        self._publish(compiled.table)
        self.published = Published(plan=plan, failures=compiled.failures)
        self._report(plan, compiled.failures, schemas)
        shown = {f"{verb} {template.text}": _meaning(route, schemas) for verb, template, route in compiled.table}
        before, self._shown = self._shown, shown
        return TableChange(
            added=tuple(sorted(shown.keys() - before.keys())),
            removed=tuple(sorted(before.keys() - shown.keys())),
            changed=tuple(sorted(name for name in shown.keys() & before.keys() if shown[name] != before[name])),
        )

    def _build(self, schemas: Mapping[str, Schema]) -> tuple[Plan, Compiled]:
        plan = plan_routes(schemas, self._settings)
        return plan, self._compiler.compile(plan, schemas)

    def _report(
        self, plan: Plan, failures: tuple[tuple[PlannedRoute, str], ...], schemas: Mapping[str, Schema]
    ) -> None:
        for planned, reason in failures:
            _log.warning("route not served", route=f"{planned.verb} {planned.template.text}", reason=reason)
        for conflict in plan.conflicts:
            loser = conflict.loser
            _log.warning(
                "route conflict",
                route=f"{loser.verb} {loser.template.text}",
                loser=loser.method.full_name,
                winner=conflict.winner.method.full_name if conflict.winner is not None else "the gateway itself",
                reason=conflict.reason,
            )
        for rejected in plan.rejected_overrides:
            _log.warning("override not served", **rejected.as_dict())
        for service in schemas:
            self._metrics.show_plan(
                self._settings.service_name(service),
                routes=sum(planned.service == service for planned in plan.routes),
                conflicts=sum(conflict.loser.service == service for conflict in plan.conflicts),
                unmapped=sum(unmapped.service == service for unmapped in plan.unmapped),
            )


def _meaning(route: Route, schemas: Mapping[str, Schema]) -> tuple[object, ...]:
    return (route.service, route.method.full_name, route.timeout_s, id(route.registry))
