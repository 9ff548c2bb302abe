"""The list of metrics: complete, well-formed, and the same in the documents."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api_gateway.telemetry.metric_catalogue import CATALOGUE, DURATION_BUCKETS_S, Family, Kind

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "metrics.md").read_text()

PROMISED = {
    "api_gateway_requests_total": ("route", "method", "status"),
    "api_gateway_request_duration_seconds": ("route", "method"),
    "api_gateway_grpc_calls_total": ("service", "method", "status"),
    "api_gateway_circuit_breaker_state_changes_total": ("service", "from", "to"),
    "api_gateway_active_connections_total": ("service",),
    "gateway_auth_failures_total": ("reason",),
    "gateway_rate_limit_exceeded_total": ("route",),
}


@pytest.mark.parametrize(("name", "labels"), PROMISED.items())
def test_promised_names_and_labels(name: str, labels: tuple[str, ...]) -> None:
    """C8: dashboards and alerts of others depend on them."""
    assert CATALOGUE[name].labels == labels


@pytest.mark.parametrize("family", CATALOGUE.values(), ids=CATALOGUE.keys())
def test_names_follow_the_rules_of_prometheus(family: Family) -> None:
    assert re.fullmatch(r"[a-z_]+", family.name)
    assert family.name.endswith("_total") or family.kind is not Kind.COUNTER


@pytest.mark.parametrize("family", CATALOGUE.values(), ids=CATALOGUE.keys())
def test_document_lists_every_metric(family: Family) -> None:
    kind = {Kind.COUNTER: "counter", Kind.HISTOGRAM: "histogram"}.get(family.kind, "gauge")
    labels = ", ".join(f"`{label}`" for label in family.labels) or "none"
    assert re.search(rf"\| `{family.name}` \| {kind} \| {re.escape(labels)} \|", DOCUMENT)


def test_document_lists_no_other_metric() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", DOCUMENT, re.MULTILINE)) == set(CATALOGUE)


def test_buckets_rise() -> None:
    assert list(DURATION_BUCKETS_S) == sorted(set(DURATION_BUCKETS_S))
