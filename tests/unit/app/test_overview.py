"""What operators see of the services of one worker."""

from __future__ import annotations

from pathlib import Path

from api_gateway.demo.services import DemoServers
from tests.unit.app.scene import NOBODY, running, users


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
