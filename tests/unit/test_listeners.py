"""What parts report, seen as metrics and log lines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api_gateway.config.settings import ServiceSettings, Settings
from api_gateway.listeners import (
    AuthReports,
    BreakerReports,
    ChannelReports,
    CountedCaller,
    DiscoveryReports,
    ExchangeReports,
    LimitReports,
)
from api_gateway.model.errors import GatewayError
from api_gateway.model.message import HeaderList
from api_gateway.model.status import Code
from api_gateway.model.trace import Trace
from api_gateway.policy.jwks import KeyFetch
from api_gateway.policy.refusal import Reason
from api_gateway.state.store import BreakerState
from api_gateway.telemetry.access_log import AccessLog
from api_gateway.telemetry.log import configure_logging
from api_gateway.telemetry.metrics import Metrics, prepare_metrics_directory
from api_gateway.telemetry.sampling import Sampling
from api_gateway.telemetry.span_recorder import SpanRecorder
from api_gateway.telemetry.tracing import Tracing
from tests.support.auth_upstream import FakeReply, upstream_error
from tests.unit.telemetry.capture import Capture, finished
from tests.unit.telemetry.span_records import SPAN, TRACE, attributes, encoder, span_fields
from tests.unit.telemetry.span_records import finished as recorded

SETTINGS = Settings(services={"users": ServiceSettings(endpoint="http://127.0.0.1:1", name="user-service")})


@pytest.fixture
def metrics(tmp_path: Path) -> Metrics:
    prepare_metrics_directory(tmp_path)
    return Metrics(tmp_path, version="test")


@pytest.fixture
def capture() -> Iterator[Capture]:
    with Capture() as capture:
        configure_logging(capture.writer)
        yield capture


def value(metrics: Metrics, name: str, labels: dict[str, str], *, now_s: float = 0.0) -> float:
    """Return a metric's value as a scraper sees it."""
    assert metrics.flush(now_s)
    page = metrics.render(b"")[1].decode()
    (found,) = (
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    )
    return found


def test_exchanges_are_counted_while_and_after_they_run(metrics: Metrics, capture: Capture) -> None:
    reports = ExchangeReports(metrics, AccessLog(capture.writer, level="INFO", is_enabled=True))
    reports.started()
    reports.started()
    assert metrics.in_flight == 2
    reports.finished(finished(route="/api/users/:id"))
    assert metrics.in_flight == 1
    labels = {"route": "/api/users/:id", "method": "GET", "status": "200"}
    assert value(metrics, "api_gateway_requests_total", labels) == 1
    assert [line["fields"]["message"] for line in capture.lines] == ["request completed"]


def test_connections_of_a_service_are_shown_and_their_loss_is_passed_on(metrics: Metrics, capture: Capture) -> None:
    lost: list[str] = []
    reports = ChannelReports("user-service", metrics, lambda: lost.append("lost"))
    reports.connections_changed(2)
    reports.connected()
    reports.disconnected("GOAWAY 0")
    reports.connect_failed("connection refused", 1.5678)
    assert lost == ["lost"]
    assert value(metrics, "api_gateway_active_connections_total", {"service": "user-service"}) == 2
    assert [line["level"] for line in capture.lines] == ["INFO", "INFO", "WARN"]
    fields = [line["fields"] for line in capture.lines]
    assert all(line["service"] == "user-service" for line in fields)
    assert fields[1]["reason"] == "GOAWAY 0"
    assert (fields[2]["reason"], fields[2]["retry_in_seconds"]) == ("connection refused", 1.6)


def test_what_happens_to_addresses_is_told(metrics: Metrics, capture: Capture) -> None:
    """Level and words of each; an address that serves again may have another schema."""
    asked: list[str] = []
    reports = ChannelReports("user-service", metrics, lambda: asked.append("asked"))
    reports.replaced("it was open for 1800 s")
    reports.addresses_changed(["10.0.0.2:1"], ["10.0.0.1:1"])
    reports.serving_changed("10.0.0.1:1", False, "its health service says NOT_SERVING")
    assert asked == []
    reports.serving_changed("10.0.0.1:1", True, "")
    reports.warned("10.0.0.1:1 finds that it is asked too often")
    assert asked == ["asked"]
    assert [line["level"] for line in capture.lines] == ["INFO", "INFO", "WARN", "INFO", "WARN"]
    fields = [line["fields"] for line in capture.lines]
    assert fields[0]["reason"] == "it was open for 1800 s"
    assert (fields[1]["added"], fields[1]["removed"]) == (["10.0.0.2:1"], ["10.0.0.1:1"])
    assert (fields[2]["address"], fields[2]["reason"]) == ("10.0.0.1:1", "its health service says NOT_SERVING")
    assert fields[3]["message"] == "address serves"
    assert fields[4]["reason"] == "10.0.0.1:1 finds that it is asked too often"


@pytest.mark.parametrize(("result", "label"), [("changed", "ok"), ("unchanged", "unchanged"), ("failed", "failed")])
def test_readings_count_under_the_name_of_the_service(metrics: Metrics, result: str, label: str) -> None:
    DiscoveryReports(metrics, SETTINGS, lambda: 100.0).refreshed("users", result)
    name = "api_gateway_discovery_refreshes_total"
    assert value(metrics, name, {"service": "user-service", "result": label}) == 1


def test_good_readings_make_a_schema_young(metrics: Metrics) -> None:
    now_s = [100.0]
    reports = DiscoveryReports(metrics, SETTINGS, lambda: now_s[0])
    reports.refreshed("users", "changed")
    now_s[0] = 150.0
    reports.refreshed("users", "failed")
    assert value(metrics, "api_gateway_schema_age_seconds", {"service": "user-service"}, now_s=160.0) == 60


def test_breakers_are_counted_shown_and_logged(metrics: Metrics, capture: Capture) -> None:
    now_s = [100.0]
    reports = BreakerReports(metrics, lambda: now_s[0])
    reports.breaker_changed("users", BreakerState.CLOSED, BreakerState.OPEN)
    reports.breaker_store_failed("users", "out of order")
    reports.breaker_store_failed("users", "out of order")
    changes = {"service": "users", "from": "closed", "to": "open"}
    assert value(metrics, "api_gateway_circuit_breaker_state_changes_total", changes) == 1
    assert value(metrics, "api_gateway_circuit_breaker_state", {"service": "users"}) == 2
    changed, failed = (line["fields"] for line in capture.lines)
    assert (changed["old"], changed["new"], changed["service"]) == ("closed", "open", "users")
    assert (failed["service"], failed["reason"]) == ("users", "out of order")
    now_s[0] = 160.0
    reports.breaker_store_failed("users", "still")
    assert capture.lines[-1]["fields"]["reason"] == "still", "once a minute"


def test_limits_count_refusals_and_failures_of_the_store(metrics: Metrics, capture: Capture) -> None:
    """Every failure counts; the log hears of one a minute."""
    now_s = [100.0]
    reports = LimitReports(metrics, lambda: now_s[0])
    reports.rate_limited("/api/users")
    reports.rate_limit_store_failed("connection refused")
    reports.rate_limit_store_failed("connection refused")
    assert value(metrics, "gateway_rate_limit_exceeded_total", {"route": "/api/users"}) == 1
    assert value(metrics, "api_gateway_rate_limit_store_errors_total", {}) == 2
    (line,) = capture.lines
    assert line["fields"]["reason"] == "connection refused"
    now_s[0] = 160.0
    reports.rate_limit_store_failed("connection refused")
    assert [line["fields"]["message"] for line in capture.lines] == ["rate limit store failed"] * 2


def test_calls_that_waited_are_counted(metrics: Metrics) -> None:
    reports = ChannelReports("user-service", metrics, lambda: None)
    reports.call_waited(0.003)
    reports.call_waited(0.5)
    assert value(metrics, "api_gateway_queue_wait_seconds_count", {"service": "user-service"}) == 2
    assert value(metrics, "api_gateway_queue_wait_seconds_sum", {"service": "user-service"}) == pytest.approx(0.503)


def test_fetches_of_keys_are_recorded_without_their_query(metrics: Metrics) -> None:
    """A fetch for a request is part of its trace; how that looks is in telemetry/test_span_encoding.py."""
    recorder = SpanRecorder(encoder(), max_queued_spans=9, call_soon=lambda call: None)
    listener = AuthReports(metrics, lambda: 100.0, Tracing(Sampling(0.0), recorder)).listener()
    trace = recorded().trace
    listener.on_key_fetch(KeyFetch(False, "timeout", (), "https://issuer.example/keys", 1.0, 2.0, trace))
    listener.on_key_fetch(KeyFetch(True, "", (), "https://issuer.example/keys", 3.0, 4.0, None))
    (data,) = recorder.take(9)
    span = span_fields(data)
    assert (span[1], span[4], span[5]) == ([bytes.fromhex(TRACE)], [bytes.fromhex(SPAN)], [b"GET key set"])
    assert attributes(span) == {
        "http.request.method": "GET",
        "url.full": "https://issuer.example/keys",
        "error.type": "KEYS_NOT_FETCHED",
    }


def test_finished_requests_reach_the_recorder(metrics: Metrics, capture: Capture) -> None:
    recorder = SpanRecorder(encoder(), max_queued_spans=9, call_soon=lambda call: None)
    reports = ExchangeReports(metrics, AccessLog(capture.writer, level="INFO", is_enabled=True), recorder)
    reports.started()
    reports.finished(recorded())
    recorder.encode()
    assert len(recorder) == 1


def test_auth_counts_reasons_and_logs_fetches(metrics: Metrics, capture: Capture) -> None:
    moments_s = iter((100.0, 130.0))
    listener = AuthReports(metrics, lambda: next(moments_s), Tracing(Sampling(0.0))).listener()
    listener.on_failure(Reason.EXPIRED)
    listener.on_key_fetch(KeyFetch(True, "", ("key 1 left out: unknown kty",)))
    listener.on_key_fetch(KeyFetch(False, "timeout"))
    assert value(metrics, "gateway_auth_failures_total", {"reason": "expired"}) == 1
    for result in ("ok", "failed"):
        assert value(metrics, "api_gateway_key_set_fetches_total", {"result": result}) == 1
    # J48: a failed fetch does not make the set young.
    assert value(metrics, "api_gateway_key_set_age_seconds", {}, now_s=160.0) == 60
    good, bad = capture.lines
    assert (good["level"], good["fields"]["left_out"]) == ("INFO", ["key 1 left out: unknown kty"])
    assert (bad["level"], bad["fields"]["reason"]) == ("WARN", "timeout")


@pytest.mark.parametrize("result", ["succeeded", "failed", "throttled", "refused"])
def test_retries_count_from_zero(metrics: Metrics, result: str) -> None:
    """A series that begins with its first failure shows no rise to `rate`."""
    reports = ChannelReports("user-service", metrics, lambda: None)
    labels = {"service": "user-service", "result": result}
    assert value(metrics, "api_gateway_retries_total", labels) == 0
    reports.retried(result)
    assert value(metrics, "api_gateway_retries_total", labels) == 1


class FakeAuthService:
    """Implements `model.upstream.UnaryCaller`: answers, or fails with `code`."""

    def __init__(self, code: Code) -> None:
        self.code = code

    async def unary(
        self, path: bytes, message: bytes, *, deadline_s: float, metadata: HeaderList, trace: Trace | None = None
    ) -> FakeReply:
        assert (path, message, deadline_s, metadata, trace) == (b"/a.B/C", b"question", 5.0, [(b"k", b"v")], None)
        if self.code is not Code.OK:
            raise upstream_error(self.code)
        return FakeReply(b"answer")


@pytest.mark.parametrize("code", [Code.OK, Code.UNAVAILABLE])
def test_calls_of_the_auth_service_count_like_those_of_backends(metrics: Metrics, code: Code) -> None:
    caller = CountedCaller(FakeAuthService(code), "auth", metrics)

    async def ask() -> None:
        with nullcontext() if code is Code.OK else pytest.raises(GatewayError):
            reply = await caller.unary(b"/a.B/C", b"question", deadline_s=5.0, metadata=[(b"k", b"v")])
            assert reply.message == b"answer"

    asyncio.run(ask())
    labels = {"service": "auth", "method": "a.B/C", "status": code.name}
    assert value(metrics, "api_gateway_grpc_calls_total", labels) == 1
