"""The operators' own listener, with several workers: what clients cannot reach any more, and operators can (H21)."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.support.backends import Backend
from tests.support.gateway import Client, RunningGateway, eventually, serving, start_gateway

OPERATOR_PATHS = ("/health", "/health/live", "/health/ready", "/metrics", "/admin/refresh-routes")


@pytest.fixture(scope="module")
def gateway(grpcio_backend: Backend) -> Iterator[RunningGateway]:
    """Two workers with an `admin.port`."""
    config = serving(grpcio_backend.endpoint, admin={"port": 0}, server={"drain_timeout_ms": 5_000})
    with start_gateway(config, "--workers", "2") as started:
        started.wait_until_routed("/api/items/1")
        yield started


def test_operators_are_served_there_by_every_worker(gateway: RunningGateway) -> None:
    eventually(lambda: gateway.metric("api_gateway_workers") == 2, "both workers serve")
    assert gateway.wait_for_event("listening")["admin_host"] == "127.0.0.1"
    for _ in range(20):
        with Client(gateway.admin_port) as operators:
            assert operators.ask("GET", "/health").json()["status"] == "up"
            assert operators.ask("GET", "/health/live").status == 200
            eventually(lambda: operators.ask("GET", "/health/ready").status == 200, "ready")
            assert operators.ask("POST", "/admin/refresh-routes").json()["failed"] == {}
            assert operators.ask("GET", "/api/items/1").status == 404


@pytest.mark.parametrize("path", OPERATOR_PATHS)
@pytest.mark.parametrize(
    ("target", "headers"),
    [
        pytest.param("{path}", {}, id="plain"),
        pytest.param("/{path}", {}, id="two slashes"),
        pytest.param("{path}/", {}, id="slash at the end"),
        pytest.param("http://127.0.0.1{path}", {}, id="absolute form"),
        pytest.param("{path}", {"host": "127.0.0.1"}, id="host of loopback"),
        pytest.param("{path}", {"x-forwarded-for": "127.0.0.1"}, id="forwarded for loopback"),
        pytest.param("{path}", {"origin": "http://127.0.0.1"}, id="origin"),
        pytest.param("/api/..{path}", {}, id="up"),
        pytest.param("{path}%2e", {}, id="escape"),
    ],
)
def test_clients_find_nothing_there(gateway: RunningGateway, path: str, target: str, headers: dict[str, str]) -> None:
    """H21: 404, or 400 for what is no proper path, by every method."""
    for method in ("GET", "POST", "HEAD"):
        answer = gateway.ask(method, target.format(path=path), headers=headers)
        assert answer.status in (404, 400), (method, target)
        assert b"api_gateway" not in answer.body


def test_a_page_of_the_web_cannot_refresh(gateway: RunningGateway) -> None:
    """H21: a browser on the gateway's machine, sent by a form or through a rebound name."""
    with Client(gateway.admin_port) as operators:
        for headers in ({"origin": "https://evil.example"}, {"host": "evil.example"}):
            assert operators.ask("POST", "/admin/refresh-routes", headers=headers).status == 403


def test_a_reload_keeps_the_listener(gateway: RunningGateway) -> None:
    """The sockets belong to all workers: another `admin.port` needs a restart, and taking it away does, too."""
    old = set(gateway.worker_pids())
    assert gateway.config is not None
    gateway.write_config(serving(gateway.config.read_text().split('"endpoint": "')[1].split('"')[0]))
    gateway.process.send_signal(signal.SIGHUP)
    assert gateway.wait_for_event("a changed setting needs a restart")["setting"] == "admin.port"
    eventually(lambda: len(now := set(gateway.worker_pids())) == 2 and not now & old, "new workers")
    with Client(gateway.admin_port) as operators:
        assert operators.ask("GET", "/health/live").status == 200
    assert gateway.get("/health/live").status == 404
