"""Routes that come, change and go while the gateway serves (C1, semantics 43 and 44)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.backends import Backend, start_backend
from tests.support.gateway import Answer, Client, eventually, serving, start_gateway
from tests.support.steady_load import CONNECTIONS, steady_load
from tests.support.switching_backend import switching_backend

EXTRA_ROUTE = "/api/extra-items/7"
PROBES = 20
"""Requests on connections of their own: so many that each of two workers has some."""
NO_BREAKER = {"circuit_breaker": {"failure_threshold": 1_000}}
"""Five calls that one lost connection takes along would open it."""


def send(client: Client, request_id: str) -> Answer:
    return client.ask("GET", f"/api/items/{request_id}")


@contextmanager
def free_port() -> Iterator[int]:
    """Keep a port of loopback for a backend that starts later: bound, so that nobody else gets it."""
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", 0))
        yield keeper.getsockname()[1]


@pytest.mark.parametrize(
    ("library", "workers", "lost_by_backend"),
    [
        pytest.param("node", 1, set(), id="node, which finishes what it has begun"),
        pytest.param("node", 2, set(), id="node and two workers"),
        # grpcio's core cancels calls that arrive while it stops; grpclib closes its connections in the middle. What a
        # backend may have executed is not repeated (semantics 31).
        pytest.param("grpcio", 2, {"CANCELLED"}, id="grpcio"),
        pytest.param("grpclib", 1, {"UNAVAILABLE"}, id="grpclib"),
    ],
)
def test_a_restarted_backend_brings_its_new_method(library: str, workers: int, lost_by_backend: set[str]) -> None:
    """The bar: a backend restarts with one more method under 200 requests a second. Its route appears, none fails."""
    with (
        start_backend(library) as backend,
        start_gateway(serving(backend.endpoint, service=NO_BREAKER), "--workers", str(workers)) as gateway,
    ):
        eventually(lambda: gateway.metric("api_gateway_workers") == workers, "all workers serve")
        assert gateway.get(EXTRA_ROUTE).status == 404
        with steady_load(gateway.port, send) as load:
            load.wait_for(50)
            backend.process.stop()
            with start_backend(library, "--port", str(backend.port), "--extra-method", "GetExtraItem"):
                eventually(lambda: len(gateway.log("schema changed")) == workers, "all workers have the new schema")
                assert {gateway.get(EXTRA_ROUTE).status for _ in range(PROBES)} == {200}
                load.wait_for(50)
                outcome = load.stop()
        assert (outcome.lost, outcome.turned_away, outcome.refused) == ([], [], 0)
        assert outcome.answered - outcome.statuses[200] <= CONNECTIONS
        failed = [line["fields"] for line in gateway.log("request completed") if line["fields"]["status"] != 200]
        assert {fields["grpc_status"] for fields in failed if fields["path"] != EXTRA_ROUTE} <= lost_by_backend
        event = gateway.wait_for_event("schema changed", service="echo")
        assert (event["added"], event["removed"]) == (1, 0)


def test_a_removed_method_goes_with_the_old_backend() -> None:
    with (
        start_backend("grpcio", "--extra-method", "GetExtraItem") as backend,
        start_gateway(serving(backend.endpoint)) as gateway,
    ):
        assert gateway.get(EXTRA_ROUTE).status == 200
        backend.process.stop()
        with start_backend("grpcio", "--port", str(backend.port)):
            eventually(lambda: gateway.get(EXTRA_ROUTE).status == 404, "the route has gone")
            assert gateway.get("/api/items/7").status == 200


def test_the_last_good_routes_stay_while_a_backend_is_away() -> None:
    """semantics 43: they answer 503, not 404."""
    with (
        start_backend("grpcio") as backend,
        start_gateway(serving(backend.endpoint, service={"reconnect_grace_ms": 200})) as gateway,
    ):
        backend.process.kill()
        eventually(lambda: gateway.get("/api/items/7").status == 503, "the backend is missed")
        assert gateway.get("/api/items/7").reason == "UPSTREAM_UNAVAILABLE"
        assert gateway.get("/health/ready").status == 200
        assert gateway.get("/health").status == 503


def test_a_service_down_at_start_is_found_when_it_comes_up(grpcio_backend: Backend) -> None:
    """semantics 44: the gateway starts without it, says so, and serves the others."""
    with free_port() as port:
        config = {
            "services": {
                "here": {"endpoint": grpcio_backend.endpoint},
                "late": {"endpoint": f"http://127.0.0.1:{port}", "reconnect_grace_ms": 0},
            }
        }
        with start_gateway(config) as gateway:
            ready = gateway.get("/health/ready")
            assert (ready.status, ready.json()["status"]) == (503, "not_ready")
            assert list(ready.json()["reasons"]) == ["late"]
            assert "refused" in ready.json()["reasons"]["late"]
            health = gateway.get("/health")
            assert (health.status, health.json()["status"]) == (200, "degraded")
            assert gateway.get("/api/items/7").status == 200
            told = gateway.process.stderr.wait_for(lambda line: "late" in line)
            assert "is not discovered" in told
            with start_backend("grpclib", "--port", str(port), "--extra-method", "GetExtraItem"):
                eventually(lambda: gateway.get("/health/ready").status == 200, "ready")
                assert gateway.get(EXTRA_ROUTE).json()["backend"] == "grpclib"
                assert gateway.get("/health").json()["status"] == "up"


def test_refresh_tells_what_changed_and_all_workers_follow() -> None:
    """semantics 43: on demand, without any connection being lost; the worker that was not asked follows.

    Not by its own next round, which is minutes away: every second it looks whether another worker was asked.
    """
    with (
        switching_backend() as backend,
        start_gateway(serving(backend.endpoint), "--workers", "2") as gateway,
        Client(gateway.port) as operator,
    ):
        eventually(lambda: gateway.metric("api_gateway_workers") == 2, "both workers serve")
        assert {gateway.get(EXTRA_ROUTE).status for _ in range(PROBES)} == {404}

        backend.offer(["GetExtraItem"])
        answer = operator.ask("POST", "/admin/refresh-routes")
        assert answer.status == 200
        report = answer.json()
        assert set(report) == {"added", "removed", "changed", "failed"}
        assert (report["added"], report["removed"], report["failed"]) == (["GET /api/extra-items/:id"], [], {})
        # Nobody implements the method, so the backend itself refuses the call.
        eventually(
            lambda: {gateway.get(EXTRA_ROUTE).status for _ in range(PROBES)} == {501},
            "both workers have the route",
        )

        backend.offer([])
        report = operator.ask("POST", "/admin/refresh-routes").json()
        assert (report["added"], report["removed"]) == ([], ["GET /api/extra-items/:id"])
        assert operator.ask("POST", "/admin/refresh-routes").json() == {
            "added": [],
            "removed": [],
            "changed": [],
            "failed": {},
        }


def test_refresh_names_who_failed_and_why(grpcio_backend: Backend) -> None:
    """Its routes stay, and nobody waits for it."""
    config = {
        "services": {
            "here": {"endpoint": grpcio_backend.endpoint},
            "away": {"endpoint": "http://127.0.0.1:9", "reconnect_grace_ms": 0},
        }
    }
    with start_gateway(config) as gateway:
        report = gateway.ask("POST", "/admin/refresh-routes").json()
        assert list(report["failed"]) == ["away"]
        assert "refused" in report["failed"]["away"]


def test_refresh_needs_a_client_on_this_machine() -> None:
    """Without an auth section, whoever comes through a proxy is from elsewhere (semantics 33)."""
    with start_gateway(serving("http://127.0.0.1:9")) as gateway:
        refused = gateway.ask("POST", "/admin/refresh-routes", headers={"x-forwarded-for": "127.0.0.1"})
        assert (refused.status, refused.reason) == (403, "LOOPBACK_ONLY")
        wrong_verb = gateway.get("/admin/refresh-routes")
        assert (wrong_verb.status, wrong_verb.headers["allow"]) == (405, "POST")
