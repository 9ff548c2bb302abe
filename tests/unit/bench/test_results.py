"""What the rounds of a benchmark are summed up to."""

from __future__ import annotations

import pytest

from bench.results import Sample, summarise


def sample(cpu_us: float) -> Sample:
    return Sample(
        user_us=cpu_us * 0.75,
        system_us=cpu_us * 0.25,
        requests_per_s=1e6 / cpu_us,
        p50_ms=cpu_us / 10,
        p99_ms=cpu_us / 5,
    )


def test_figures_are_the_medians_of_the_rounds() -> None:
    summary = summarise([sample(10), sample(1000), sample(20)], None)
    assert (summary.cpu_us, summary.system_us) == (20, 5)
    assert (summary.requests_per_s, summary.p50_ms, summary.p99_ms) == (50_000, 2, 4)


def test_ratio_is_taken_inside_each_round() -> None:
    # The machine became twice as slow in the second round; the ratio of the medians would be 0.4.
    ours, theirs = [sample(50), sample(100), sample(40)], [sample(100), sample(200), sample(100)]
    ratio = summarise(ours, theirs).ratio
    assert ratio is not None
    assert (ratio.middle, ratio.low, ratio.high) == (0.5, 0.4, 0.5)


def test_baseline_has_no_ratio() -> None:
    assert summarise([sample(10)], None).ratio is None


def test_rounds_must_match() -> None:
    with pytest.raises(ValueError, match="zip"):
        summarise([sample(10)], [sample(10), sample(10)])
