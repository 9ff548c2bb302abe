"""What is counted under which name and label, seen as a scraper sees it."""

from __future__ import annotations

from pathlib import Path

import prometheus_client
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from api_gateway.model.status import Code, code_name
from api_gateway.telemetry.metric_catalogue import DROPPED_LINES, DURATION_BUCKETS_S, MAX_ROUTES
from api_gateway.telemetry.metrics import Metrics, prepare_metrics_directory
from tests.unit.telemetry.capture import finished
from tests.unit.telemetry.forking import run_forking

Labels = dict[str, str]


class Page:
    """A parsed page."""

    def __init__(self, text: str) -> None:
        self.types = {family.name: family.type for family in text_string_to_metric_families(text)}
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        return self.samples[name, frozenset(labels.items())]

    def labels(self, name: str) -> list[Labels]:
        return [dict(labels) for sample, labels in self.samples if sample == name]


@pytest.fixture
def metrics(tmp_path: Path) -> Metrics:
    prepare_metrics_directory(tmp_path)
    return Metrics(tmp_path, version="1.2.3")


def page_of(metrics: Metrics, now_s: float = 0.0) -> Page:
    assert metrics.flush(now_s)
    return Page(metrics.render(b"")[1].decode())


def test_finished_request(metrics: Metrics) -> None:
    metrics.route("/api/users/:id", "GET", metrics.calls("users", "users.Users/Get"))
    metrics.record(finished(route="/api/users/:id", duration_s=0.003, grpc_code=0))
    metrics.record(finished(route="/api/users/:id", duration_s=20.0, grpc_code=5, status=404))
    page = page_of(metrics)
    route = {"route": "/api/users/:id", "method": "GET"}
    call = {"service": "users", "method": "users.Users/Get"}
    assert page.value("api_gateway_requests_total", **route, status="200") == 1
    assert page.value("api_gateway_requests_total", **route, status="404") == 1
    assert page.value("api_gateway_request_duration_seconds_bucket", **route, le="0.0025") == 0
    assert page.value("api_gateway_request_duration_seconds_bucket", **route, le="0.005") == 1
    assert page.value("api_gateway_request_duration_seconds_bucket", **route, le="10.0") == 1
    assert page.value("api_gateway_request_duration_seconds_bucket", **route, le="+Inf") == 2
    assert page.value("api_gateway_request_duration_seconds_count", **route) == 2
    assert page.value("api_gateway_request_duration_seconds_sum", **route) == 20.003
    assert page.value("api_gateway_grpc_calls_total", **call, status="OK") == 1
    assert page.value("api_gateway_grpc_calls_total", **call, status="NOT_FOUND") == 1


def test_metrics_told_by_others(metrics: Metrics) -> None:
    metrics.breaker_changed("users", "closed", "open")
    metrics.show_breaker("orders", "half_open")
    metrics.active_connections("users").add(2)
    metrics.active_connections("users").add(-1)
    metrics.auth_failures("expired").add()
    metrics.rate_limit_exceeded("/api/users").add()
    metrics.rate_limit_exceeded("").add()
    metrics.retries("users", "succeeded").add()
    metrics.rate_limit_store_errors.add()
    metrics.schema_read("users", "ok", 100.0)
    metrics.schema_read("users", "failed", 150.0)
    metrics.show_plan("users", routes=5, conflicts=1, unmapped=2)
    metrics.watch(DROPPED_LINES, lambda: 7)
    metrics.in_flight += 3
    metrics.observe_loop_lag(0.2)
    metrics.observe_loop_lag(0.1)
    page = page_of(metrics, 160.0)
    changes = page.labels("api_gateway_circuit_breaker_state_changes_total")
    assert changes == [{"service": "users", "from": "closed", "to": "open"}]
    assert page.value("api_gateway_circuit_breaker_state", service="users") == 2
    assert page.value("api_gateway_circuit_breaker_state", service="orders") == 1
    assert page.value("api_gateway_active_connections_total", service="users") == 1
    assert page.value("gateway_auth_failures_total", reason="expired") == 1
    assert page.value("gateway_rate_limit_exceeded_total", route="/api/users") == 1
    assert page.value("gateway_rate_limit_exceeded_total", route="_unmatched") == 1
    assert page.value("api_gateway_retries_total", service="users", result="succeeded") == 1
    assert page.value("api_gateway_rate_limit_store_errors_total") == 1
    assert page.value("api_gateway_discovery_refreshes_total", service="users", result="ok") == 1
    assert page.value("api_gateway_discovery_refreshes_total", service="users", result="failed") == 1
    assert page.value("api_gateway_schema_age_seconds", service="users") == 60
    assert page.value("api_gateway_routes", service="users") == 5
    assert page.value("api_gateway_route_conflicts", service="users") == 1
    assert page.value("api_gateway_unmapped_methods", service="users") == 2
    assert page.value("api_gateway_log_lines_dropped_total") == 7
    assert page.value("api_gateway_requests_in_flight") == 3
    assert page.value("api_gateway_event_loop_lag_seconds") == 0.2
    assert page.value("api_gateway_workers") == 1
    assert page.labels("api_gateway_build_info")[0]["version"] == "1.2.3"
    assert page_of(metrics, 160.0).value("api_gateway_event_loop_lag_seconds") == 0


def test_alarms_begin_at_zero(metrics: Metrics) -> None:
    """semantics 39: the first request that could not be counted is a rise, and no series that begins with it."""
    assert page_of(metrics).value("api_gateway_rate_limit_store_errors_total") == 0


def test_gauge_of_connections_keeps_its_name(metrics: Metrics) -> None:
    """The product fixes a gauge whose name ends like a counter's."""
    metrics.active_connections("users").set(1)
    metrics.flush(0.0)
    text = metrics.render(b"")[1].decode()
    assert "# TYPE api_gateway_active_connections_total gauge\n" in text
    assert 'api_gateway_active_connections_total{service="users"} 1.0\n' in text
    assert Page(text).types["api_gateway_active_connections_total"] == "gauge"


def test_head_counts_the_call_of_its_get_route(metrics: Metrics) -> None:
    """semantics 8: HEAD works wherever GET does."""
    metrics.route("/api/users", "GET", metrics.calls("users", "users.Users/List"))
    metrics.record(finished(method="HEAD", route="/api/users", grpc_code=0))
    page = page_of(metrics)
    assert page.value("api_gateway_requests_total", route="/api/users", method="HEAD", status="200") == 1
    assert page.value("api_gateway_grpc_calls_total", service="users", method="users.Users/List", status="OK") == 1


def test_verb_of_an_author_is_known(metrics: Metrics) -> None:
    """semantics 3: `google.api.http` allows verbs of one's own."""
    metrics.route("/api/cache", "PURGE")
    metrics.record(finished(method="PURGE", route="/api/cache"))
    assert page_of(metrics).value("api_gateway_requests_total", route="/api/cache", method="PURGE", status="200") == 1


def test_route_that_moves_to_another_method_goes_on_counting(metrics: Metrics) -> None:
    """A refreshed table binds the same series again."""
    first = metrics.route("/api/users", "GET", metrics.calls("users", "users.V1/List"))
    first.record(200, 0.1, 0)
    assert metrics.route("/api/users", "GET", metrics.calls("users", "users.V2/List")) is first
    first.record(200, 0.1, 0)
    page = page_of(metrics)
    assert page.value("api_gateway_requests_total", route="/api/users", method="GET", status="200") == 2
    assert page.value("api_gateway_grpc_calls_total", service="users", method="users.V1/List", status="OK") == 1
    assert page.value("api_gateway_grpc_calls_total", service="users", method="users.V2/List", status="OK") == 1


def test_series_stay_bounded_whatever_clients_send(metrics: Metrics) -> None:
    """H20: 100,000 different paths, methods, statuses and codes make a handful of series and a small page."""
    for number in range(100_000):
        exchange = finished(method=f"M{number}", path=f"/{number}", status=404)
        metrics.record(exchange)
    calls = metrics.calls("users", "users.Users/Get")
    route = metrics.route("/api/users", "GET", calls)
    for number in range(1_000):
        route.record(number, 0.1, number)
    metrics.flush(0.0)
    text = metrics.render(b"")[1]
    page = Page(text.decode())
    labels = {"route": "_unmatched", "method": "_other", "status": "404"}
    assert page.value("api_gateway_requests_total", **labels) == 100_000
    assert len(page.labels("api_gateway_requests_total")) < 80
    assert len(page.labels("api_gateway_grpc_calls_total")) == 17
    assert len(calls._series) == 17, "codes of a hostile backend are not remembered"
    assert len(text) < 64 * 1024


def test_reasons_stay_bounded(metrics: Metrics) -> None:
    """H20: even a caller that puts parts of a request into a label cannot exhaust memory."""
    for number in range(1_000):
        metrics.auth_failures(f"reason {number}").add()
    page = page_of(metrics)
    assert len(page.labels("gateway_auth_failures_total")) == 65
    assert page.value("gateway_auth_failures_total", reason="_other") == 936


def test_routes_stay_bounded(metrics: Metrics) -> None:
    """H20: a backend that invents new routes at every refresh."""
    for number in range(MAX_ROUTES + 10):
        metrics.route(f"/{number}", "GET", metrics.calls("users", f"users.Users/Get{number}"))
    metrics.record(finished(route="/1"))
    metrics.record(finished(route=f"/{MAX_ROUTES + 1}"))
    metrics.record(finished(route=f"/{MAX_ROUTES + 2}"))
    page = page_of(metrics)
    assert page.value("api_gateway_requests_total", route="/1", method="GET", status="200") == 1
    assert page.value("api_gateway_requests_total", route="_other", method="_other", status="200") == 2


@pytest.mark.parametrize(
    ("status", "label"),
    [(200, "200"), (418, "418"), (499, "499"), (299, "2xx"), (599, "5xx"), (0, "_other"), (1000, "_other")],
)
def test_status_labels(metrics: Metrics, status: int, label: str) -> None:
    """H20: statuses from a fixed set; odd ones by their class."""
    metrics.record(finished(route="/r", status=status))
    assert page_of(metrics).value("api_gateway_requests_total", route="/r", method="GET", status=label) == 1


EVENTS = st.tuples(
    st.sampled_from(["/api/users/:id", '/odd"\\route\n/{name=a/*}']),
    st.sampled_from(["GET", "POST"]),
    st.sampled_from([200, 404, 503]),
    st.one_of(st.floats(0, 30), st.sampled_from(DURATION_BUCKETS_S)),
    st.integers(0, 16),
)


@given(st.lists(st.lists(EVENTS, max_size=20), max_size=4))
def test_page_equals_that_of_plain_prometheus_client(
    tmp_path_factory: pytest.TempPathFactory, flushes: list[list[tuple[str, str, int, float, int]]]
) -> None:
    """The fast path (numbers in Python, flushed into files) against the library's own counters and histograms."""
    metrics = Metrics(tmp_path_factory.mktemp("metrics"), version="1")
    registry = prometheus_client.CollectorRegistry()
    requests = prometheus_client.Counter(
        "api_gateway_requests_total", "-", ["route", "method", "status"], registry=registry
    )
    duration = prometheus_client.Histogram(
        "api_gateway_request_duration_seconds", "-", ["route", "method"], buckets=DURATION_BUCKETS_S, registry=registry
    )
    calls = prometheus_client.Counter(
        "api_gateway_grpc_calls_total", "-", ["service", "method", "status"], registry=registry
    )
    for events in flushes:
        for route, method, status, duration_s, code in events:
            metrics.route(route, method, metrics.calls("users", f"Users/{method}"))
            metrics.record(finished(route=route, method=method, status=status, duration_s=duration_s, grpc_code=code))
            requests.labels(route, method, str(status)).inc()
            duration.labels(route, method).observe(duration_s)
            calls.labels("users", f"Users/{method}", code_name(Code(code))).inc()
        metrics.flush(0.0)
    plain = Page(prometheus_client.generate_latest(registry).decode()).samples
    fast = page_of(metrics).samples
    names = {name for name, _ in fast if name.startswith(("api_gateway_request", "api_gateway_grpc"))}
    names.discard("api_gateway_requests_in_flight")
    assert {key: value for key, value in fast.items() if key[0] in names} == {
        key: value for key, value in plain.items() if not key[0].endswith("_created")
    }
    metrics.close(0.0)


def test_counts_of_all_workers_and_of_those_that_ended(tmp_path: Path) -> None:
    """Real processes: three count, one of them is replaced, another process shows the page."""
    pages = run_forking("workers", tmp_path).decode().split("\n\n")
    before, after, later = (Page(page + "\n") for page in pages if page.strip())
    route = {"route": "/api/users/:id", "method": "GET"}

    def requests(page: Page) -> float:
        return page.value("api_gateway_requests_total", **route, status="200")

    assert (requests(before), requests(after), requests(later)) == (111, 111, 1111)
    assert later.value("api_gateway_request_duration_seconds_count", **route) == 1111
    assert later.value("api_gateway_request_duration_seconds_bucket", **route, le="0.25") == 1111
    assert before.value("api_gateway_workers") == 3
    assert after.value("api_gateway_workers") == 2
    assert after.value("api_gateway_requests_in_flight") == 4
    assert after.value("api_gateway_active_connections_total", service="users") == 6
    assert before.value("api_gateway_circuit_breaker_state", service="users") == 1
    assert before.value("api_gateway_routes", service="users") == 100
    assert after.value("api_gateway_routes", service="users") == 10


def test_flush_that_finds_no_directory_tries_again(tmp_path: Path) -> None:
    """Counting goes on when the files cannot be written, and nothing is lost."""
    metrics = Metrics(tmp_path / "later", version="1")
    metrics.record(finished(route="/r"))
    assert not metrics.flush(0.0)
    prepare_metrics_directory(tmp_path / "later")
    assert page_of(metrics).value("api_gateway_requests_total", route="/r", method="GET", status="200") == 1


def test_full_disk_costs_no_counts(tmp_path: Path) -> None:
    """D12: while the disk is full the gateway counts on, and writes it all when there is room again."""
    text = run_forking("full_disk", tmp_path).decode()
    assert text.startswith("# flushed [True, False, False, True]\n")
    page = Page(text)
    requests = [
        page.value("api_gateway_requests_total", **labels) for labels in page.labels("api_gateway_requests_total")
    ]
    assert requests == [2.0] * 1_000


def test_close_leaves_the_counts(metrics: Metrics, tmp_path: Path) -> None:
    metrics.in_flight = 1
    metrics.record(finished(route="/r"))
    metrics.close(0.0)
    page = Page(Metrics(tmp_path, version="1").render(b"")[1].decode())
    assert page.value("api_gateway_requests_total", route="/r", method="GET", status="200") == 1
    assert page.value("api_gateway_requests_in_flight") == 0
