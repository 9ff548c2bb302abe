"""Two routes for the same requests: which one is served (semantics 4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .planned import Conflict, PlannedRoute

SYSTEM_PATHS: Final = frozenset({"/health", "/health/live", "/health/ready", "/metrics", "/admin/refresh-routes"})
"""Paths that the gateway answers itself, whatever the HTTP method."""


def settle_conflicts(candidates: Iterable[PlannedRoute]) -> tuple[list[PlannedRoute], list[Conflict]]:
    """Return the routes to serve and the conflicts, in which the others lost.

    The stronger source wins, else the first by full method name, else by service key, else in the order of the file.
    """
    served: dict[tuple[str, str], PlannedRoute] = {}
    conflicts = []
    for route in sorted(candidates, key=lambda route: (route.source.rank, route.method.full_name, route.service)):
        if route.template.canonical in SYSTEM_PATHS:
            conflicts.append(Conflict(loser=route, winner=None))
            continue
        winner = served.setdefault((route.verb, route.template.canonical), route)
        if winner is not route:
            conflicts.append(Conflict(loser=route, winner=winner))
    return list(served.values()), conflicts
