"""Numbers of one worker: each series once, bounded, written when it changed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from api_gateway.telemetry.metric_catalogue import AUTH_FAILURES, DURATION, LOOP_LAG
from api_gateway.telemetry.metric_files import MetricFile, read_totals
from api_gateway.telemetry.metric_series import (
    EXEMPLAR_VALUES,
    OTHER,
    Changed,
    DurationSeries,
    Series,
    SeriesFamily,
    exemplar_trace_id,
    series_key,
)


def flush(changed: Changed, file: MetricFile) -> None:
    while changed:
        changed.pop().flush(file)


def test_series_is_queued_once_between_flushes(tmp_path: Path) -> None:
    changed: Changed = []
    series = Series(LOOP_LAG, (), changed)
    file = MetricFile(tmp_path / "worker-1.metrics")
    for expected in (3.0, 6.0):
        for _ in range(3):
            series.add()
        assert changed == [series]
        flush(changed, file)
        assert list(read_totals(tmp_path).values()) == [(expected,)]
    file.close()


def test_duration_on_a_bound_belongs_to_its_bucket(tmp_path: Path) -> None:
    """Prometheus: `le` means less than or equal."""
    changed: Changed = []
    series = DurationSeries(DURATION, ("/r", "GET"), changed)
    for duration_s in (0.0, 0.0005, 0.00051, 10.0, 10.1):
        series.observe(duration_s)
    file = MetricFile(tmp_path / "worker-1.metrics")
    flush(changed, file)
    file.close()
    ((total, *buckets),) = read_totals(tmp_path).values()
    assert total == pytest.approx(20.10101)
    assert buckets == [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]


def test_same_labels_are_the_same_series() -> None:
    family = SeriesFamily(AUTH_FAILURES, [])
    assert family.bind("expired") is family.bind("expired")
    assert family.bind("expired") is not family.bind("missing")


def test_labels_beyond_the_bound_share_one_series() -> None:
    """H20."""
    family = SeriesFamily(AUTH_FAILURES, [])
    first = family.bind("0")
    for number in range(1, AUTH_FAILURES.max_series):
        family.bind(str(number))
    assert family.bind("one more") is family.bind("another") is family.bind(OTHER)
    assert family.bind("0") is first


def test_wrong_number_of_labels_is_an_error() -> None:
    with pytest.raises(ValueError, match="has the labels"):
        series_key(AUTH_FAILURES, ())


def test_exemplar_keeps_all_of_a_trace_id(tmp_path: Path) -> None:
    """128 bits in numbers that hold 53 each; the latest request of its bucket, at the time of the flush."""
    changed: Changed = []
    series = DurationSeries(DURATION, ("/r", "GET"), changed)
    trace_id = "ffffffff00000001deadbeef80000000"
    file = MetricFile(tmp_path / "worker-1.metrics")
    for shown, duration_s in (("a" * 32, 0.02), (trace_id, 0.011)):
        series.observe(duration_s)
        series.show(shown, duration_s)
        flush(changed, file)
    file.close()
    found = {key.rstrip(b" "): values for key, values in read_totals(tmp_path).items() if key[:1] == b"e"}
    ((key, values),) = found.items()
    assert key == b'e["api_gateway_request_duration_seconds","/r","GET",5]'
    assert len(values) == EXEMPLAR_VALUES
    assert (exemplar_trace_id(values), values[4]) == (trace_id, 0.011)
    assert abs(values[5] - time.time()) < 60
