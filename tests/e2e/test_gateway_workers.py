"""What several workers of one gateway share: metrics, log, limits, configuration (C4, C8, C10)."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.backends import Backend
from tests.support.gateway import Answer, RunningGateway, eventually, serving, start_gateway

REQUESTS = 60
FAILURES = 7
LIMIT_PER_WINDOW = 60
TOKEN = "s3cr3t-t0ken-value"
NAMES = {
    "api_gateway_requests_total": {"route", "method", "status"},
    "api_gateway_request_duration_seconds_bucket": {"route", "method", "le"},
    "api_gateway_grpc_calls_total": {"service", "method", "status"},
    "api_gateway_active_connections_total": {"service"},
    "gateway_rate_limit_exceeded_total": {"route"},
}
"""The metrics of the contract that this file causes, with their labels."""


@pytest.fixture(scope="module")
def gateway(grpcio_backend: Backend) -> Iterator[RunningGateway]:
    """Two workers, both ready."""
    limit = {
        "enabled": True,
        "requests_per_minute": 1_000_000,
        "window_seconds": 3600,
        "routes": [
            {"path": "/api/items/:id", "method": method, "requests_per_minute": LIMIT_PER_WINDOW // 60}
            for method in ("PUT", "DELETE")
        ],
    }
    with start_gateway(serving(grpcio_backend.endpoint, rate_limit=limit), "--workers", "2") as started:
        eventually(lambda: started.metric("api_gateway_workers") == 2, "both workers serve")
        yield started


def at_once(gateway: RunningGateway, count: int, method: str, target: str, body: object = None) -> list[Answer]:
    """Ask many times on as many connections, so that both workers get some."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda _: gateway.ask(method, target, body), range(count)))


def test_metrics_are_the_sum_of_all_workers(gateway: RunningGateway) -> None:
    """C8: N requests count as N, whichever worker answers the scrape; the route is the template."""
    failure = {"behaviour": {"failure": {"code": 5, "message": "no"}}}
    assert {answer.status for answer in at_once(gateway, REQUESTS, "GET", "/api/items/a-b-c")} == {200}
    assert {answer.status for answer in at_once(gateway, FAILURES, "POST", "/echo/v1/echo", failure)} == {404}
    assert {answer.status for answer in at_once(gateway, FAILURES, "GET", "/nowhere/at/all")} == {404}

    good = {"route": "/api/items/:id", "method": "GET", "status": "200"}
    eventually(lambda: gateway.metric("api_gateway_requests_total", good) == REQUESTS, "all are counted")
    bad = {"route": "/echo/v1/echo", "method": "POST", "status": "404"}
    eventually(lambda: gateway.metric("api_gateway_requests_total", bad) == FAILURES, "failures are counted")
    lost = {"route": "_unmatched", "method": "GET", "status": "404"}
    eventually(lambda: gateway.metric("api_gateway_requests_total", lost) == FAILURES, "unmatched are counted")

    durations = {"route": "/api/items/:id", "method": "GET"}
    assert gateway.metric("api_gateway_request_duration_seconds_count", durations) == REQUESTS
    calls = {"service": "echo", "method": "tests.echo.EchoService/GetItem", "status": "OK"}
    assert gateway.metric("api_gateway_grpc_calls_total", calls) == REQUESTS
    assert gateway.metric("api_gateway_grpc_calls_total", {**calls, "status": "NOT_FOUND"}) == 0
    calls["method"] = "tests.echo.EchoService/Echo"
    assert gateway.metric("api_gateway_grpc_calls_total", {**calls, "status": "NOT_FOUND"}) == FAILURES
    # The page never shows what clients sent.
    assert b"a-b-c" not in gateway.get("/metrics").body
    # One scrape itself is in flight.
    eventually(lambda: gateway.metric("api_gateway_requests_in_flight") <= 1, "nothing is forgotten in flight")


def test_the_limit_is_exact_over_all_workers(gateway: RunningGateway) -> None:
    """semantics 36 to 39: of three times as many at once, exactly the limit passes."""
    answers = at_once(gateway, 3 * LIMIT_PER_WINDOW, "PUT", "/api/items/7", {})
    assert Counter(answer.status for answer in answers) == {200: LIMIT_PER_WINDOW, 429: 2 * LIMIT_PER_WINDOW}

    refused = next(answer for answer in answers if answer.status == 429)
    assert refused.error["status"] == "RESOURCE_EXHAUSTED"
    assert refused.reason == "RATE_LIMITED"
    assert int(refused.headers["retry-after"]) >= 1
    assert (refused.headers["ratelimit-limit"], refused.headers["ratelimit-remaining"]) == (str(LIMIT_PER_WINDOW), "0")
    assert int(refused.headers["ratelimit-reset"]) >= 1
    remaining = sorted(int(answer.headers["ratelimit-remaining"]) for answer in answers if answer.status == 200)
    assert remaining == list(range(LIMIT_PER_WINDOW))
    requests = {"route": "/api/items/:id", "method": "PUT", "status": "429"}
    eventually(
        lambda: gateway.metric("api_gateway_requests_total", requests) == 2 * LIMIT_PER_WINDOW, "refusals are counted"
    )
    # Another route has another limit.
    assert gateway.get("/api/items/7").status == 200


def test_health_and_metrics_are_exempt(grpcio_backend: Backend) -> None:
    """semantics 38."""
    limit = {"enabled": True, "requests_per_minute": 1, "window_seconds": 60}
    with start_gateway(serving(grpcio_backend.endpoint, rate_limit=limit)) as gateway:
        assert [gateway.get("/api/items/7").status for _ in range(2)] == [200, 429]
        # What matches nothing counts, too; the probes of operators never do.
        assert gateway.get("/nowhere").status == 429
        for path in ("/health", "/health/live", "/health/ready", "/metrics"):
            answer = gateway.get(path)
            assert answer.status == 200
            assert "ratelimit-limit" not in answer.headers
        assert gateway.ask("POST", "/admin/refresh-routes").status == 429


def test_names_of_the_contract_are_on_the_page(gateway: RunningGateway) -> None:
    """product.md 4: names and labels, in a page that Prometheus can read."""
    at_once(gateway, LIMIT_PER_WINDOW + 1, "DELETE", "/api/items/7")
    exceeded = {"route": "/api/items/:id"}
    eventually(lambda: gateway.metric("gateway_rate_limit_exceeded_total", exceeded) > 0, "a refusal is counted")
    page = gateway.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    labels = {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(page.body.decode())
        for sample in family.samples
    }
    assert {name: labels.get(name) for name in NAMES} == NAMES


def test_every_line_is_a_log_line(gateway: RunningGateway) -> None:
    """product.md 5, C10: one JSON object a line, with the facts of the request and none of its secrets."""
    target = f"/api/items/7?name={TOKEN}"
    headers = {"authorization": f"Bearer {TOKEN}", "cookie": TOKEN, "x-request-id": "log-test-1"}
    assert gateway.ask("GET", target, headers=headers).status == 200
    assert gateway.ask("POST", "/api/items", {"name": TOKEN}, headers={"x-api-key": TOKEN}).status == 200
    gateway.get(f"/nowhere?token={TOKEN}")
    fields = gateway.wait_for_event("request completed", request_id="log-test-1")
    gateway.wait_for_event("request completed", path="/nowhere")

    assert fields["path"] == "/api/items/7"
    assert (fields["method"], fields["status"], fields["route"]) == ("GET", 200, "/api/items/:id")
    assert (fields["client_ip"], fields["service"], fields["grpc_status"]) == ("127.0.0.1", "echo", "OK")
    assert re.fullmatch(r"[0-9a-f]{32}", fields["trace_id"])
    assert re.fullmatch(r"[0-9a-f]{16}", fields["span_id"])
    assert 0 < fields["duration_ms"] < 10_000

    lines = gateway.process.stdout.lines
    assert not [line for line in lines if TOKEN in line or "?" in json.loads(line)["fields"].get("path", "")]
    for line in map(json.loads, lines):
        assert set(line) == {"timestamp", "level", "target", "fields"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line["timestamp"])
        assert line["level"] in ("DEBUG", "INFO", "WARN", "ERROR")
        assert line["target"].startswith("api_gateway.")
        assert line["fields"]["message"]


def test_request_ids_are_unique_over_all_workers(gateway: RunningGateway) -> None:
    """Workers are forks: none may repeat what another one draws."""
    ids = [answer.headers["x-request-id"] for answer in at_once(gateway, REQUESTS, "GET", "/health/live")]
    assert len(set(ids)) == REQUESTS


def test_a_callers_ids_are_kept(gateway: RunningGateway) -> None:
    """semantics 29, C9: its request id comes back, its trace goes on."""
    trace_id, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    headers = {"x-request-id": "mine-1", "traceparent": f"00-{trace_id}-{parent}-01"}
    answer = gateway.get("/api/items/7", headers=headers)
    assert answer.headers["x-request-id"] == "mine-1"
    received = {entry["key"]: entry.get("text") for entry in answer.json()["receivedMetadata"]}
    assert received["x-request-id"] == "mine-1"
    assert re.fullmatch(f"00-{trace_id}-(?!{parent})[0-9a-f]{{16}}-0[13]", received["traceparent"])
