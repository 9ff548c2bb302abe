"""Which guards there are by the settings, and which of them a request meets first."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import time
from typing import Any

import pytest

from api_gateway.app.guards import Guards
from api_gateway.config.settings import RouteOverride, Settings
from api_gateway.deadlines import DeadlineWheel
from api_gateway.demo.services import DemoServers
from api_gateway.model.errors import GatewayError
from api_gateway.model.policy import Policy
from api_gateway.operator.admin import LoopbackOnly
from api_gateway.policy.auth import MethodGuard
from api_gateway.policy.breaker import _RouteBreaker
from api_gateway.state.memory import MemoryStore
from api_gateway.telemetry.metrics import Metrics, prepare_metrics_directory
from api_gateway.telemetry.sampling import Sampling
from api_gateway.telemetry.tracing import Tracing
from tests.support.auth_upstream import exchange
from tests.support.token_factory import SECRET, claims, hs256, key_set, rsa_key
from tests.unit.app.scene import PATIENCE_S, running, users

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


async def test_keys_are_fetched_from_the_start_on(tmp_path: Path) -> None:
    """J49: nobody has to ask for the first ones."""
    body = key_set(rsa_key())

    async def publish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    async with await asyncio.start_server(publish, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"
        made = guards(tmp_path, auth={"jwt": {"algorithms": ["RS256"], "jwks_url": url, "audience": "api"}})
        made.start()
        async with asyncio.timeout(PATIENCE_S):
            while made.unready_reasons():  # noqa: ASYNC110 - the publisher is a few turns of the loop away
                await asyncio.sleep(0.01)
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
        assert (await scene.get("/nowhere")).status_code == 429
        assert (await scene.client.post("/admin/refresh-routes")).status_code == 429
        for path in ("/health", "/health/live", "/health/ready", "/metrics"):
            exempt = await scene.get(path)
            assert (exempt.status_code, "ratelimit-limit" in exempt.headers) == (200, False)


async def test_clients_behind_a_trusted_proxy_are_told_apart(demo: DemoServers, tmp_path: Path) -> None:
    """semantics 32, 37: the client's address is found first, and the limit counts by it."""
    limit = {"enabled": True, "requests_per_minute": 1}
    proxies = ["127.0.0.0/8"]
    async with running(tmp_path, users(demo), rate_limit=limit, trusted_proxies=proxies) as scene:
        for address, status in (
            ("192.0.2.1", 200),
            ("192.0.2.2", 200),
            ("192.0.2.1", 429),
            ("10.0.0.1, 192.0.2.1", 429),
        ):
            answer = await scene.get("/api/users/1", **{"x-forwarded-for": address})
            assert answer.status_code == status


async def test_admin_is_for_admins(tmp_path: Path) -> None:
    """semantics 33: another role is not enough, whoever signed the token."""
    made = guards(tmp_path, auth={"jwt": {"secret": SECRET}})
    (policy,) = made.of_admin()
    for roles, expected in ((["admin"], None), (["user", "admin"], None), (["user"], 403), ([], 403)):
        token = hs256({"alg": "HS256"}, claims(exp=int(time()) + 600, roles=roles))
        asked = exchange(b"Bearer " + token)
        if expected is None:
            assert policy.admit(asked, 0.0) is None
        else:
            with pytest.raises(GatewayError) as caught:
                policy.admit(asked, 0.0)
            assert caught.value.http == expected
    await made.aclose()


async def test_each_route_meets_its_own_guards_in_their_order(demo: DemoServers, tmp_path: Path) -> None:
    """semantics 30, 32, 36, 40: limit of the route, auth, and last the breaker of its service."""
    services = {"auth": f"http://127.0.0.1:{demo.auth_port}", **users(demo)}
    override = RouteOverride(
        grpc_method="api_gateway.demo.UserService/GetUser", http_path="/one/:id", http_method="GET", timeout_ms=900
    )
    limit = {
        "enabled": True,
        "requests_per_minute": 50,
        "routes": [
            {"path": "/one/:id", "method": "POST", "requests_per_minute": 10},
            {"path": "/one/:id", "method": "GET", "requests_per_minute": 20},
        ],
    }
    async with running(
        tmp_path,
        services,
        auth={"jwt": {"secret": SECRET}, "public_routes": [{"path": "/one/:id"}]},
        rate_limit=limit,
        route_overrides=[override],
        server={"request_timeout_ms": 1_000},
    ) as scene:
        table = scene.gateway._proxy.routes
        found = {route.template: route.policies for _, _, route in table}
        assert kinds(found["/one/:id"]) == ["_RouteLimit", "PublicRoute", "_RouteBreaker"]
        assert kinds(found["/api/users"]) == ["_RouteLimit", "MethodGuard", "_RouteBreaker"]
        breakers = {template: policies[-1] for template, policies in found.items()}
        assert isinstance(breakers["/one/:id"], _RouteBreaker) and isinstance(breakers["/api/users"], _RouteBreaker)
        assert isinstance(breakers["/api/login"], _RouteBreaker)
        (guard,) = [policy for policy in found["/api/users"] if isinstance(policy, MethodGuard)]
        assert guard._policy.key[0] == "users"
        assert breakers["/one/:id"]._breaker is breakers["/api/users"]._breaker
        assert breakers["/one/:id"]._breaker is not breakers["/api/login"]._breaker
        assert (breakers["/one/:id"]._fair_s, breakers["/api/users"]._fair_s) == (0.45, 0.5)
        answer = await scene.get("/one/1")
        assert (answer.status_code, answer.headers["ratelimit-limit"]) == (200, "20")
        assert (await scene.get("/api/users")).headers["ratelimit-limit"] == "50"


async def test_a_refresh_asks_for_policies_again(demo: DemoServers, tmp_path: Path) -> None:
    """semantics 33: operators need not wait for the end of a policy's lifetime."""
    auth = {"jwt": {"secret": SECRET}}
    async with running(tmp_path, users(demo), auth=auth) as scene:
        assert (await scene.get("/api/users/1")).status_code == 401
        (policy,) = [
            guard._policy
            for _, _, route in scene.gateway._proxy.routes
            for guard in route.policies
            if isinstance(guard, MethodGuard) and (route.verb, route.template) == ("GET", "/api/users/:id")
        ]
        assert policy.decided_until_s > 0
        token = hs256({"alg": "HS256"}, claims(exp=int(time()) + 600, roles=["admin"]))
        headers = {"authorization": f"Bearer {token.decode()}"}
        assert (await scene.client.post("/admin/refresh-routes", headers=headers)).status_code == 200
        assert policy.decided_until_s < 0


async def test_looked_up_tokens_are_counted(demo: DemoServers, tmp_path: Path) -> None:
    """semantics 34: found and not found are two series."""
    async with running(tmp_path, users(demo), auth={"jwt": {"secret": SECRET}}) as scene:
        token = hs256({"alg": "HS256"}, claims(exp=int(time()) + 600)).decode()
        for _ in range(3):
            assert (await scene.get("/api/users/1", authorization=f"Bearer {token}")).status_code == 200
        page = (await scene.get("/metrics")).text
        assert 'api_gateway_auth_cache_lookups_total{result="hit"} 2.0' in page
        assert 'api_gateway_auth_cache_lookups_total{result="miss"} 1.0' in page
