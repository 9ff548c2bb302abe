"""What the example services want from their callers."""

from __future__ import annotations

import grpc.aio
import pytest

from api_gateway.demo.gen.policy_pb2 import AuthPolicyRequest, AuthPolicyResponse
from api_gateway.demo.policy_service import AUTH_POLICIES, USER_POLICIES
from api_gateway.demo.user_service import UserService
from tests.support.rpc import unary


async def policy(channel: grpc.aio.Channel, method: str) -> tuple[bool, list[str], int]:
    answer = await unary(
        channel, "gateway.ServiceAuthPolicy/GetAuthPolicy", AuthPolicyRequest(grpc_method=method), AuthPolicyResponse
    )
    return answer.require_auth, list(answer.required_roles), answer.cache_ttl_seconds


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        pytest.param("api_gateway.demo.UserService/GetUser", (True, [], 60), id="reads_need_a_token"),
        pytest.param("api_gateway.demo.UserService/DeleteUser", (True, ["admin"], 60), id="delete_needs_a_role"),
        pytest.param("api_gateway.demo.UserService/Unheard", (True, ["admin"], 60), id="unknown_is_closed"),
    ],
)
async def test_user_service_policy(users: grpc.aio.Channel, method: str, expected: tuple[bool, list[str], int]) -> None:
    assert await policy(users, method) == expected


@pytest.mark.parametrize("method", AUTH_POLICIES)
async def test_login_and_outage_are_public(auth: grpc.aio.Channel, method: str) -> None:
    assert await policy(auth, method) == (False, [], 60)


def test_every_method_of_the_user_service_has_a_policy() -> None:
    descriptor = UserService.descriptor
    assert {f"{descriptor.full_name}/{method.name}" for method in descriptor.methods} == set(USER_POLICIES)
