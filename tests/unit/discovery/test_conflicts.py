"""Which of two routes for the same requests is served."""

from __future__ import annotations

import itertools

import pytest

from api_gateway.discovery.conflicts import SYSTEM_PATHS, settle_conflicts
from api_gateway.discovery.planned import PlannedRoute, Source
from api_gateway.discovery.rules import plan_rule
from api_gateway.routing.template import parse_template
from api_gateway.schema import HttpRule
from tests.support.descriptors import method_of, schema_from_text

SCHEMA = schema_from_text(
    'syntax = "proto3"; package p; message M { string id = 1; }'
    "service S { rpc A(M) returns (M); rpc B(M) returns (M); }"
)


def route(name: str, source: Source, *, service: str = "svc", verb: str = "GET", path: str = "/x/:id") -> PlannedRoute:
    return plan_rule(service, method_of(SCHEMA, f"p.S/{name}"), HttpRule(verb=verb, template=path), source)


def test_semantics_4_order_of_strength() -> None:
    ranked = [
        route("B", Source.OVERRIDE), route("B", Source.ANNOTATION), route("A", Source.CONVENTION),
        route("A", Source.CONVENTION, service="svc2"), route("B", Source.CONVENTION), route("A", Source.FALLBACK),
    ]  # fmt: skip
    for candidates in itertools.permutations(ranked):
        served, conflicts = settle_conflicts(candidates)
        assert served == ranked[:1]
        assert [conflict.loser for conflict in conflicts] == ranked[1:]
        assert {conflict.winner for conflict in conflicts} == {ranked[0]}


@pytest.mark.parametrize(
    ("winner", "loser", "reason"),
    [
        pytest.param(
            route("B", Source.OVERRIDE), route("A", Source.ANNOTATION), "override wins over annotation", id="source"
        ),
        pytest.param(
            route("A", Source.OVERRIDE), route("B", Source.OVERRIDE), "the first by full method name wins", id="name"
        ),
        pytest.param(
            route("A", Source.OVERRIDE, service="a"), route("A", Source.OVERRIDE, service="b"),
            "two services offer the method; the first by key wins", id="service",
        ),
        pytest.param(
            route("A", Source.OVERRIDE), route("A", Source.OVERRIDE, path="/x/{id=*}"),
            "the method states it twice", id="same method",
        ),
    ],
)  # fmt: skip
def test_reason_tells_why_it_lost(winner: PlannedRoute, loser: PlannedRoute, reason: str) -> None:
    served, (conflict,) = settle_conflicts([winner, loser])
    assert served == [winner]
    assert (conflict.winner, conflict.loser, conflict.reason) == (winner, loser, reason)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(route("B", Source.OVERRIDE, verb="POST"), id="other verb"),
        pytest.param(route("B", Source.OVERRIDE, verb="*"), id="any verb"),
        pytest.param(route("B", Source.OVERRIDE, path="/x/:id:v"), id="other custom verb"),
        pytest.param(route("B", Source.OVERRIDE, path="/x/y"), id="more specific"),
    ],
)
def test_routes_that_only_overlap_are_all_served(other: PlannedRoute) -> None:
    first = route("A", Source.OVERRIDE)
    assert settle_conflicts([first, other]) == ([first, other], [])


def test_system_paths_belong_to_the_gateway() -> None:
    assert all(parse_template(path).canonical == path for path in SYSTEM_PATHS)
    taken = route("A", Source.OVERRIDE, path="/{id=metrics}")
    served, (conflict,) = settle_conflicts([taken])
    assert served == []
    assert (conflict.loser, conflict.winner) == (taken, None)
    assert conflict.reason == "the path belongs to the gateway itself"
