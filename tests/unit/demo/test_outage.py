"""An outage on request: the user service fails, everything else goes on, and it ends by itself."""

from __future__ import annotations

import grpc
import grpc.aio
import pytest

from api_gateway.demo.gen import auth_pb2, outage_pb2, user_pb2
from api_gateway.demo.outage import Outage
from tests.support.rpc import status_of, unary

BEGIN = "api_gateway.demo.OutageService/BeginOutage"


async def begin(auth: grpc.aio.Channel, seconds: int) -> outage_pb2.BeginOutageResponse:
    return await unary(auth, BEGIN, outage_pb2.BeginOutageRequest(seconds=seconds), outage_pb2.BeginOutageResponse)


def test_an_outage_ends_when_its_time_is_over() -> None:
    now_s = [100.0]
    outage = Outage(lambda: now_s[0])
    seen = [outage.is_on]
    outage.begin(5)
    for now_s[0] in (100.0, 104.9, 105.0):
        seen.append(outage.is_on)
    assert seen == [False, True, True, False]


async def test_the_user_service_fails_and_no_other(auth: grpc.aio.Channel, users: grpc.aio.Channel) -> None:
    answer = await begin(auth, 60)
    assert (answer.service, answer.seconds) == ("api_gateway.demo.UserService", 60)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await unary(users, f"{answer.service}/GetUser", user_pb2.GetUserRequest(id="1"), user_pb2.User)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert status_of(caught.value).code == grpc.StatusCode.UNAVAILABLE.value[0]
    watch = users.unary_stream(
        f"/{answer.service}/WatchUsers",
        request_serializer=user_pb2.WatchUsersRequest.SerializeToString,
        response_deserializer=user_pb2.UserEvent.FromString,
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        [event async for event in watch(user_pb2.WatchUsersRequest())]
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    request = auth_pb2.ValidateTokenRequest(token="x")
    assert not (await unary(auth, "auth.AuthService/ValidateToken", request, auth_pb2.ValidateTokenResponse)).valid


@pytest.mark.parametrize("seconds", [-1, 0, 61])
async def test_only_short_ones_can_be_had(auth: grpc.aio.Channel, seconds: int) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await begin(auth, seconds)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
