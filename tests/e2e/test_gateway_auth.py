"""Tokens, roles and identity, with the example backends and one that tells what it received (C3, C17)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import grpc.aio
import jwt
import pytest
from google.protobuf.empty_pb2 import Empty

from tests.support.backends import CONTROL, Backend, start_backend
from tests.support.gateway import RunningGateway, eventually, start_gateway
from tests.support.gen.echo_control_pb2 import SetAuthPolicyRequest
from tests.support.processes import start_python
from tests.support.rpc import unary

SPOOFED = {
    "X-User-Id": "root",
    "x_user_id": "root",
    "x-user-roles": "admin",
    "X-User_Roles": "admin",
    "x-auth-claims": "e30",
    "grpc-metadata-x-user-id": "root",
    "Grpc-Metadata-X-User-Roles": "admin",
}
SECRET = "a shared secret of more than thirty-two bytes"


@pytest.fixture(scope="module")
def demo_ports() -> Iterator[dict[str, Any]]:
    """The example user and auth services."""
    with start_python("api_gateway.demo.server") as process:
        yield process.ready


@pytest.fixture(scope="module")
def guarded_backend() -> Iterator[Backend]:
    """An echo backend that states its own policies."""
    with start_backend("grpcio", "--auth-policy") as backend:
        set_policy(backend, require_auth=True)
        yield backend


def endpoint(port: int) -> str:
    return f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def gateway(demo_ports: dict[str, Any], guarded_backend: Backend) -> Iterator[RunningGateway]:
    """A gateway with an auth section in front of all of them, with two workers."""
    config = {
        "auth": {"service_endpoint": endpoint(demo_ports["auth_port"])},
        "services": {
            "user-service": {"endpoint": endpoint(demo_ports["user_port"])},
            "auth-service": {"endpoint": endpoint(demo_ports["auth_port"])},
            "echo": {"endpoint": guarded_backend.endpoint},
        },
    }
    with start_gateway(config, "--workers", "2") as started:
        yield started


def set_policy(backend: Backend, method: str = "*", **fields: Any) -> None:
    """Tell the backend which policy to state, not to be cached."""
    request = SetAuthPolicyRequest(grpc_method=method, **fields)

    async def call() -> None:
        async with grpc.aio.insecure_channel(backend.address) as channel:
            await unary(channel, f"{CONTROL}/SetAuthPolicy", request, Empty)

    asyncio.run(call())


def log_in(gateway: RunningGateway, name: str) -> dict[str, str]:
    """Return the header of a fresh token; logging in needs none."""
    answer = gateway.ask("POST", "/api/login", {"username": name, "password": f"{name}-demo"})
    assert answer.status == 200
    return {"authorization": f"Bearer {answer.json()['token']}"}


def test_without_a_token_nothing_is_called(gateway: RunningGateway) -> None:
    """semantics 22 and 35."""
    answer = gateway.get("/api/users/1")
    assert (answer.status, answer.error["status"]) == (401, "UNAUTHENTICATED")
    assert answer.reason
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        pytest.param("Bearer not-a-known-token", 401, id="unknown token"),
        pytest.param("Bearer", 401, id="no token"),
        pytest.param("Basic YTpi", 401, id="another scheme"),
    ],
)
def test_a_bad_token_is_refused(gateway: RunningGateway, authorization: str, status: int) -> None:
    answer = gateway.get("/api/users/1", headers={"authorization": authorization})
    assert answer.status == status
    assert "error=" in answer.headers["www-authenticate"]
    assert "not-a-known-token" not in gateway.process.stdout.text()


def test_a_token_lets_its_owner_in(gateway: RunningGateway) -> None:
    """C3: the backend learns who it is: `me` is whoever asks."""
    for name, full_name in (("ada", "Ada Lovelace"), ("alan", "Alan Turing")):
        token = log_in(gateway, name)
        for _ in range(6):
            answer = gateway.get("/api/users/me", headers=token)
            assert (answer.status, answer.json()["name"]) == (200, full_name)


def test_a_role_is_needed_to_delete(gateway: RunningGateway) -> None:
    alan, ada = log_in(gateway, "alan"), log_in(gateway, "ada")
    refused = gateway.ask("DELETE", "/api/users/3", headers=alan)
    assert (refused.status, refused.error["status"]) == (403, "PERMISSION_DENIED")
    assert refused.reason
    assert gateway.get("/api/users/3", headers=ada).status == 200
    assert gateway.ask("DELETE", "/api/users/3", headers=ada).status == 200
    assert gateway.get("/api/users/3", headers=ada).status == 404


def test_identity_comes_from_the_token_alone(gateway: RunningGateway, guarded_backend: Backend) -> None:
    """semantics 28: copies that the client sends never arrive, in no spelling."""
    answer = gateway.get("/api/items/7", headers={**log_in(gateway, "ada"), **SPOOFED})
    assert answer.status == 200
    received = [(entry["key"], entry["text"]) for entry in answer.json()["receivedMetadata"] if "text" in entry]
    identity = {key: value for key, value in received if key.replace("_", "-").startswith(("x-user", "x-auth"))}
    assert identity.pop("x-auth-claims") != "e30"
    assert identity == {"x-user-id": "1", "x-user-roles": "admin,user"}
    assert len([key for key, _ in received if key == "x-user-id"]) == 1


def test_identity_is_stripped_where_nobody_has_to_log_in(gateway: RunningGateway, guarded_backend: Backend) -> None:
    set_policy(guarded_backend, "tests.echo.EchoService/UpdateItem", require_auth=False)
    answer = gateway.ask("PUT", "/api/items/7", {}, headers=SPOOFED)
    assert answer.status == 200
    keys = {entry["key"].replace("_", "-") for entry in answer.json()["receivedMetadata"]}
    assert not keys & {"x-user-id", "x-user-roles", "x-auth-claims"}


def test_an_unknown_policy_never_lets_anybody_in(gateway: RunningGateway, guarded_backend: Backend) -> None:
    """semantics 33: the backend cannot say what it wants, so it is 503, even with a token."""
    set_policy(guarded_backend, "tests.echo.EchoService/CreateItem", failure_code=14)
    token = log_in(gateway, "ada")
    # More often than the breaker would bear it of calls. Semantics 42: these questions are none, and it stays closed.
    for _ in range(8):
        answer = gateway.ask("POST", "/api/items", {}, headers=token)
        assert (answer.status, answer.error["status"]) == (503, "UNAVAILABLE")
        assert answer.reason != "CIRCUIT_OPEN"
        assert int(answer.headers["retry-after"]) >= 1
    assert gateway.get("/health").json()["services"]["echo"]["circuit_breaker"] == "closed"


def test_policies_that_cannot_be_had_do_not_trip_the_breaker(gateway: RunningGateway, guarded_backend: Backend) -> None:
    """semantics 42: far more failed `GetAuthPolicy` calls than the threshold, and other methods are served."""
    set_policy(guarded_backend, "tests.echo.EchoService/CreateItem", failure_code=14)
    set_policy(guarded_backend, "tests.echo.EchoService/UpdateItem", require_auth=False)
    reasons = {gateway.ask("POST", "/api/items", {}).error["details"][0]["reason"] for _ in range(20)}
    assert reasons == {"AUTH_UNAVAILABLE"}
    assert gateway.ask("PUT", "/api/items/7", {}).status == 200
    states = {service["circuit_breaker"] for service in gateway.get("/health").json()["services"].values()}
    assert states == {"closed"}


def test_the_auth_service_is_missed(demo_ports: dict[str, Any]) -> None:
    """semantics 35: nobody can tell whose token it is: 503. What is public stays open."""
    config = {
        "auth": {"service_endpoint": "http://127.0.0.1:9", "timeout_ms": 500},
        "services": {
            "user-service": {"endpoint": endpoint(demo_ports["user_port"])},
            "auth-service": {"endpoint": endpoint(demo_ports["auth_port"])},
        },
    }
    with start_gateway(config) as gateway:
        answer = gateway.get("/api/users/1", headers=log_in(gateway, "ada"))
        assert (answer.status, answer.error["status"]) == (503, "UNAVAILABLE")
        assert int(answer.headers["retry-after"]) >= 1
        line = gateway.wait_for_event("request completed", status=503)
        assert line["reason"] == "AUTH_UNAVAILABLE"
        assert line["detail"].startswith("validator_unavailable: ") and "127.0.0.1:9" in line["detail"]
        labels = {"service": "auth", "method": "auth.AuthService/ValidateToken", "status": "UNAVAILABLE"}
        eventually(lambda: gateway.metric("api_gateway_grpc_calls_total", labels) == 1, "the call is counted")
        assert gateway.get("/api/users/1").status == 401
        assert gateway.wait_for_event("request completed", status=401)["detail"] == "missing_token"


def test_only_admins_refresh_the_routes(gateway: RunningGateway) -> None:
    """Even from the same machine, once there is an auth section."""
    assert gateway.ask("POST", "/admin/refresh-routes").status == 401
    assert gateway.ask("POST", "/admin/refresh-routes", headers=log_in(gateway, "alan")).status == 403
    answer = gateway.ask("POST", "/admin/refresh-routes", headers=log_in(gateway, "ada"))
    assert (answer.status, answer.json()["failed"]) == (200, {})


def test_refusals_are_counted_by_their_reasons(gateway: RunningGateway) -> None:
    gateway.get("/api/users/1")
    gateway.ask("DELETE", "/api/users/1", headers=log_in(gateway, "alan"))
    for reason in ("missing_token", "missing_role"):
        labels = {"reason": reason}
        eventually(lambda: gateway.metric("gateway_auth_failures_total", labels) >= 1, reason)  # noqa: B023 - waits


def test_health_needs_no_token(gateway: RunningGateway) -> None:
    for path in ("/health", "/health/live", "/health/ready", "/metrics"):
        assert gateway.get(path).status == 200


def test_tokens_are_checked_in_the_gateway_itself(guarded_backend: Backend) -> None:
    """semantics 34: `auth.jwt` needs no auth service. Public routes are open."""
    config = {
        "auth": {
            "jwt": {"secret": SECRET, "issuer": "tests"},
            "public_routes": [{"path": "/api/items", "method": "GET"}],
        },
        "services": {"echo": {"endpoint": guarded_backend.endpoint}},
    }
    claims = {"sub": "grace", "roles": ["user"], "iss": "tests", "exp": int(time.time()) + 600}
    with start_gateway(config) as gateway:

        def status(**changes: Any) -> int:
            token = jwt.encode({**claims, **changes}, SECRET, algorithm="HS256")
            return gateway.get("/api/items/7", headers={"authorization": f"Bearer {token}"}).status

        assert status() == 200
        assert status(exp=int(time.time()) - 600) == 401
        assert status(iss="others") == 401
        assert gateway.get("/api/items/7").status == 401
        assert gateway.get("/api/items").status == 200
