"""Log in, then ask whose token it is, as a person and as the gateway would."""

from __future__ import annotations

import grpc
import grpc.aio
import pytest

from api_gateway.demo.gen import auth_pb2, session_pb2
from tests.support.rpc import status_of, unary

LOGIN = "api_gateway.demo.SessionService/Login"
VALIDATE = "auth.AuthService/ValidateToken"


async def log_in(auth: grpc.aio.Channel, username: str, password: str) -> session_pb2.LoginResponse:
    request = session_pb2.LoginRequest(username=username, password=password)
    return await unary(auth, LOGIN, request, session_pb2.LoginResponse)


async def validate(auth: grpc.aio.Channel, token: str) -> auth_pb2.ValidateTokenResponse:
    return await unary(auth, VALIDATE, auth_pb2.ValidateTokenRequest(token=token), auth_pb2.ValidateTokenResponse)


async def test_a_token_from_login_is_valid(auth: grpc.aio.Channel) -> None:
    session = await log_in(auth, "ada", "ada-demo")
    assert session.expires_in_seconds == 3600
    answer = await validate(auth, session.token)
    assert (answer.valid, answer.user_id, list(answer.roles), answer.error) == (True, "1", ["admin", "user"], "")


@pytest.mark.parametrize("token", [pytest.param("", id="empty"), pytest.param("nonsense", id="unknown")])
async def test_a_bad_token_is_an_answer_and_no_error(auth: grpc.aio.Channel, token: str) -> None:
    answer = await validate(auth, token)
    assert (answer.valid, answer.user_id, answer.error) == (False, "", "unknown or expired token")


@pytest.mark.parametrize(
    ("username", "password", "code"),
    [
        pytest.param("ada", "wrong", grpc.StatusCode.UNAUTHENTICATED, id="wrong_password"),
        pytest.param("eve", "ada-demo", grpc.StatusCode.UNAUTHENTICATED, id="unknown_name"),
        pytest.param("ada", "", grpc.StatusCode.INVALID_ARGUMENT, id="no_password"),
    ],
)
async def test_login_refuses(auth: grpc.aio.Channel, username: str, password: str, code: grpc.StatusCode) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await log_in(auth, username, password)
    assert caught.value.code() == code
    assert status_of(caught.value).code == code.value[0]
