"""One worker, whole, on loopback: built from settings, started, asked over HTTP, stopped."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from api_gateway.app import Gateway, Shared
from api_gateway.config.settings import ServiceSettings, Settings
from api_gateway.demo.services import DemoServers, serve_demo
from api_gateway.edge.server import listen
from api_gateway.state.local import LocalStoreFile
from api_gateway.telemetry.metrics import prepare_metrics_directory
from tests.unit.telemetry.capture import Capture

PATIENCE_S = 15.0
NOBODY = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    """Undo what a worker does to Python's garbage collector, which the tests share."""
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


@pytest.fixture
async def demo() -> AsyncIterator[DemoServers]:
    servers = await serve_demo()
    yield servers
    await servers.stop(grace_s=0)


class Running:
    """A gateway that serves, and a client of it."""

    def __init__(self, gateway: Gateway, client: httpx.AsyncClient, capture: Capture) -> None:
        self.gateway, self.client, self.capture = gateway, client, capture

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    def events(self) -> list[str]:
        return [line["fields"]["message"] for line in self.capture.lines]


@asynccontextmanager
async def running(directory: Path, services: dict[str, str], **sections: Any) -> AsyncIterator[Running]:
    """Run a gateway in front of endpoints by service key, until the block ends; then nothing of it is left."""
    settings = Settings(
        services={key: ServiceSettings(endpoint=endpoint) for key, endpoint in services.items()}, **sections
    )
    before = asyncio.all_tasks()
    (directory / "state").mkdir()
    prepare_metrics_directory(directory / "metrics")
    state = LocalStoreFile(directory / "state", max_memory_bytes=4 * 1024 * 1024)
    with Capture() as capture:
        shared = Shared(settings=settings, state=state, metrics_directory=directory / "metrics", writer=capture.writer)
        gateway = Gateway(shared)
        listener = listen("127.0.0.1", 0)
        await gateway.start([listener])
        assert await gateway.watcher.wait_for_first_round(PATIENCE_S)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client:
                yield Running(gateway, client, capture)
        finally:
            assert await gateway.stop()
            state.close()
    # The gateway names its tasks; those of the demo's servers, which go on, have no names of their own, or end by
    # themselves once the gateway watches their health no more.
    foreign = ("Task-", "rpc_task", "HandleExceptions[")
    assert [task.get_name() for task in asyncio.all_tasks() - before if not task.get_name().startswith(foreign)] == []


def users(demo: DemoServers) -> dict[str, str]:
    return {"users": f"http://127.0.0.1:{demo.user_port}"}


async def test_what_a_backend_offers_is_served(demo: DemoServers, tmp_path: Path) -> None:
    async with running(tmp_path, users(demo)) as scene:
        answer = await scene.get("/api/users/1")
        assert (answer.status_code, answer.json()["name"]) == (200, "Ada Lovelace")
        assert answer.headers["x-request-id"]
        assert (await scene.get("/api/users/99999")).status_code == 404
        assert {"service discovered", "request completed"} <= set(scene.events())


async def test_operators_see_its_state(demo: DemoServers, tmp_path: Path) -> None:
    async with running(tmp_path, users(demo)) as scene:
        await scene.get("/api/users/1")
        health = (await scene.get("/health")).json()
        assert (health["status"], health["services"]["users"]["circuit_breaker"]) == ("up", "closed")
        assert health["services"]["users"]["routes"] > 4
        assert (await scene.get("/health/live")).status_code == 200
        assert (await scene.get("/health/ready")).json() == {"status": "ready"}
        page = (await scene.get("/metrics")).text
        counted = [line for line in page.splitlines() if line.startswith("api_gateway_requests_total{")]
        assert any('route="/api/users/:id"' in line and line.endswith(" 1.0") for line in counted)


async def test_semantics_44_a_service_that_is_down_leaves_the_others_alone(demo: DemoServers, tmp_path: Path) -> None:
    """Discovery waits for the backend as long as a reading may take; here nobody listens, which is known at once."""
    async with running(tmp_path, {**users(demo), "orders": NOBODY}, discovery={"enabled": True}) as scene:
        assert (await scene.get("/api/users/1")).status_code == 200
        ready = await scene.get("/health/ready")
        assert ready.status_code == 503
        assert list(ready.json()["reasons"]) == ["orders"]
        health = await scene.get("/health")
        assert (health.status_code, health.json()["status"]) == (200, "degraded")


async def test_guards_are_those_of_the_settings(demo: DemoServers, tmp_path: Path) -> None:
    """semantics 32, 33, 36: limit before auth, health exempt, admin for admins only."""
    auth = {"service_endpoint": f"http://127.0.0.1:{demo.auth_port}"}
    limit = {"enabled": True, "requests_per_minute": 3}
    async with running(tmp_path, users(demo), auth=auth, rate_limit=limit) as scene:
        refused = await scene.get("/api/users/1")
        assert (refused.status_code, refused.headers["ratelimit-remaining"]) == (401, "2")
        assert (await scene.client.post("/admin/refresh-routes")).status_code == 401
        assert (await scene.get("/nowhere")).status_code == 404
        assert (await scene.get("/api/users/1")).status_code == 429
        assert (await scene.get("/health/live")).status_code == 200


async def test_refresh_on_demand(demo: DemoServers, tmp_path: Path) -> None:
    async with running(tmp_path, users(demo)) as scene:
        answer = await scene.client.post("/admin/refresh-routes")
        assert answer.json() == {"added": [], "removed": [], "changed": [], "failed": {}}
        forwarded = await scene.client.post("/admin/refresh-routes", headers={"x-forwarded-for": "192.0.2.1"})
        assert forwarded.status_code == 403


async def test_stopped_gateway_answers_nobody(demo: DemoServers, tmp_path: Path) -> None:
    async with running(tmp_path, users(demo)) as scene:
        port = scene.client.base_url.port
        assert port is not None
        gateway = scene.gateway
        assert gateway.is_draining() is False
    assert gateway.is_draining() is True
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", port))
