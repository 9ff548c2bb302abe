"""The page behind `/metrics`: totals of all workers in the Prometheus text format or in OpenMetrics."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Final

import orjson
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest as write_text
from prometheus_client.openmetrics.exposition import generate_latest as write_openmetrics
from prometheus_client.registry import Collector

from .metric_catalogue import CATALOGUE, DURATION_BUCKETS_S, Family, Kind
from .metric_files import read_totals

TEXT: Final = b"text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = b"application/openmetrics-text; version=1.0.0; charset=utf-8"

_BUCKET_NAMES: Final = (*map(str, DURATION_BUCKETS_S), "+Inf")

Rows = list[tuple[list[str], tuple[float, ...]]]
"""Label values and values of each series."""


class MetricPage(Collector):
    """Reads the metric files anew for each page. Safe in any thread."""

    def __init__(self, directory: Path) -> None:
        """Prepare; `directory` is where the workers keep their files."""
        self._directory = directory
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def render(self, accept: bytes) -> tuple[bytes, bytes]:
        """Return content type and page. OpenMetrics for those who name it in `Accept`, else text format 0.0.4."""
        if _accepts_openmetrics(accept):
            page: bytes = write_openmetrics(self._registry)  # type: ignore[no-untyped-call]  # the library has no types there
            return OPENMETRICS, page
        return TEXT, write_text(self._registry)

    def describe(self) -> list[Metric]:
        """Return nothing: the registry then does not collect in order to learn the names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Iterate over the metrics that have at least one series, in the order of the catalogue."""
        rows: dict[str, Rows] = {}
        for key, values in read_totals(self._directory).items():
            name, *labels = orjson.loads(key[1:])
            # Anything else was written by another version of the gateway.
            if name in CATALOGUE and _fits(CATALOGUE[name], labels, values):
                rows.setdefault(name, []).append((labels, values))
        for name, family in CATALOGUE.items():
            if name in rows:
                yield _metric(family, sorted(rows[name]))


def _fits(family: Family, labels: list[str], values: tuple[float, ...]) -> bool:
    count = 1 + len(_BUCKET_NAMES) if family.kind is Kind.HISTOGRAM else 1
    return len(labels) == len(family.labels) and len(values) == count


def _metric(family: Family, rows: Rows) -> Metric:
    if family.kind is Kind.COUNTER:
        counter = CounterMetricFamily(family.name, family.meaning, labels=family.labels)
        for labels, (value,) in rows:
            counter.add_metric(labels, value)
        return counter
    if family.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(family.name, family.meaning, labels=family.labels)
        for labels, (total, *buckets) in rows:
            histogram.add_metric(labels, list(zip(_BUCKET_NAMES, accumulate(buckets), strict=True)), total)
        return histogram
    gauge = GaugeMetricFamily(family.name, family.meaning, labels=family.labels)
    for labels, (value,) in rows:
        gauge.add_metric(labels, value)
    return gauge


def _accepts_openmetrics(accept: bytes) -> bool:
    for choice in accept.lower().split(b","):
        media_type, *parameters = (part.strip() for part in choice.split(b";"))
        if media_type == b"application/openmetrics-text":
            return not any(part in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000") for part in parameters)
    return False
