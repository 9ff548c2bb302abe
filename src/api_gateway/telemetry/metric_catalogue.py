"""Every metric of the gateway: name, kind, labels, meaning. docs/metrics.md shows the same list."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Kind(Enum):
    """How the values of several workers become one; the value is the first byte of a key in a metric file."""

    COUNTER = b"c"
    """The sum, of workers that have ended too."""
    HISTOGRAM = b"h"
    """The sum of each bucket, of workers that have ended too."""
    SUM_GAUGE = b"s"
    """The sum over living workers."""
    MAX_GAUGE = b"m"
    """The largest of the living workers."""


EXEMPLAR_KEY: Final = b"e"
"""First byte of the key of an exemplar: the latest one of any worker counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric with all its series."""

    name: str
    """As it stands on the page, with `_total` for counters."""
    kind: Kind
    labels: tuple[str, ...] = ()
    meaning: str
    max_series: int = 1_000
    """Further label values in one worker count together in one series whose labels are `_other`."""


MAX_ROUTES: Final = 20_000
"""Most pairs of route and method with their own series: twice the routes the gateway is measured with."""

DURATION_BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds: from well under the promised median (2 ms) to beyond the usual timeouts."""

REQUESTS: Final = Family(
    name="api_gateway_requests_total",
    kind=Kind.COUNTER,
    labels=("route", "method", "status"),
    meaning="Finished requests by route template, HTTP method and HTTP status.",
    max_series=10 * MAX_ROUTES,
)
DURATION: Final = Family(
    name="api_gateway_request_duration_seconds",
    kind=Kind.HISTOGRAM,
    labels=("route", "method"),
    meaning="Time from the first byte of a request to the end of its answer.",
)
CALLS: Final = Family(
    name="api_gateway_grpc_calls_total",
    kind=Kind.COUNTER,
    labels=("service", "method", "status"),
    meaning="Calls to backends by gRPC method and name of the final status; retries have a counter of their own.",
    max_series=MAX_ROUTES,
)
BREAKER_CHANGES: Final = Family(
    name="api_gateway_circuit_breaker_state_changes_total",
    kind=Kind.COUNTER,
    labels=("service", "from", "to"),
    meaning="Changes of a circuit breaker's state.",
)
BREAKER_STATE: Final = Family(
    name="api_gateway_circuit_breaker_state",
    kind=Kind.MAX_GAUGE,
    labels=("service",),
    meaning="State of a circuit breaker: 0 closed, 1 half-open, 2 open.",
)
ACTIVE_CONNECTIONS: Final = Family(
    name="api_gateway_active_connections_total",
    kind=Kind.SUM_GAUGE,
    labels=("service",),
    meaning="Open connections to a backend.",
)
AUTH_FAILURES: Final = Family(
    name="gateway_auth_failures_total",
    kind=Kind.COUNTER,
    labels=("reason",),
    meaning="Requests refused by authentication or authorization.",
    max_series=64,
)
KEY_SET_FETCHES: Final = Family(
    name="api_gateway_key_set_fetches_total",
    kind=Kind.COUNTER,
    labels=("result",),
    meaning="Fetches of the key set that tokens are checked with, by result.",
)
KEY_SET_AGE: Final = Family(
    name="api_gateway_key_set_age_seconds",
    kind=Kind.MAX_GAUGE,
    meaning="Time since the key set was last fetched, in the worker where it is oldest.",
)
RATE_LIMIT_EXCEEDED: Final = Family(
    name="gateway_rate_limit_exceeded_total",
    kind=Kind.COUNTER,
    labels=("route",),
    meaning="Requests refused by the rate limit.",
    max_series=MAX_ROUTES,
)
RATE_LIMIT_STORE_ERRORS: Final = Family(
    name="api_gateway_rate_limit_store_errors_total",
    kind=Kind.COUNTER,
    meaning="Requests that could not be counted because the rate limit store failed.",
)
IN_FLIGHT: Final = Family(
    name="api_gateway_requests_in_flight",
    kind=Kind.SUM_GAUGE,
    meaning="Requests begun and not finished.",
)
CLIENT_CONNECTIONS: Final = Family(
    name="api_gateway_client_connections",
    kind=Kind.SUM_GAUGE,
    meaning="Open connections of clients.",
)
QUEUE_WAIT: Final = Family(
    name="api_gateway_queue_wait_seconds",
    kind=Kind.HISTOGRAM,
    labels=("service",),
    meaning="Time that calls waited for a connection to a backend or for a free stream, of those that had to wait.",
)
QUEUED_CALLS: Final = Family(
    name="api_gateway_queued_calls",
    kind=Kind.SUM_GAUGE,
    labels=("service",),
    meaning="Calls that wait for a connection to a backend or for a free stream.",
)
REACHABLE: Final = Family(
    name="api_gateway_service_reachable",
    kind=Kind.MAX_GAUGE,
    labels=("service",),
    meaning="1 while a worker can reach a backend, else 0; what /health says.",
)
AUTH_CACHE: Final = Family(
    name="api_gateway_auth_cache_lookups_total",
    kind=Kind.COUNTER,
    labels=("result",),
    meaning="Tokens looked up among those that were found good before, by result.",
)
RETRIES: Final = Family(
    name="api_gateway_retries_total",
    kind=Kind.COUNTER,
    labels=("service", "result"),
    meaning="Calls to a backend that were tried again, or could have been, by what became of it.",
)
REFRESHES: Final = Family(
    name="api_gateway_discovery_refreshes_total",
    kind=Kind.COUNTER,
    labels=("service", "result"),
    meaning="Questions for a backend's schema, by result.",
)
SCHEMA_AGE: Final = Family(
    name="api_gateway_schema_age_seconds",
    kind=Kind.MAX_GAUGE,
    labels=("service",),
    meaning="Time since a backend's schema was last read, in the worker where it is oldest.",
)
ROUTES: Final = Family(
    name="api_gateway_routes",
    kind=Kind.MAX_GAUGE,
    labels=("service",),
    meaning="Routes served for a backend.",
)
CONFLICTS: Final = Family(
    name="api_gateway_route_conflicts",
    kind=Kind.MAX_GAUGE,
    labels=("service",),
    meaning="Methods of a backend that lost their route to another method.",
)
UNMAPPED: Final = Family(
    name="api_gateway_unmapped_methods",
    kind=Kind.MAX_GAUGE,
    labels=("service",),
    meaning="Methods of a backend that no route leads to.",
)
DROPPED_LINES: Final = Family(
    name="api_gateway_log_lines_dropped_total",
    kind=Kind.COUNTER,
    meaning="Log lines lost because nobody took them.",
)
SPANS_EXPORTED: Final = Family(
    name="api_gateway_spans_exported_total",
    kind=Kind.COUNTER,
    meaning="Spans that the collector took.",
)
SPANS_DROPPED: Final = Family(
    name="api_gateway_spans_dropped_total",
    kind=Kind.COUNTER,
    labels=("reason",),
    meaning="Spans lost on their way to the collector.",
    max_series=16,
)
LOOP_LAG: Final = Family(
    name="api_gateway_event_loop_lag_seconds",
    kind=Kind.MAX_GAUGE,
    meaning="Largest delay of the event loop within the last second, in the slowest worker.",
)
CPU: Final = Family(
    name="api_gateway_cpu_seconds_total",
    kind=Kind.COUNTER,
    meaning="Processor time that the workers took.",
)
MEMORY: Final = Family(
    name="api_gateway_resident_memory_bytes",
    kind=Kind.SUM_GAUGE,
    meaning="Memory of the workers; pages that they share count in each.",
)
WORKERS: Final = Family(
    name="api_gateway_workers",
    kind=Kind.SUM_GAUGE,
    meaning="Worker processes that serve.",
)
BUILD_INFO: Final = Family(
    name="api_gateway_build_info",
    kind=Kind.MAX_GAUGE,
    labels=("version", "python"),
    meaning="Always 1; the labels tell the versions.",
)

CATALOGUE: Final = {
    family.name: family
    for family in (
        REQUESTS,
        DURATION,
        CALLS,
        BREAKER_CHANGES,
        BREAKER_STATE,
        ACTIVE_CONNECTIONS,
        AUTH_FAILURES,
        KEY_SET_FETCHES,
        KEY_SET_AGE,
        RATE_LIMIT_EXCEEDED,
        RATE_LIMIT_STORE_ERRORS,
        AUTH_CACHE,
        IN_FLIGHT,
        CLIENT_CONNECTIONS,
        QUEUED_CALLS,
        QUEUE_WAIT,
        REACHABLE,
        RETRIES,
        REFRESHES,
        SCHEMA_AGE,
        ROUTES,
        CONFLICTS,
        UNMAPPED,
        DROPPED_LINES,
        SPANS_EXPORTED,
        SPANS_DROPPED,
        LOOP_LAG,
        CPU,
        MEMORY,
        WORKERS,
        BUILD_INFO,
    )
}
"""All metrics by name, in the order of the page."""
