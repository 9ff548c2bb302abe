"""The page as text, in both formats, read by the parsers of the Prometheus project."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from api_gateway.telemetry.metric_page import OPENMETRICS, TEXT, MetricPage
from api_gateway.telemetry.metrics import Metrics
from tests.unit.telemetry.capture import finished

PROMETHEUS_3 = (
    b"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    b"application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    b"text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        pytest.param(b"", TEXT, id="absent"),
        pytest.param(b"*/*", TEXT, id="anything"),
        pytest.param(b"text/html,application/xhtml+xml,*/*;q=0.8", TEXT, id="browser"),
        pytest.param(b"text/plain;version=0.0.4", TEXT, id="text"),
        pytest.param(PROMETHEUS_3, OPENMETRICS, id="prometheus_3"),
        pytest.param(b"Application/OpenMetrics-Text; version=1.0.0", OPENMETRICS, id="case"),
        pytest.param(b"application/openmetrics-text;q=0", TEXT, id="refused"),
        pytest.param(b"application/openmetrics-text; version=junk\xff", OPENMETRICS, id="odd_version"),
        pytest.param(b";,;=,\x00", TEXT, id="junk"),
    ],
)
def test_accept_chooses_the_format(tmp_path: Path, accept: bytes, content_type: bytes) -> None:
    assert MetricPage(tmp_path).render(accept)[0] == content_type


def test_both_formats_say_the_same(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path, version="1")
    metrics.route('/odd"\\route\n', "GET", metrics.calls("users", "users.Users/Get"))
    metrics.record(finished(route='/odd"\\route\n', grpc_code=0, duration_s=0.1))
    metrics.active_connections("users").set(2)
    metrics.breaker_changed("users", "closed", "open")
    metrics.auth_failures("expired").add()
    metrics.flush(0.0)
    text = metrics.render(b"")[1].decode()
    openmetrics = metrics.render(PROMETHEUS_3)[1].decode()
    assert openmetrics.endswith("# EOF\n")
    in_text = {(s.name, frozenset(s.labels.items()), s.value) for f in parse_text(text) for s in f.samples}
    families = parse_openmetrics(openmetrics)  # type: ignore[no-untyped-call]  # the library has no types there
    in_openmetrics = {(s.name, frozenset(s.labels.items()), s.value) for f in families for s in f.samples}
    assert in_text == in_openmetrics
    assert len(in_text) > 20


def test_page_is_the_same_each_time(tmp_path: Path) -> None:
    """Order does not depend on which series came first."""
    pages = []
    for name, routes in (("one", ("/a", "/b")), ("two", ("/b", "/a"))):
        (tmp_path / name).mkdir()
        metrics = Metrics(tmp_path / name, version="1")
        for route in routes:
            metrics.record(finished(route=route))
        metrics.flush(0.0)
        pages.append(metrics.render(b"")[1])
    assert pages[0] == pages[1]
    assert pages[0].index(b'route="/a"') < pages[0].index(b'route="/b"')


def test_series_of_another_version_are_passed_over(tmp_path: Path) -> None:
    """During an upgrade an older worker may know metrics that we do not."""
    metrics = Metrics(tmp_path, version="1")
    metrics.flush(0.0)
    file = metrics._file
    assert file is not None
    file.add(b'c["unheard_of_total","x"]', (1.0,))
    file.add(b'c["gateway_auth_failures_total","two","labels"]', (1.0,))
    file.add(b'h["api_gateway_request_duration_seconds","/r","GET"]', (1.0, 2.0))
    page = metrics.render(b"")[1]
    assert b"api_gateway_workers 1.0\n" in page
    assert not any(name in page for name in (b"unheard_of", b"auth_failures", b"duration"))


@pytest.mark.parametrize("value", ['say "a"', "back\\slash", "two\nlines", "\\n", "ü {} , =", "\\"])
def test_labels_are_escaped(tmp_path: Path, value: str) -> None:
    """Text format and OpenMetrics: backslash, quote and line feed, so that a scraper reads what was meant."""
    metrics = Metrics(tmp_path, version="1")
    metrics.route(value, "GET").record(200, 0.1, None)
    metrics.flush(0.0)
    for page, parse in (
        (metrics.render(b"")[1], parse_text),
        (metrics.render(PROMETHEUS_3)[1], parse_openmetrics),
    ):
        families = list(parse(page.decode()))
        labels = {
            sample.labels["route"] for family in families for sample in family.samples if "route" in sample.labels
        }
        assert labels == {value}


def test_sampled_requests_are_exemplars(tmp_path: Path) -> None:
    """Only in OpenMetrics, only of traces that are recorded, and on the bucket the request fell into."""
    metrics = Metrics(tmp_path, version="1")
    metrics.record(finished(route="/r", duration_s=0.004, trace_id="a" * 32, trace_sampled=True))
    metrics.record(finished(route="/r", duration_s=0.04, trace_id="b" * 32, trace_sampled=False))
    metrics.record(finished(route="/r", duration_s=99.0, trace_id="c" * 32, trace_sampled=True))
    metrics.flush(0.0)
    assert b"trace_id" not in metrics.render(b"")[1]
    page = metrics.render(PROMETHEUS_3)[1].decode()
    families = parse_openmetrics(page)  # type: ignore[no-untyped-call]  # the library has no types there
    shown = {
        sample.labels["le"]: (sample.exemplar.labels, sample.exemplar.value)
        for family in families
        for sample in family.samples
        if sample.exemplar is not None
    }
    assert shown == {"0.005": ({"trace_id": "a" * 32}, 0.004), "+Inf": ({"trace_id": "c" * 32}, 99.0)}
