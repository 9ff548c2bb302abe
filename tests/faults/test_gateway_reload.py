"""New settings and new code in a gateway that goes on serving: SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU (P2, D5)."""

from __future__ import annotations

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.support.backends import Backend
from tests.support.gateway import (
    Answer,
    Client,
    RunningGateway,
    eventually,
    is_refused,
    serving_patiently,
    start_gateway,
)
from tests.support.gen.echo_control_pb2 import STARTED
from tests.support.steady_load import steady_load

RELOADS = 3
CALLS = 12
"""So many that each of two workers has some."""


def send(client: Client, request_id: str) -> Answer:
    return client.ask("POST", "/echo/v1/echo", {"id": request_id, "behaviour": {"sleepMs": 5}})


def with_route(backend: Backend, path: str, **sections: Any) -> dict[str, Any]:
    """Return a configuration that serves `Probe`, which has no route of its own, at a path."""
    override = {"grpc_method": "tests.echo.EchoService/Probe", "http_path": path, "http_method": "GET"}
    return serving_patiently(backend.endpoint, route_overrides=[override], **sections)


def reload(gateway: RunningGateway) -> None:
    """Send SIGHUP and wait until only new workers are left."""
    before = set(gateway.worker_pids())
    gateway.process.send_signal(signal.SIGHUP)
    eventually(lambda: gateway.worker_pids() and not before & set(gateway.worker_pids()), "new workers only")


def test_reloads_under_load_lose_nothing(grpcio_backend: Backend) -> None:
    """D5: requests go on at 200 a second while all workers are replaced, again and again."""
    with start_gateway(with_route(grpcio_backend, "/v0"), "--workers", "2") as gateway:
        with steady_load(gateway.port, send, stops_when_refused=False) as load:
            load.wait_for(40)
            for number in range(1, RELOADS + 1):
                gateway.write_config(with_route(grpcio_backend, f"/v{number}"))
                reload(gateway)
                load.wait_for(40)
                assert gateway.get(f"/v{number}").status == 200
                assert gateway.get(f"/v{number - 1}").status == 404
            outcome = load.stop()
        outcome.assert_all_served(gateway)
        assert len(gateway.log("configuration reloaded")) == RELOADS


def test_a_wrong_configuration_keeps_the_workers(grpcio_backend: Backend) -> None:
    """D5: the mistake is in the log with its place, and everything stays as it was."""
    with start_gateway(with_route(grpcio_backend, "/old"), "--workers", "2") as gateway:
        before = gateway.worker_pids()
        gateway.write_config({**with_route(grpcio_backend, "/new"), "srever": {"port": 1}})
        gateway.process.send_signal(signal.SIGHUP)
        event = gateway.wait_for_event("configuration not reloaded")
        assert "srever" in event["problem"]
        assert "server" in event["problem"]
        assert gateway.get("/old").status == 200
        assert gateway.get("/new").status == 404
        assert gateway.worker_pids() == before
        gateway.write_config(with_route(grpcio_backend, "/new"))
        reload(gateway)
        assert gateway.get("/new").status == 200


def test_a_reload_takes_the_new_number_of_workers(grpcio_backend: Backend) -> None:
    config = serving_patiently(grpcio_backend.endpoint, server={"workers": 2})
    with start_gateway(config) as gateway:
        gateway.write_config(serving_patiently(grpcio_backend.endpoint, server={"workers": 3, "host": "127.0.0.2"}))
        reload(gateway)
        eventually(lambda: len(gateway.worker_pids()) == 3, "three workers")
        assert gateway.wait_for_event("a changed setting needs a restart")["setting"] == "server.host"
        assert gateway.get("/api/items/7").status == 200


def test_a_shutdown_does_not_wait_for_a_reload(grpcio_backend: Backend) -> None:
    """An old worker that still drains must not keep SIGTERM from being heard."""
    with (
        start_gateway(serving_patiently(grpcio_backend.endpoint), "--workers", "2") as gateway,
        Client(gateway.port) as client,
    ):
        assert client.ask("GET", "/health/live").status == 200
        gateway.process.send_signal(signal.SIGHUP)
        gateway.wait_for_event("configuration reloaded")
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait() == 0


def test_workers_come_and_go_on_request(grpcio_backend: Backend) -> None:
    """TTIN and TTOU, under load."""
    with start_gateway(serving_patiently(grpcio_backend.endpoint), "--workers", "2") as gateway:
        with steady_load(gateway.port, send, stops_when_refused=False) as load:
            for number, count in ((signal.SIGTTIN, 3), (signal.SIGTTOU, 2), (signal.SIGTTOU, 1)):
                gateway.process.send_signal(number)
                eventually(lambda: len(gateway.worker_pids()) == count, f"{count} workers")  # noqa: B023 - waits here
                load.wait_for(20)
            outcome = load.stop()
        outcome.assert_all_served(gateway)


def test_a_worker_that_is_sent_away_drains_however_often_it_is_told_to(grpcio_backend: Backend) -> None:
    """The arbiter repeats SIGTERM every second while there are too many workers: that is no impatience."""
    with start_gateway(serving_patiently(grpcio_backend.endpoint), "--workers", "2") as gateway:
        eventually(lambda: gateway.metric("api_gateway_workers") == 2, "both workers serve")

        def ask(number: int) -> int:
            body = {"id": f"leaving-{number}", "behaviour": {"sleepMs": 2500}}
            return gateway.ask("POST", "/echo/v1/echo", body).status

        with ThreadPoolExecutor(CALLS) as pool:
            answers = [pool.submit(ask, number) for number in range(CALLS)]
            for number in range(CALLS):
                asyncio.run(grpcio_backend.journal(f"leaving-{number}", wait_for=STARTED))
            gateway.process.send_signal(signal.SIGTTOU)
            assert {answer.result() for answer in answers} == {200}
        eventually(lambda: len(gateway.worker_pids()) == 1, "one worker")


def test_a_new_version_takes_over_without_a_gap(grpcio_backend: Backend) -> None:
    """P2: SIGUSR2 starts a successor on the same listeners; the old one then drains, and nobody is refused."""
    with start_gateway(serving_patiently(grpcio_backend.endpoint, admin={"port": 0}), "--workers", "2") as gateway:
        with steady_load(gateway.port, send, stops_when_refused=False) as load:
            load.wait_for(40)
            gateway.process.send_signal(signal.SIGUSR2)
            eventually(lambda: len(gateway.log("listening")) == 2, "the successor listens")
            load.wait_for(40)
            gateway.process.send_signal(signal.SIGTERM)
            eventually(lambda: gateway.process.exit_code is not None, "the old one is gone")
            assert gateway.process.exit_code == 0
            load.wait_for(40)
            outcome = load.stop()
        outcome.assert_all_served(gateway)
        ports = {(event["fields"]["port"], event["fields"]["admin_port"]) for event in gateway.log("listening")}
        assert ports == {(gateway.port, gateway.admin_port)}
        os.kill(successor(gateway), signal.SIGTERM)
        eventually(lambda: is_refused(gateway.port), "the successor has stopped")


def successor(gateway: RunningGateway) -> int:
    """Return the process id of the second arbiter: gunicorn says `Listening at: <address> (<pid>)`."""
    messages = [line["fields"]["message"] for line in gateway.log()]
    pids = [int(text.rpartition("(")[2].rstrip(")")) for text in messages if text.startswith("Listening at: ")]
    assert pids[0] == gateway.process.pid
    return pids[1]


def test_one_process_alone_survives_signals_it_cannot_obey(grpcio_backend: Backend) -> None:
    with start_gateway(serving_patiently(grpcio_backend.endpoint)) as gateway:
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            gateway.process.send_signal(number)
        for name in ("SIGHUP", "SIGUSR2"):
            gateway.wait_for_event(
                "signal ignored: it needs worker processes (--workers 2 or more), else restart", signal=name
            )
        assert gateway.get("/api/items/7").status == 200
