"""What was measured, and what it means: samples of rounds to one summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One target under one case in one round."""

    user_us: float
    """CPU time of the target's whole process tree per request, in microseconds, outside of the kernel."""
    system_us: float
    """The same, in the kernel."""
    requests_per_s: float
    p50_ms: float
    p99_ms: float

    @property
    def cpu_us(self) -> float:
        """CPU time per request altogether."""
        return self.user_us + self.system_us


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """CPU time per request relative to the baseline of the same round: median, lowest and highest of the rounds."""

    middle: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The medians over all rounds."""

    cpu_us: float
    system_us: float
    """The part of it that the kernel took."""
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    ratio: Ratio | None
    """Absent for the baseline itself, and without one."""
    extra_us: float | None = None
    """CPU time per request beyond the baseline of the same round, median; absent as `ratio` is."""


def summarise(samples: Sequence[Sample], baseline: Sequence[Sample] | None) -> Summary:
    """Put the rounds of one target together. `baseline` has the samples of the same rounds in the same order."""
    return Summary(
        cpu_us=median(sample.cpu_us for sample in samples),
        system_us=median(sample.system_us for sample in samples),
        requests_per_s=median(sample.requests_per_s for sample in samples),
        p50_ms=median(sample.p50_ms for sample in samples),
        p99_ms=median(sample.p99_ms for sample in samples),
        ratio=None if baseline is None else _ratio(samples, baseline),
        extra_us=None if baseline is None else _extra_us(samples, baseline),
    )


def _extra_us(samples: Sequence[Sample], baseline: Sequence[Sample]) -> float:
    return median(ours.cpu_us - theirs.cpu_us for ours, theirs in zip(samples, baseline, strict=True))


def _ratio(samples: Sequence[Sample], baseline: Sequence[Sample]) -> Ratio:
    ratios = [ours.cpu_us / theirs.cpu_us for ours, theirs in zip(samples, baseline, strict=True)]
    return Ratio(middle=median(ratios), low=min(ratios), high=max(ratios))
