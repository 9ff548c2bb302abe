"""From what the services offer to what the gateway serves (semantics 1 to 7).

A method gets its routes from the strongest source that has something to say about it: an override, its
`google.api.http` annotation, its name, and with `discovery.expose_unmapped` the path `/<package.Service>/<Method>`.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..config.settings import Settings
from ..schema import HttpRule, Method, Schema
from .conflicts import SYSTEM_PATHS, settle_conflicts
from .conventions import apply_convention
from .overrides import Offers, apply_overrides, suggest_override
from .planned import Conflict, Plan, PlannedRoute, RejectedOverride, Source, Unmapped
from .rules import plan_rule

__all__ = [
    "SYSTEM_PATHS",
    "Conflict",
    "Plan",
    "PlannedRoute",
    "RejectedOverride",
    "Source",
    "Unmapped",
    "plan_routes",
]


def plan_routes(schemas: Mapping[str, Schema], settings: Settings) -> Plan:
    """Plan the routes of all services; `schemas` has the schemas known so far by service key.

    Never fails: what cannot be served is told in the plan. A service with `auto_discover: false` is reached by
    overrides only. The result depends on the content alone, not on the order in which services were discovered.
    """
    offers = _offers(schemas)
    overridden = apply_overrides(settings.route_overrides, offers)
    candidates = list(overridden.routes)
    unmapped: list[Unmapped] = []
    for full_name, offering in offers.items():
        if full_name in overridden.methods:
            continue
        for service, method in offering:
            if not _is_discovered(service, settings):
                continue
            routes, reasons = _discover(service, method, expose_unmapped=settings.discovery.expose_unmapped)
            candidates += routes
            suggestion = suggest_override(method, service if len(offering) > 1 else None)
            unmapped += [
                Unmapped(service=service, method=full_name, reason=reason, override=suggestion) for reason in reasons
            ]
    routes, conflicts = settle_conflicts(candidates)
    return Plan(
        routes=tuple(sorted(routes, key=_by_path)),
        conflicts=tuple(sorted(conflicts, key=lambda conflict: _by_path(conflict.loser))),
        unmapped=tuple(sorted(unmapped, key=lambda entry: (entry.service, entry.method))),
        rejected_overrides=overridden.rejected,
    )


def _offers(schemas: Mapping[str, Schema]) -> Offers:
    offers: dict[str, list[tuple[str, Method]]] = {}
    for service in sorted(schemas):
        for method in schemas[service].methods():
            offers.setdefault(method.full_name, []).append((service, method))
    return offers


def _is_discovered(service: str, settings: Settings) -> bool:
    section = settings.services.get(service)
    return section is None or section.auto_discover


def _discover(service: str, method: Method, *, expose_unmapped: bool) -> tuple[list[PlannedRoute], list[str]]:
    """Return the routes that a method itself asks for, and the reasons why it or one of its bindings got none."""
    routes, reasons = _annotated(service, method) if method.rules else _conventional(service, method)
    if not routes and expose_unmapped:
        rule = HttpRule(verb="POST", template=f"/{method.full_name}", body="*")
        routes = [plan_rule(service, method, rule, Source.FALLBACK)]
        # Without an annotation there is nothing to mend in the schema, and the method is served.
        reasons = reasons if method.rules else []
    return routes, reasons


def _annotated(service: str, method: Method) -> tuple[list[PlannedRoute], list[str]]:
    routes, reasons = [], []
    for rule in method.rules:
        try:
            routes.append(plan_rule(service, method, rule, Source.ANNOTATION))
        except ValueError as error:
            reasons.append(f"google.api.http: {error}")
    return routes, reasons


def _conventional(service: str, method: Method) -> tuple[list[PlannedRoute], list[str]]:
    try:
        convention = apply_convention(method)
    except ValueError as error:
        return [], [str(error)]
    rule = HttpRule(verb=convention.verb, template=convention.path, body=convention.body)
    rename = {"id": convention.identifier} if convention.identifier is not None else {}
    return [plan_rule(service, method, rule, Source.CONVENTION, rename=rename)], []


def _by_path(route: PlannedRoute) -> tuple[str, str, str, str]:
    return route.template.text, route.verb, route.method.full_name, route.service
