"""Refusals as they arrive at a client: code, words and details agree."""

from __future__ import annotations

import grpc
import grpc.aio
import pytest

from api_gateway.demo.gen.user_pb2 import CreateUserRequest, User
from tests.support.rpc import status_of, unary


async def test_code_and_message_are_the_same_in_status_and_details(users: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await unary(users, "api_gateway.demo.UserService/CreateUser", CreateUserRequest(), User)
    status = status_of(caught.value)
    assert status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert status.message == caught.value.details()
    assert status.message.startswith("name: must have 1 to 100 characters; email: ")
