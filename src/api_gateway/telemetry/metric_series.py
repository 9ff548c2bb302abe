"""Counters and gauges of one worker: plain numbers that are written to its metric file at every flush."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, Protocol

import orjson

from .metric_catalogue import DURATION_BUCKETS_S, EXEMPLAR_KEY, Family
from .metric_files import MetricFile

OTHER: Final = "_other"
EXEMPLAR_VALUES: Final = 6
"""Four words of a trace id, a duration, a time."""


class Flushable(Protocol):
    """Something with values to be written."""

    def flush(self, file: MetricFile) -> None:
        """Write the values. Raises OSError when the file cannot grow; the next flush tries again."""


Changed = list[Flushable]
"""What changed since the last flush, each once. Whoever changes first adds itself."""


class Series:
    """One number of a metric. Adding takes 0.1 us, and again 0.1 us the first time after a flush."""

    __slots__ = ("_changed", "_is_changed", "_key", "_position", "value")

    def __init__(self, family: Family, labels: tuple[str, ...], changed: Changed) -> None:
        self._key = series_key(family, labels)
        self._changed = changed
        self._is_changed = False
        self._position = 0
        self.value = 0.0

    def add(self, amount: float = 1.0) -> None:
        """Add to the value; a counter only grows."""
        self.value += amount
        if not self._is_changed:
            self._is_changed = True
            self._changed.append(self)

    def set(self, value: float) -> None:
        """Set a gauge, or a counter whose total is kept elsewhere."""
        self.value = value
        if not self._is_changed:
            self._is_changed = True
            self._changed.append(self)

    def flush(self, file: MetricFile) -> None:
        """Write the value."""
        if self._position:
            file.set(self._position, (self.value,))
        else:
            self._position = file.add(self._key, (self.value,))
        self._is_changed = False


class DurationSeries:
    """One histogram of durations, with the latest sampled request of each bucket as its exemplar."""

    __slots__ = ("_buckets", "_changed", "_exemplars", "_is_changed", "_key", "_labels", "_name", "_position", "_sum_s")

    def __init__(self, family: Family, labels: tuple[str, ...], changed: Changed) -> None:
        self._key = series_key(family, labels)
        self._name = family.name
        self._labels = labels
        self._exemplars: dict[int, ExemplarSeries] | None = None
        self._changed = changed
        self._is_changed = False
        self._position = 0
        self._sum_s = 0.0
        self._buckets = [0] * (len(DURATION_BUCKETS_S) + 1)

    def announce(self) -> None:
        """Show it before the first duration, so that this one is a rise and no series that begins with it."""
        if not self._is_changed:
            self._is_changed = True
            self._changed.append(self)

    def observe(self, duration_s: float) -> None:
        """Count one duration, in seconds."""
        self._buckets[bisect_left(DURATION_BUCKETS_S, duration_s)] += 1
        self._sum_s += duration_s
        if not self._is_changed:
            self._is_changed = True
            self._changed.append(self)

    def show(self, trace_id: str, duration_s: float) -> None:
        """Keep an observed duration as the example of its bucket; `trace_id` is 32 hex digits of a recorded trace."""
        if self._exemplars is None:
            self._exemplars = {}
        bucket = bisect_left(DURATION_BUCKETS_S, duration_s)
        exemplar = self._exemplars.get(bucket)
        if exemplar is None:
            key = EXEMPLAR_KEY + orjson.dumps((self._name, *self._labels, bucket))
            exemplar = self._exemplars[bucket] = ExemplarSeries(key, self._changed)
        exemplar.set(trace_id, duration_s)

    def flush(self, file: MetricFile) -> None:
        """Write the sum, then the count of each bucket alone."""
        values = (self._sum_s, *self._buckets)
        if self._position:
            file.set(self._position, values)
        else:
            self._position = file.add(self._key, values)
        self._is_changed = False


class ExemplarSeries:
    """The latest example of one bucket."""

    __slots__ = ("_changed", "_duration_s", "_is_changed", "_key", "_position", "_trace_id")

    def __init__(self, key: bytes, changed: Changed) -> None:
        self._key = key
        self._changed = changed
        self._is_changed = False
        self._position = 0
        self._trace_id = ""
        self._duration_s = 0.0

    def set(self, trace_id: str, duration_s: float) -> None:
        """Take the place of the example before."""
        self._trace_id = trace_id
        self._duration_s = duration_s
        if not self._is_changed:
            self._is_changed = True
            self._changed.append(self)

    def flush(self, file: MetricFile) -> None:
        """Write the trace id as four numbers of 32 bits, the duration, and the wall-clock time of now."""
        number = int(self._trace_id, 16)
        words = [float(number >> shift & 0xFFFF_FFFF) for shift in (96, 64, 32, 0)]
        values = (*words, self._duration_s, time.time())
        if self._position:
            file.set(self._position, values)
        else:
            self._position = file.add(self._key, values)
        self._is_changed = False


def exemplar_trace_id(values: Sequence[float]) -> str:
    """Return the trace id that an exemplar's values begin with."""
    return "".join(f"{int(word):08x}" for word in values[:4])


class SeriesFamily:
    """All series of one metric in this worker, at most `max_series` and one for the rest."""

    __slots__ = ("_changed", "_family", "_series")

    def __init__(self, family: Family, changed: Changed) -> None:
        self._family = family
        self._changed = changed
        self._series: dict[tuple[str, ...], Series] = {}

    def bind(self, *labels: str) -> Series:
        """Return the series with these label values, always the same one."""
        series = self._series.get(labels)
        if series is None:
            if len(self._series) >= self._family.max_series:
                labels = (OTHER,) * len(labels)
            series = self._series.setdefault(labels, Series(self._family, labels, self._changed))
        return series


def series_key(family: Family, labels: tuple[str, ...]) -> bytes:
    """Return the key of a series in a metric file: the kind's letter, then a JSON array of name and label values."""
    if len(labels) != len(family.labels):
        raise ValueError(f"{family.name} has the labels {family.labels}, got {len(labels)} values")
    return family.kind.value + orjson.dumps((family.name, *labels))
