"""What the load generators print is read correctly."""

from __future__ import annotations

import pytest

from bench.load import LoadResult, parse_h2load_log, parse_wrk, percentile
from bench.processes import BenchError


def test_result_line_of_wrk_is_found_among_its_own_words() -> None:
    line = '{"requests":100,"elapsed_us":2000000,"p50_us":1500,"p99_us":9000,"failed":3}'
    expected = LoadResult(requests=100, failed=3, elapsed_s=2.0, p50_ms=1.5, p99_ms=9.0)
    assert parse_wrk(f"Running 2s test\n  1 threads\n\nresult {line}\n") == expected


def test_wrk_without_result_is_an_error() -> None:
    with pytest.raises(BenchError, match="unable to connect"):
        parse_wrk("unable to connect to 127.0.0.1:1")


def test_h2load_log_counts_answers_other_than_success_as_failed() -> None:
    log = "1700000000000000\t200\t1000\n1700000000000001\t503\t3000\n1700000000000002\t-1\t2000\n"
    assert parse_h2load_log(log, 2) == LoadResult(requests=3, failed=2, elapsed_s=2.0, p50_ms=2.0, p99_ms=3.0)


def test_empty_h2load_log_is_an_error() -> None:
    with pytest.raises(BenchError, match="no answer"):
        parse_h2load_log("", 2)


@pytest.mark.parametrize(
    ("percent", "expected"),
    [
        pytest.param(50, 50, id="half"),
        pytest.param(99, 99, id="tail"),
        pytest.param(100, 100, id="all"),
        pytest.param(0, 1, id="none_is_the_smallest"),
    ],
)
def test_percentile_is_the_nearest_rank(percent: float, expected: int) -> None:
    assert percentile(list(range(1, 101)), percent) == expected
