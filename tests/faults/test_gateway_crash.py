"""Processes of the gateway that are killed without a warning (P3, D6, D7)."""

from __future__ import annotations

import os
import signal
import time

from tests.support.backends import Backend
from tests.support.gateway import (
    Answer,
    Client,
    RunningGateway,
    eventually,
    is_alive,
    is_refused,
    serving,
    serving_patiently,
    start_gateway,
)
from tests.support.promptness import quickest_s
from tests.support.steady_load import CONNECTIONS, steady_load

REQUESTS = 40
RESPAWN_S = 1.0
ORPHAN_S = 5.0


def send(client: Client, request_id: str) -> Answer:
    return client.ask("POST", "/echo/v1/echo", {"id": request_id})


def kill_one_worker(gateway: RunningGateway) -> float:
    """Kill a worker and wait for another one; returns how long it took, in seconds."""
    before = gateway.worker_pids()
    assert len(before) == 2
    killed_s = time.monotonic()
    os.kill(before[0], signal.SIGKILL)
    eventually(lambda: len(set(gateway.worker_pids()) - set(before)) == 1, "a new worker")
    taken_s = time.monotonic() - killed_s
    eventually(lambda: len(gateway.worker_pids()) == 2, "two workers")
    return taken_s


def test_a_killed_worker_is_replaced_within_a_second(grpcio_backend: Backend) -> None:
    """D6, P3."""

    def kill() -> float:
        with start_gateway(serving(grpcio_backend.endpoint), "--workers", "2") as gateway:
            return kill_one_worker(gateway)

    assert quickest_s(kill, enough_s=RESPAWN_S) <= RESPAWN_S


def test_counts_of_a_killed_worker_are_kept(grpcio_backend: Backend) -> None:
    """D6, P3: nothing that was counted is forgotten."""
    with start_gateway(serving_patiently(grpcio_backend.endpoint), "--workers", "2") as gateway:
        eventually(lambda: gateway.metric("api_gateway_workers") == 2, "both workers serve")
        for _ in range(REQUESTS):
            assert gateway.get("/api/items/7").status == 200
        labels = {"route": "/api/items/:id", "status": "200"}
        eventually(lambda: gateway.metric("api_gateway_requests_total", labels) == REQUESTS, "all are counted")
        kill_one_worker(gateway)
        eventually(lambda: gateway.metric("api_gateway_workers") == 2, "the new worker serves")
        assert gateway.metric("api_gateway_requests_total", labels) == REQUESTS
        # The new worker had asked for its routes before it took its first connection.
        assert {gateway.get("/api/items/7").status for _ in range(REQUESTS)} == {200}
        eventually(lambda: gateway.metric("api_gateway_requests_total", labels) == 2 * REQUESTS, "all are counted")


def test_a_killed_worker_takes_only_its_own_requests_along(grpcio_backend: Backend) -> None:
    """D6: under load, at most what was in flight on its connections is lost; nothing is answered wrongly."""
    with start_gateway(serving_patiently(grpcio_backend.endpoint), "--workers", "2") as gateway:
        eventually(lambda: gateway.metric("api_gateway_workers") == 2, "both workers serve")
        with steady_load(gateway.port, send, stops_when_refused=False) as load:
            load.wait_for(60)
            kill_one_worker(gateway)
            load.wait_for(60)
            outcome = load.stop()
        assert outcome.others == []
        assert len(outcome.lost) + len(outcome.turned_away) <= CONNECTIONS
        assert outcome.refused == 0


def test_the_limit_is_exact_after_a_worker_was_killed(grpcio_backend: Backend) -> None:
    """P3: what the dead worker had counted stays counted."""
    limit = {"enabled": True, "requests_per_minute": 1, "window_seconds": 3600}
    config = serving_patiently(grpcio_backend.endpoint, rate_limit=limit)
    with start_gateway(config, "--workers", "2") as gateway:
        answers = [gateway.get("/api/items/7") for _ in range(30)]
        kill_one_worker(gateway)
        answers += [gateway.get("/api/items/7") for _ in range(60)]
    assert [answer.status for answer in answers].count(200) == 60


def test_workers_do_not_outlive_their_arbiter(grpcio_backend: Backend) -> None:
    """D7: kill -9 of the arbiter; the workers end within five seconds, and the port is free."""

    def kill() -> float:
        with start_gateway(serving_patiently(grpcio_backend.endpoint), "--workers", "2") as gateway:
            workers = gateway.worker_pids()
            killed_s = time.monotonic()
            gateway.process.send_signal(signal.SIGKILL)
            eventually(lambda: is_refused(gateway.port), "the port is free")
            eventually(lambda: not any(map(is_alive, workers)), "the workers have ended")
            return time.monotonic() - killed_s

    assert quickest_s(kill, enough_s=ORPHAN_S) <= ORPHAN_S
