"""The values of a plan."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import pytest

from api_gateway.discovery.planned import Conflict, Plan, RejectedOverride, Source, Unmapped
from api_gateway.discovery.rules import plan_rule
from api_gateway.schema import HttpRule
from tests.support.descriptors import method_of, schema_from_text

SCHEMA = schema_from_text(
    'syntax = "proto3"; package p; message M { string id = 1; } service S { rpc A(M) returns (stream M); }'
)
ROUTE = plan_rule(
    "svc", method_of(SCHEMA, "p.S/A"), HttpRule(verb="GET", template="/a/{id=x/*}"), Source.OVERRIDE, timeout_ms=3
)
AS_DICT = {
    "verb": "GET",
    "path": "/a/{id=x/*}",
    "service": "svc",
    "method": "p.S/A",
    "streaming": "server",
    "variables": ["id"],
    "body": "",
    "response_body": "",
    "timeout_ms": 3,
    "idempotent": True,
    "source": "override",
}


def test_semantics_1_sources_are_ranked() -> None:
    assert sorted(Source, key=lambda source: source.rank) == [
        Source.OVERRIDE, Source.ANNOTATION, Source.CONVENTION, Source.FALLBACK,
    ]  # fmt: skip


def test_all_values_are_ready_for_json() -> None:
    plan = Plan(
        routes=(ROUTE,),
        conflicts=(Conflict(loser=ROUTE, winner=ROUTE), Conflict(loser=ROUTE, winner=None)),
        unmapped=(Unmapped(service="svc", method="p.S/A", reason="why", override="- x"),),
        rejected_overrides=(RejectedOverride(grpc_method="p.S/A", http_method="GET", http_path="/{", reason="why"),),
    )
    conflict = {"verb": "GET", "path": "/a/{id=x/*}", "loser": AS_DICT}
    assert json.loads(json.dumps(plan.as_dict())) == {
        "routes": [AS_DICT],
        "conflicts": [
            {**conflict, "winner": AS_DICT, "reason": "the method states it twice"},
            {**conflict, "winner": "system", "reason": "the path belongs to the gateway itself"},
        ],
        "unmapped": [{"service": "svc", "method": "p.S/A", "reason": "why", "override": "- x"}],
        "rejected_overrides": [{"grpc_method": "p.S/A", "http_method": "GET", "http_path": "/{", "reason": "why"}],
    }


def test_plans_never_change() -> None:
    plan = Plan(routes=(), conflicts=(), unmapped=(), rejected_overrides=())
    with pytest.raises(FrozenInstanceError):
        plan.routes = (ROUTE,)  # type: ignore[misc]  # the test is about this mistake
    with pytest.raises(FrozenInstanceError):
        ROUTE.body = "*"  # type: ignore[misc]  # the test is about this mistake
