"""The circuit breaker in front of a backend that fails, and comes back (C5, semantics 40 to 42)."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.support.backends import start_backend
from tests.support.gateway import Client, RunningGateway, eventually, serving, start_gateway
from tests.support.gen.echo_control_pb2 import STARTED

THRESHOLD = 3
BREAKER = {"failure_threshold": THRESHOLD, "success_threshold": 2, "timeout_seconds": 1}
OPEN_FOR_EVER = {**BREAKER, "timeout_seconds": 600}
FAILING = {"id": "fails", "behaviour": {"failure": {"code": 14, "message": "ill"}}}
MISTAKEN = {"id": "mistaken", "behaviour": {"failure": {"code": 3, "message": "your mistake"}}}


def state_of(gateway: RunningGateway) -> str:
    state: str = gateway.get("/health").json()["services"]["echo"]["circuit_breaker"]
    return state


def changes(gateway: RunningGateway, before: str, after: str) -> float:
    labels = {"service": "echo", "from": before, "to": after}
    return gateway.metric("api_gateway_circuit_breaker_state_changes_total", labels)


def test_it_opens_refuses_and_closes_again() -> None:
    """A killed backend opens it; two good trials after its return close it."""
    service = {"circuit_breaker": BREAKER, "reconnect_grace_ms": 0}
    with start_backend("grpcio") as backend, start_gateway(serving(backend.endpoint, service=service)) as gateway:
        assert state_of(gateway) == "closed"
        backend.process.kill()
        gateway.wait_for_event("connection failed")
        eventually(lambda: gateway.get("/api/items/7").reason == "CIRCUIT_OPEN", "it opens")
        with start_backend("grpcio", "--port", str(backend.port)):
            eventually(lambda: gateway.get("/api/items/7").status == 200, "a trial passes")
            eventually(lambda: gateway.get("/api/items/7").status == 200 and state_of(gateway) == "closed", "it closes")
            assert {gateway.get("/api/items/7").status for _ in range(5)} == {200}
        eventually(lambda: changes(gateway, "closed", "open") == 1, "opening is counted")
        eventually(lambda: changes(gateway, "half_open", "closed") == 1, "closing is counted")
        assert gateway.wait_for_event("circuit breaker changed", new="closed")["service"] == "echo"


def test_nobody_calls_while_it_is_open() -> None:
    service = {"circuit_breaker": OPEN_FOR_EVER, "reconnect_grace_ms": 0}
    with start_backend("grpcio") as backend, start_gateway(serving(backend.endpoint, service=service)) as gateway:
        assert state_of(gateway) == "closed"
        backend.process.kill()
        gateway.wait_for_event("connection failed")
        reasons = [gateway.get("/api/items/7").reason for _ in range(THRESHOLD + 2)]
        assert reasons == ["UPSTREAM_UNAVAILABLE"] * THRESHOLD + ["CIRCUIT_OPEN"] * 2

        refused = gateway.get("/api/items/7")
        assert (refused.status, refused.error["status"]) == (503, "UNAVAILABLE")
        assert 1 <= int(refused.headers["retry-after"]) <= OPEN_FOR_EVER["timeout_seconds"]
        assert state_of(gateway) == "open"
        assert gateway.get("/api/items/7/none").status == 404


def test_all_workers_see_it_open() -> None:
    """semantics 41: whichever worker saw the failures; the backend is not called any more."""
    with (
        start_backend("grpcio") as backend,
        start_gateway(
            serving(backend.endpoint, service={"circuit_breaker": OPEN_FOR_EVER}), "--workers", "2"
        ) as gateway,
        Client(gateway.port) as client,
    ):
        eventually(lambda: gateway.metric("api_gateway_workers") == 2, "both workers serve")
        # Mistakes of callers are not the backend's failures.
        for _ in range(3 * THRESHOLD):
            assert client.ask("POST", "/echo/v1/echo", MISTAKEN).status == 400
        for _ in range(THRESHOLD):
            assert client.ask("POST", "/echo/v1/echo", FAILING).status == 503
        assert client.ask("GET", "/api/items/7").reason == "CIRCUIT_OPEN"
        eventually(
            lambda: {gateway.get("/api/items/7").status for _ in range(20)} == {503},
            "both workers refuse",
        )
        asyncio.run(backend.clear_journal())
        assert {gateway.get("/api/items/7").status for _ in range(20)} == {503}
        assert asyncio.run(backend.journal("*")).started == 0
        # Semantics 42: reflection is no call of a client: it goes on, and health tells the truth.
        assert gateway.get("/health/ready").status == 200
        assert gateway.ask("POST", "/admin/refresh-routes").json()["failed"] == {}


def test_a_restart_under_load_does_not_open_it() -> None:
    """semantics 40: fifty calls cut by one lost connection are one failure, and the backend is back in a moment."""
    slow = {"id": "slow", "behaviour": {"sleep_ms": 600_000}}
    # However long the restart takes: calls wait for it, and those that it cuts have not timed out before.
    service = {"circuit_breaker": BREAKER, "reconnect_grace_ms": 60_000, "timeout_ms": 120_000}
    server = {"request_timeout_ms": 120_000}
    with (
        start_backend("grpcio") as backend,
        start_gateway(serving(backend.endpoint, service=service, server=server), "--workers", "2") as gateway,
        ThreadPoolExecutor(50) as pool,
    ):
        asked = [pool.submit(gateway.ask, "POST", "/echo/v1/echo", slow) for _ in range(50)]
        asyncio.run(backend.journal("slow", wait_for=STARTED, at_least=50))
        backend.process.kill()
        assert {answer.result().reason for answer in asked} == {"UPSTREAM_CONNECTION_LOST"}
        with start_backend("grpcio", "--port", str(backend.port)):
            assert {gateway.get("/api/items/7").status for _ in range(20)} == {200}
            assert changes(gateway, "closed", "open") == 0


def test_the_gauge_follows_changes_of_every_worker() -> None:
    """C8: whichever workers open and close it, the page shows where it stands."""
    with (
        start_backend("grpcio") as backend,
        start_gateway(serving(backend.endpoint, service={"circuit_breaker": BREAKER}), "--workers", "2") as gateway,
    ):

        def shows(state: int) -> bool:
            return gateway.metric("api_gateway_circuit_breaker_state", {"service": "echo"}) == state

        def was_closed(times: int) -> bool:
            # Not asked of the record: a worker that has not heard yet that it opened would say the same.
            gateway.get("/api/items/7")
            return changes(gateway, "half_open", "closed") == times

        for times in (1, 2, 3):
            eventually(lambda: "ill" not in gateway.ask("POST", "/echo/v1/echo", FAILING).error["message"], "it opens")
            eventually(lambda: shows(2), "it is open")
            eventually(partial(was_closed, times), "it closes")
            eventually(lambda: shows(0), "it is closed")
