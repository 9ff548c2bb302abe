"""One worker, whole, on loopback: built from settings, started, asked over HTTP, stopped."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from api_gateway.demo.services import DemoServers
from tests.unit.app.scene import running, users


async def test_what_a_backend_offers_is_served(demo: DemoServers, tmp_path: Path) -> None:
    async with running(tmp_path, users(demo)) as scene:
        answer = await scene.get("/api/users/1")
        assert (answer.status_code, answer.json()["name"]) == (200, "Ada Lovelace")
        assert answer.headers["x-request-id"]
        assert (await scene.get("/api/users/99999")).status_code == 404
        assert {"service discovered", "request completed"} <= set(scene.events())


async def test_what_matches_nothing_waits_for_a_service_that_takes_long(
    demo: DemoServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P2: a worker that replaced another one must not deny routes that the other one knew."""
    monkeypatch.setattr("api_gateway.app.gateway.FIRST_ROUND_S", 0.0)
    async with running(tmp_path, users(demo), waits_for_discovery=False) as scene:
        assert (await scene.get("/api/users/1")).status_code == 200
        assert (await scene.get("/nowhere")).status_code == 404


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
