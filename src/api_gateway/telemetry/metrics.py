"""What the gateway counts. Hand out bound series when tables are built; per request there is only adding.

Every worker counts in plain numbers and writes them to its metric file once a second (`flush`); whoever is asked for
`/metrics` reads the files of all workers.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Final

from api_gateway.model.exchange import Exchange
from api_gateway.model.status import REASON_PHRASE, code_name

from . import metric_catalogue as catalogue
from .metric_files import MetricFile, mark_worker_dead, open_metric_file, prepare_metrics_directory
from .metric_page import MetricPage
from .metric_series import OTHER, Changed, DurationSeries, Series, SeriesFamily

__all__ = [
    "OTHER",
    "UNMATCHED",
    "CallMetrics",
    "Metrics",
    "RouteMetrics",
    "Series",
    "mark_worker_dead",
    "prepare_metrics_directory",
]

UNMATCHED: Final = "_unmatched"
"""Label of requests that no route matched."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STATUSES: Final = frozenset(REASON_PHRASE) | frozenset(int(status) for status in HTTPStatus)
_BREAKER_VALUES: Final = {"closed": 0.0, "half_open": 1.0, "open": 2.0}


class CallMetrics:
    """Calls of one gRPC method of one service."""

    __slots__ = ("_calls", "_labels", "_series")

    def __init__(self, service: str, method: str, calls: SeriesFamily) -> None:
        self._labels = (service, method)
        self._calls = calls
        self._series: dict[int, Series] = {}

    def record(self, grpc_code: int) -> None:
        """Count one call by the gRPC code it ended with; codes that gRPC does not define count as UNKNOWN."""
        series = self._series.get(grpc_code)
        if series is None:
            series = self._calls.bind(*self._labels, code_name(grpc_code))
            if 0 <= grpc_code <= 16:
                self._series[grpc_code] = series
        series.add()


class RouteMetrics:
    """Requests of one route and HTTP method."""

    __slots__ = ("_durations", "_labels", "_requests", "_statuses", "calls")

    def __init__(self, labels: tuple[str, str], requests: SeriesFamily, durations: DurationSeries) -> None:
        self._labels = labels
        self._requests = requests
        self._durations = durations
        self._statuses: dict[int, Series] = {}
        self.calls: CallMetrics | None = None
        """Where the final gRPC status of its requests counts."""

    def record(self, status: int, duration_s: float, grpc_code: int | None, trace_id: str = "") -> None:
        """Count one finished request.

        `grpc_code` is None when no backend was called, `trace_id` empty when the trace is not recorded.
        """
        series = self._statuses.get(status)
        if series is None:
            series = self._statuses[status] = self._requests.bind(*self._labels, _status_label(status))
        series.add()
        self._durations.observe(duration_s)
        if trace_id:
            self._durations.show(trace_id, duration_s)
        if grpc_code is not None and self.calls is not None:
            self.calls.record(grpc_code)


class Metrics:
    """All metrics of one worker. Make it in the worker, after the fork.

    Series may be bound in any thread, for route tables are built beside the loop; counting and `flush` belong to the
    thread of the loop. Bound series live as long as the worker, whatever routes come and go.
    """

    def __init__(self, directory: Path, *, version: str) -> None:
        """Prepare; `directory` was made by `prepare_metrics_directory`, no file is written before the first flush."""
        self._directory = directory
        self._page = MetricPage(directory)
        self._file: MetricFile | None = None
        self._changed: Changed = []
        self._families = {name: SeriesFamily(family, self._changed) for name, family in catalogue.CATALOGUE.items()}
        self._rate_limit_exceeded = self._families[catalogue.RATE_LIMIT_EXCEEDED.name]
        self._routes: dict[tuple[str, str], RouteMetrics] = {}
        self._calls: dict[tuple[str, str], CallMetrics] = {}
        self._readings: list[tuple[Series, Callable[[], float]]] = []
        self._schema_read_s: dict[str, float] = {}
        self._key_set_fetched_s = -1.0
        self._loop_lag_s = 0.0
        self.in_flight = 0
        """Requests begun and not finished in this worker. The edge adds and subtracts, a flush reads it."""
        self._read_at_flush(self._bind(catalogue.IN_FLIGHT), lambda: self.in_flight)
        self._read_at_flush(self._bind(catalogue.LOOP_LAG), self._take_loop_lag_s)
        self._bind(catalogue.WORKERS).set(1)
        self._bind(catalogue.BUILD_INFO, version, platform.python_version()).set(1)
        self.rate_limit_store_errors = self._bind(catalogue.RATE_LIMIT_STORE_ERRORS)
        """Requests that the rate limit store could not count."""
        # So that the first failure is a rise, and no series that begins with it.
        self.rate_limit_store_errors.set(0)

    def record(self, exchange: Exchange) -> None:
        """Count a finished exchange under its route: 0.3 us; with bound metrics of prometheus-client it is 4.1 us."""
        bound = self._routes.get((exchange.route, exchange.request.method))
        if bound is None:
            bound = self._bind_late(exchange.route, exchange.request.method)
        trace_id = exchange.trace_id if exchange.trace_sampled else ""
        bound.record(exchange.status, exchange.duration_s, exchange.grpc_code, trace_id)

    def route(self, template: str, method: str, calls: CallMetrics | None = None) -> RouteMetrics:
        """Return the metrics of a route; `method` is any HTTP method that its author chose.

        From the 20,000th pair on, all further ones count together as `_other`.
        """
        labels = (template, method)
        bound = self._routes.get(labels)
        if bound is None:
            if len(self._routes) >= catalogue.MAX_ROUTES and labels != (OTHER, OTHER):
                return self.route(OTHER, OTHER)
            durations = DurationSeries(catalogue.DURATION, labels, self._changed)
            bound = RouteMetrics(labels, self._families[catalogue.REQUESTS.name], durations)
            bound = self._routes.setdefault(labels, bound)
        if calls is not None:
            bound.calls = calls
        return bound

    def calls(self, service: str, method: str) -> CallMetrics:
        """Return the metrics of a gRPC method, `package.Service/Method`."""
        bound = self._calls.get((service, method))
        if bound is None:
            bound = CallMetrics(service, method, self._families[catalogue.CALLS.name])
            if len(self._calls) < catalogue.MAX_ROUTES:
                bound = self._calls.setdefault((service, method), bound)
        return bound

    def active_connections(self, service: str) -> Series:
        """Return the gauge of open connections to a service."""
        return self._bind(catalogue.ACTIVE_CONNECTIONS, service)

    def retries(self, service: str, result: str) -> Series:
        """Return the counter of retries of calls to a service; `result` is one that `grpc/retries.py` reports."""
        return self._bind(catalogue.RETRIES, service, result)

    def exported_spans(self) -> Series:
        """Return the counter of spans that the collector took."""
        series = self._bind(catalogue.SPANS_EXPORTED)
        # So that the first ones are a rise, and no series that begins with them.
        series.add(0)
        return series

    def dropped_spans(self, reason: str) -> Series:
        """Return the counter of spans that were lost; `reason` is one that `span_export.py` reports."""
        return self._bind(catalogue.SPANS_DROPPED, reason)

    def auth_failures(self, reason: str) -> Series:
        """Return the counter of one reason; reasons are constants of ours, never parts of a request."""
        return self._bind(catalogue.AUTH_FAILURES, reason)

    def key_set_fetched(self, is_ok: bool, now_s: float) -> None:
        """Count a fetch of the key set; one that went well begins its age anew. `now_s` is monotonic."""
        self._bind(catalogue.KEY_SET_FETCHES, "ok" if is_ok else "failed").add()
        if is_ok:
            self._key_set_fetched_s = now_s

    def rate_limit_exceeded(self, route: str) -> Series:
        """Return the counter of refusals on a route template; the empty one means that no route matched."""
        return self._rate_limit_exceeded.bind(route or UNMATCHED)

    def breaker_changed(self, service: str, from_state: str, to_state: str) -> None:
        """Count a change of a breaker and show its new state; states are `closed`, `half_open`, `open`."""
        self._bind(catalogue.BREAKER_CHANGES, service, from_state, to_state).add()
        self.show_breaker(service, to_state)

    def show_breaker(self, service: str, state: str) -> None:
        """Show a breaker's state without counting a change, for example one that another worker made."""
        self._bind(catalogue.BREAKER_STATE, service).set(_BREAKER_VALUES[state])

    def schema_read(self, service: str, result: str, now_s: float) -> None:
        """Count a question for a service's schema; `result` is `ok`, `unchanged` or `failed`.

        All but `failed` begin its age anew. `now_s` is monotonic.
        """
        self._bind(catalogue.REFRESHES, service, result).add()
        if result != "failed":
            self._schema_read_s[service] = now_s

    def show_plan(self, service: str, *, routes: int, conflicts: int, unmapped: int) -> None:
        """Show how many routes a service has, how many methods lost theirs, and how many have none."""
        self._bind(catalogue.ROUTES, service).set(routes)
        self._bind(catalogue.CONFLICTS, service).set(conflicts)
        self._bind(catalogue.UNMAPPED, service).set(unmapped)

    def queue_wait(self, service: str) -> DurationSeries:
        """Return the histogram of the time calls to a service waited; to be asked for once for each service."""
        series = DurationSeries(catalogue.QUEUE_WAIT, (service,), self._changed)
        series.announce()
        return series

    def watch(self, family: catalogue.Family, read: Callable[[], float], *labels: str) -> None:
        """Ask `read` at every flush for a gauge's value, or for the total of a counter that is kept elsewhere."""
        self._read_at_flush(self._bind(family, *labels), read)

    def observe_loop_lag(self, lag_s: float) -> None:
        """Report by how much a timer of the event loop came late; the largest since the last flush is shown."""
        self._loop_lag_s = max(self._loop_lag_s, lag_s)

    def flush(self, now_s: float) -> bool:
        """Write what changed to this worker's file; to be called once a second and at the end. `now_s` is monotonic.

        Takes 1 to 2 us a changed series. Returns False when the disk is full or the directory gone: nothing is lost
        then, and the next flush tries again.
        """
        for series, read in self._readings:
            value = read()
            if value != series.value:
                series.set(value)
        for service, read_s in self._schema_read_s.items():
            self._bind(catalogue.SCHEMA_AGE, service).set(max(0.0, now_s - read_s))
        if self._key_set_fetched_s >= 0:
            self._bind(catalogue.KEY_SET_AGE).set(max(0.0, now_s - self._key_set_fetched_s))
        try:
            if self._file is None:
                self._file = open_metric_file(self._directory)
            while self._changed:
                self._changed[-1].flush(self._file)
                self._changed.pop()
        except OSError:
            return False
        return True

    def render(self, accept: bytes) -> tuple[bytes, bytes]:
        """Return content type and body of `/metrics` for all workers, as of their last flush. Raises OSError.

        Call `flush` before. With many routes it takes long (docs/metrics.md), so it may be called in another thread.
        """
        return self._page.render(accept)

    def close(self, now_s: float) -> None:
        """Flush for the last time. The counts stay in the file until `mark_worker_dead` moves them."""
        self.in_flight = 0
        self.flush(now_s)
        if self._file is not None:
            self._file.close()

    def _bind(self, family: catalogue.Family, *labels: str) -> Series:
        return self._families[family.name].bind(*labels)

    def _bind_late(self, route: str, method: str) -> RouteMetrics:
        """Bind what no table announced: no route, HEAD on a GET route, the gateway's own endpoints, odd methods."""
        if method not in _METHODS:
            method = OTHER
        answered = self._routes.get((route, "GET")) if method == "HEAD" else None
        return self.route(route or UNMATCHED, method, answered.calls if answered is not None else None)

    def _read_at_flush(self, series: Series, read: Callable[[], float]) -> None:
        series.set(read())
        self._readings.append((series, read))

    def _take_loop_lag_s(self) -> float:
        lag_s, self._loop_lag_s = self._loop_lag_s, 0.0
        return lag_s


def _status_label(status: int) -> str:
    """Return the status as a label; a backend may choose odd ones (semantics 18), they count by their class."""
    if status in _STATUSES:
        return str(status)
    return f"{status // 100}xx" if 100 <= status <= 599 else OTHER
