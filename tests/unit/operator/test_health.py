"""What load balancers and operators are told (semantics 45)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest

from api_gateway.model.message import Request, Response
from api_gateway.operator.health import Health, Live, Ready, ServiceHealth

UP = ServiceHealth(
    endpoint="http://users:50051",
    is_reachable=True,
    is_discovered=True,
    connection="ready",
    breaker="closed",
    routes=5,
    schema_age_s=12.34567,
    addresses={"10.0.0.1:50051": "ready", "10.0.0.2:50051": "not_serving"},
)
DOWN = replace(UP, is_reachable=False, connection="transient_failure", error="connection refused")
NEW = replace(UP, is_reachable=False, is_discovered=False, connection="connecting", routes=0, schema_age_s=None)
REQUEST = Request(
    method="GET", path="/health", query="", headers={}, repeated=frozenset(), body=None, peer="::1", started_s=0.0
)


class Source:
    """Implements `HealthSource`."""

    def __init__(self, services: Mapping[str, ServiceHealth], *, draining: bool = False, **reasons: str) -> None:
        self._services, self._draining, self._reasons = services, draining, reasons

    def is_draining(self) -> bool:
        return self._draining

    def service_health(self) -> Mapping[str, ServiceHealth]:
        return self._services

    def unready_reasons(self) -> Mapping[str, str]:
        return self._reasons


def body_of(response: Response) -> Any:
    assert (b"content-type", b"application/json") in response.headers
    assert (b"cache-control", b"no-store") in response.headers
    return orjson.loads(response.body)


async def test_semantics_45_live_is_200_as_long_as_it_answers() -> None:
    response = await Live().answer(REQUEST)
    assert (response.status, body_of(response)) == (200, {"status": "alive"})


@pytest.mark.parametrize(
    ("source", "reasons"),
    [
        pytest.param(Source({"users": UP, "orders": UP}), None, id="all discovered"),
        pytest.param(Source({"users": DOWN}), None, id="down now, but discovered once"),
        pytest.param(Source({"users": UP, "orders": NEW}), {"orders": "not discovered yet"}, id="one is not"),
        pytest.param(
            Source({"orders": replace(NEW, error="no reflection")}), {"orders": "no reflection"}, id="and says why"
        ),
        pytest.param(Source({"users": UP}, draining=True), {"gateway": "shutting down"}, id="drain"),
        pytest.param(Source({"users": UP}, auth="no keys"), {"auth": "no keys"}, id="auth"),
    ],
)
async def test_semantics_45_ready_is_200_or_says_why_not(source: Source, reasons: dict[str, str] | None) -> None:
    response = await Ready(source).answer(REQUEST)
    if reasons is None:
        assert (response.status, body_of(response)) == (200, {"status": "ready"})
    else:
        assert (response.status, body_of(response)) == (503, {"status": "not_ready", "reasons": reasons})


@pytest.mark.parametrize(
    ("services", "status", "text"),
    [
        pytest.param({"users": UP, "orders": UP}, 200, "up", id="all"),
        pytest.param({"users": UP, "orders": DOWN}, 200, "degraded", id="some"),
        pytest.param({"users": DOWN, "orders": DOWN}, 503, "down", id="none"),
    ],
)
async def test_semantics_45_health_is_200_while_one_service_is_reachable(
    services: Mapping[str, ServiceHealth], status: int, text: str
) -> None:
    response = await Health(Source(services), version="1.2.3", uptime_s=lambda: 1.23456).answer(REQUEST)
    shown = body_of(response)
    assert (response.status, shown["status"], shown["version"], shown["uptime_seconds"]) == (
        status,
        text,
        "1.2.3",
        1.235,
    )
    assert shown["services"].keys() == services.keys()


def test_a_service_is_shown_with_everything_an_operator_asks() -> None:
    assert DOWN.as_dict() == {
        "endpoint": "http://users:50051",
        "reachable": False,
        "discovered": True,
        "connection": "transient_failure",
        "addresses": {"10.0.0.1:50051": "ready", "10.0.0.2:50051": "not_serving"},
        "circuit_breaker": "closed",
        "routes": 5,
        "schema_age_seconds": 12.346,
        "error": "connection refused",
    }
    assert NEW.as_dict()["schema_age_seconds"] is None
    assert "error" not in UP.as_dict()
