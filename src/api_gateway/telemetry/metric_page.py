"""The page behind `/metrics`: totals of all workers in the Prometheus text format or in OpenMetrics."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import orjson
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest as write_text
from prometheus_client.openmetrics.exposition import generate_latest as write_openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar, Timestamp

from .metric_catalogue import CATALOGUE, DURATION_BUCKETS_S, EXEMPLAR_KEY, Family, Kind
from .metric_files import read_totals
from .metric_series import EXEMPLAR_VALUES, exemplar_trace_id

TEXT: Final = b"text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS: Final = b"application/openmetrics-text; version=1.0.0; charset=utf-8"

_BUCKET_NAMES: Final = (*map(str, DURATION_BUCKETS_S), "+Inf")

Rows = list[tuple[list[str], tuple[float, ...]]]
"""Label values and values of each series."""
Exemplars = dict[tuple[str | int, ...], tuple[float, ...]]
"""Values of each exemplar by name, label values and number of the bucket."""


class MetricPage(Collector):
    """Reads the metric files anew for each page. Safe in any thread."""

    def __init__(self, directory: Path) -> None:
        """Prepare; `directory` is where the workers keep their files."""
        self._directory = directory
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def render(self, accept: bytes) -> tuple[bytes, bytes]:
        """Return content type and page. OpenMetrics for those who name it in `Accept`, else text format 0.0.4."""
        if accepts_openmetrics(accept):
            page: bytes = write_openmetrics(self._registry)  # type: ignore[no-untyped-call]  # the library has no types there
            return OPENMETRICS, page
        return TEXT, write_text(self._registry)

    def describe(self) -> list[Metric]:
        """Return nothing: the registry then does not collect in order to learn the names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Iterate over the metrics that have at least one series, in the order of the catalogue."""
        rows: dict[str, Rows] = {}
        exemplars: Exemplars = {}
        for key, values in read_totals(self._directory).items():
            name, *labels = orjson.loads(key[1:])
            if key[:1] == EXEMPLAR_KEY:
                exemplars[name, *labels] = values
            # Anything else was written by another version of the gateway.
            elif name in CATALOGUE and _fits(CATALOGUE[name], labels, values):
                rows.setdefault(name, []).append((labels, values))
        for name, family in CATALOGUE.items():
            if name in rows:
                yield _metric(family, sorted(rows[name]), exemplars)


def _fits(family: Family, labels: list[str], values: tuple[float, ...]) -> bool:
    count = 1 + len(_BUCKET_NAMES) if family.kind is Kind.HISTOGRAM else 1
    return len(labels) == len(family.labels) and len(values) == count


def _metric(family: Family, rows: Rows, exemplars: Exemplars) -> Metric:
    if family.kind is Kind.COUNTER:
        counter = CounterMetricFamily(family.name, family.meaning, labels=family.labels)
        for labels, (value,) in rows:
            counter.add_metric(labels, value)
        return counter
    if family.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(family.name, family.meaning, labels=family.labels)
        for labels, (total, *buckets) in rows:
            # The library's types do not know that an exemplar may be missing; its code does.
            shown: list[Any] = [
                _exemplar(exemplars.get((family.name, *labels, bucket))) for bucket in range(len(_BUCKET_NAMES))
            ]
            histogram.add_metric(labels, list(zip(_BUCKET_NAMES, accumulate(buckets), shown, strict=True)), total)
        return histogram
    gauge = GaugeMetricFamily(family.name, family.meaning, labels=family.labels)
    for labels, (value,) in rows:
        gauge.add_metric(labels, value)
    return gauge


def _exemplar(values: tuple[float, ...] | None) -> Exemplar | None:
    if values is None or len(values) != EXEMPLAR_VALUES:
        return None
    duration_s, at_s = values[-2:]
    return Exemplar({"trace_id": exemplar_trace_id(values)}, duration_s, Timestamp(int(at_s), int(at_s % 1 * 1e9)))


def accepts_openmetrics(accept: bytes) -> bool:
    """Tell which of the two formats an Accept header gets."""
    for choice in accept.lower().split(b","):
        media_type, *parameters = (part.strip() for part in choice.split(b";"))
        if media_type == b"application/openmetrics-text":
            return not any(part in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000") for part in parameters)
    return False
