"""The cases and targets. Adding one is adding an entry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import jwt

from bench.load import Calls, H2load, Load, Request, Wrk
from bench.schema import USER, expected_get, expected_list
from bench.targets import Caller, Envoy, Gateway, Target

BESIDE_ENVOY = 0.50
"""Our request with everything switched on costs at most half of Envoy's bare transcoder: the goal."""
UNARY_GET = 0.75
UNARY_POST = 0.65
"""The bars on the way to it."""
BESIDE_GRPCIO = 0.25
"""A call of the gateway's own transport is at least four times cheaper than one of grpcio's asyncio client."""
CALL_US = 18.0
"""What it costs at most."""
ALL_POLICIES_US = 12.0
"""What client address, rate limit, token, role policy, breaker and CORS together may cost a request."""
TRACED_US = 12.0
"""What recording and exporting its spans may cost a request."""
UNTRACED_US = 2.0
"""What a request may cost more where traces are exported and it is not picked."""
REFUSED = 0.50
"""What a request beyond its limit may cost, relative to one that is served."""
WITH_MANY_ROUTES = 1.05
"""What 10,000 routes may add to the cost of a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request under one load, sent to several targets in turn."""

    name: str
    """What `--case` takes."""
    title: str
    request: Request
    expected: Mapping[str, object]
    """What every target must answer, as parsed JSON."""
    load: Load
    targets: tuple[str, ...] = ("envoy", "gateway")
    """Keys of the targets; the first is the baseline of the ratios."""
    refused: Request | None = None
    """What every target but the baseline must answer with 401, to show that auth is on."""
    needs_traces: bool = False
    """Whether spans of every target but the baseline must reach the collector, to show that tracing is on."""
    promise: float | None = BESIDE_ENVOY
    """Highest ratio of CPU time per request to the baseline that we promise."""
    most_us: float | None = None
    """Highest CPU time per request that we promise, in microseconds."""
    more_us: float | None = None
    """Most CPU time, in microseconds, that a request may cost beyond what it costs the baseline."""
    refusing: tuple[str, ...] = ()
    """Keys of the targets that must answer 429 to everything."""
    by_default: bool = True
    """Whether it is measured when no case is named."""


ALLOWED_BEFORE_LIMIT = 60
"""Requests that a target with its limit reached was sent before; one an hour and more, so that it stays reached."""
SECRET = "a secret of the benchmark, nowhere else used"
GET = Request(path="/v1/users/u42")
GET_WITH_TOKEN = Request(
    path=GET.path,
    headers=(("authorization", f"Bearer {jwt.encode({'sub': 'bench', 'exp': 4_102_444_800}, SECRET, 'HS256')}"),),
)
GET_OF_A_PAGE = Request(path=GET.path, headers=(*GET_WITH_TOKEN.headers, ("origin", "https://app.example")))
GUARDS: Mapping[str, object] = {
    "auth": {"jwt": {"secret": SECRET}},
    "cors": {"enabled": True, "allowed_origins": ["https://app.example"]},
}
"""The sections that switch on what `gateway_config` leaves off; breakers are always on."""
POST = Request(
    method="POST",
    path="/v1/users",
    body=json.dumps(USER).encode(),
    headers=(("content-type", "application/json"),),
)
LIST = Request(path="/v1/users?page_size=100")

CASES = (
    Case(name="get-1", title="GET by id", request=GET, expected=expected_get("u42"), load=Wrk(1), promise=UNARY_GET),
    Case(
        name="get-64",
        title="GET by id",
        request=GET,
        expected=expected_get("u42"),
        load=Wrk(64),
        promise=UNARY_GET,
    ),
    Case(name="post-64", title="POST, 12 fields", request=POST, expected=USER, load=Wrk(64), promise=UNARY_POST),
    Case(name="list-64", title="list of 100, 30 kB", request=LIST, expected=expected_list(100), load=Wrk(64)),
    Case(
        name="get-h2", title="GET by id", request=GET, expected=expected_get("u42"), load=H2load(8, 8), by_default=False
    ),
    Case(
        name="routes",
        title="GET by id",
        request=GET,
        expected=expected_get("u42"),
        load=Wrk(64),
        targets=("gateway", "gateway-many"),
        promise=WITH_MANY_ROUTES,
    ),
    Case(
        name="auth",
        title="GET by id, token cached",
        request=GET_WITH_TOKEN,
        expected=expected_get("u42"),
        load=Wrk(64),
        targets=("envoy", "gateway-auth"),
        refused=GET,
    ),
    Case(
        name="policies",
        title="GET by id, all policies on, token cached",
        request=GET_OF_A_PAGE,
        expected=expected_get("u42"),
        load=Wrk(64),
        targets=("gateway-open", "gateway-guarded"),
        refused=GET,
        promise=None,
        more_us=ALL_POLICIES_US,
    ),
    Case(
        name="limited",
        title="GET by id, all policies on, served and refused (429)",
        request=GET_OF_A_PAGE,
        expected=expected_get("u42"),
        load=Wrk(64),
        targets=("gateway-guarded", "gateway-limited"),
        refusing=("gateway-limited",),
        promise=REFUSED,
    ),
    Case(
        name="tracing",
        title="GET by id, every request traced",
        request=GET,
        expected=expected_get("u42"),
        load=Wrk(64),
        targets=("gateway", "gateway-tracing"),
        needs_traces=True,
        promise=None,
        more_us=TRACED_US,
    ),
    Case(
        name="tracing-off",
        title="GET by id, tracing on and no request traced",
        request=GET,
        expected=expected_get("u42"),
        load=Wrk(64),
        targets=("gateway", "gateway-untraced"),
        promise=None,
        more_us=UNTRACED_US,
    ),
    Case(
        name="transport",
        title="unary call, no HTTP in front",
        request=Request(path="/once"),
        expected=expected_get("u42"),
        load=Calls(64),
        targets=("grpcio", "channel"),
        promise=BESIDE_GRPCIO,
        most_us=CALL_US,
    ),
)


def targets(many_routes: int) -> dict[str, Target]:
    """Return all targets by key; `many_routes` is the size of the large route table."""
    return {
        "envoy": Envoy(),
        "gateway": Gateway(),
        "grpcio": Caller(kind="grpcio", title="grpcio's asyncio channel"),
        "channel": Caller(kind="gateway", title="the gateway's channel"),
        "gateway-many": Gateway(title=f"gateway, {many_routes:,} routes", routes=many_routes),
        "gateway-auth": Gateway(title="gateway, auth", sections={"auth": {"jwt": {"secret": SECRET}}}),
        "gateway-open": Gateway(title="gateway, no policies", sections={"rate_limit": {"enabled": False}}),
        "gateway-guarded": Gateway(title="gateway, all policies", sections=GUARDS),
        "gateway-limited": Gateway(
            title="gateway, limit reached",
            sections={
                **GUARDS,
                "rate_limit": {
                    "enabled": True,
                    "requests_per_minute": 1,
                    "window_seconds": 60 * ALLOWED_BEFORE_LIMIT,
                },
            },
        ),
        "gateway-tracing": Gateway(
            title="gateway, tracing", sections={"observability": {"tempo_endpoint": "{backend}"}}
        ),
        "gateway-untraced": Gateway(
            title="gateway, tracing at ratio 0",
            sections={"observability": {"tempo_endpoint": "{backend}", "sample_ratio": 0}},
        ),
    }
