"""Which guards there are by the settings, and which of them a request meets first."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from api_gateway.app.guards import Guards
from api_gateway.config.settings import Settings
from api_gateway.deadlines import DeadlineWheel
from api_gateway.demo.services import DemoServers
from api_gateway.model.policy import Policy
from api_gateway.operator.admin import LoopbackOnly
from api_gateway.state.memory import MemoryStore
from api_gateway.telemetry.metrics import Metrics, prepare_metrics_directory
from api_gateway.telemetry.sampling import Sampling
from api_gateway.telemetry.tracing import Tracing
from tests.unit.app.scene import running, users

JWT = {"jwt": {"algorithms": ["RS256"], "jwks_url": "http://127.0.0.1:1/keys", "audience": "api"}}


def guards(directory: Path, **sections: Any) -> Guards:
    prepare_metrics_directory(directory)
    loop = asyncio.get_running_loop()
    return Guards(
        Settings.model_validate({"services": {"users": {"endpoint": "http://127.0.0.1:1"}}, **sections}),
        MemoryStore(window_s=60, max_memory_bytes=1024 * 1024),
        Metrics(directory, version="1"),
        loop=loop,
        wheel=DeadlineWheel(loop),
        tracing=Tracing(Sampling(0.0)),
    )


def kinds(policies: tuple[Policy, ...]) -> list[str]:
    return [type(policy).__name__ for policy in policies]


async def test_without_sections_nothing_is_asked(tmp_path: Path) -> None:
    """semantics 33: `/admin` then answers programs on the same machine only."""
    made = guards(tmp_path)
    assert made.of_unmatched() == ()
    (only,) = made.of_admin()
    assert isinstance(only, LoopbackOnly)
    assert made.unready_reasons() == {}
    made.forget_policies()
    await made.aclose()


async def test_the_limit_comes_before_auth(tmp_path: Path) -> None:
    """semantics 32."""
    made = guards(tmp_path, rate_limit={"enabled": True}, auth=JWT)
    assert len(made.of_unmatched()) == 1
    assert kinds(made.of_admin()) == [*kinds(made.of_unmatched()), "RoleGuard"]
    await made.aclose()


async def test_keys_that_were_never_loaded_make_it_unready(tmp_path: Path) -> None:
    made = guards(tmp_path, auth=JWT)
    assert list(made.unready_reasons()) == ["auth"]
    await made.aclose()


async def test_breakers_begin_closed(tmp_path: Path) -> None:
    made = guards(tmp_path)
    made.show_breakers()
    assert made.breaker_state("users") == "closed"
    await made.aclose()


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
