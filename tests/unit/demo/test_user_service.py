"""The example user service, called as any client would."""

from __future__ import annotations

from contextlib import aclosing

import grpc
import grpc.aio
import pytest
from google.protobuf.empty_pb2 import Empty
from google.rpc import error_details_pb2

from api_gateway.demo.gen import user_pb2 as pb
from tests.support.rpc import server_stream, status_of, unary

SERVICE = "api_gateway.demo.UserService"


async def get(users: grpc.aio.Channel, user_id: str) -> pb.User:
    return await unary(users, f"{SERVICE}/GetUser", pb.GetUserRequest(id=user_id), pb.User)


async def create(users: grpc.aio.Channel, **fields: object) -> pb.User:
    request = pb.CreateUserRequest(**{"name": "Katherine Johnson", "email": "kj@example.com", **fields})  # type: ignore[arg-type]  # fields of the table below
    return await unary(users, f"{SERVICE}/CreateUser", request, pb.User)


async def list_page(users: grpc.aio.Channel, **fields: object) -> pb.ListUsersResponse:
    request = pb.ListUsersRequest(**fields)  # type: ignore[arg-type]  # fields of the tables below
    return await unary(users, f"{SERVICE}/ListUsers", request, pb.ListUsersResponse)


async def update(users: grpc.aio.Channel, request: pb.UpdateUserRequest) -> pb.User:
    return await unary(users, f"{SERVICE}/UpdateUser", request, pb.User)


def violations(error: grpc.aio.AioRpcError) -> dict[str, str]:
    bad_request = error_details_pb2.BadRequest()
    assert status_of(error).details[0].Unpack(bad_request)
    return {violation.field: violation.description for violation in bad_request.field_violations}


def reason(error: grpc.aio.AioRpcError) -> str:
    info = error_details_pb2.ErrorInfo()
    assert status_of(error).details[0].Unpack(info)
    return str(info.reason)


async def test_get_returns_a_whole_user(users: grpc.aio.Channel) -> None:
    user = await get(users, "1")
    assert (user.id, user.name, user.email) == ("1", "Ada Lovelace", "ada@example.com")
    assert list(user.roles) == ["admin", "user"]
    assert user.status == pb.USER_STATUS_ACTIVE
    assert user.address.country_code == "GB"
    assert user.created_at.seconds > 1_700_000_000
    assert user.version == 1


async def test_get_of_an_unknown_id_names_it(users: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await get(users, "999")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    info = error_details_pb2.ResourceInfo()
    assert status_of(caught.value).details[0].Unpack(info)
    assert (info.resource_type, info.resource_name) == ("user", "999")


async def test_get_me_follows_the_identity_in_the_metadata(users: grpc.aio.Channel) -> None:
    me = pb.GetUserRequest(id="me")
    user = await unary(users, f"{SERVICE}/GetUser", me, pb.User, metadata=(("x-user-id", "2"),))
    assert user.name == "Alan Turing"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await get(users, "me")
    assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_list_walks_through_all_pages_in_order(users: grpc.aio.Channel) -> None:
    first = await list_page(users, page_size=2)
    assert [user.id for user in first.users] == ["1", "2"]
    assert first.total_size == 3
    last = await list_page(users, page_size=2, page_token=first.next_page_token)
    assert [user.id for user in last.users] == ["3"]
    assert last.next_page_token == ""


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param({"filter": "TURING"}, ["2"], id="part_of_a_name_in_any_case"),
        pytest.param({"filter": "grace@"}, ["3"], id="part_of_an_email"),
        pytest.param({"filter": "nobody"}, [], id="no_match"),
        pytest.param({"status": pb.USER_STATUS_INVITED}, ["3"], id="status"),
        pytest.param({"status": pb.USER_STATUS_INVITED, "filter": "ada"}, [], id="both_must_fit"),
        pytest.param({}, ["1", "2", "3"], id="nothing_asked"),
    ],
)
async def test_list_filters(users: grpc.aio.Channel, fields: dict[str, object], expected: list[str]) -> None:
    page = await list_page(users, **fields)
    assert [user.id for user in page.users] == expected


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        pytest.param({"page_size": -1}, "page_size", id="negative_size"),
        pytest.param({"page_size": 101}, "page_size", id="size_over_the_limit"),
        pytest.param({"page_token": "!"}, "page_token", id="token_is_not_base64"),
        pytest.param({"page_token": "Zm9vOjE"}, "page_token", id="token_of_another_service"),
        pytest.param({"page_token": "YWZ0ZXI6LTE"}, "page_token", id="negative_position"),
    ],
)
async def test_list_refuses(users: grpc.aio.Channel, fields: dict[str, object], field: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await list_page(users, **fields)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert list(violations(caught.value)) == [field]


async def test_create_keeps_the_user_and_asks_for_201(users: grpc.aio.Channel) -> None:
    request = pb.CreateUserRequest(name="Katherine Johnson", email="kj@example.com")
    call = users.unary_unary(f"/{SERVICE}/CreateUser", pb.CreateUserRequest.SerializeToString, pb.User.FromString)(
        request
    )
    metadata = dict(await call.initial_metadata() or ())
    created = await call
    assert metadata["x-http-code"] == "201"
    assert (created.id, list(created.roles), created.status) == ("4", ["user"], pb.USER_STATUS_ACTIVE)
    assert not created.HasField("address")
    assert await get(users, "4") == created


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        pytest.param({"name": " "}, ["name"], id="blank_name"),
        pytest.param({"name": "x" * 101}, ["name"], id="long_name"),
        pytest.param({"email": "nowhere"}, ["email"], id="email_without_at"),
        pytest.param({"email": "a@" + "b" * 253}, ["email"], id="long_email"),
        pytest.param({"name": "", "email": ""}, ["name", "email"], id="all_violations_at_once"),
        pytest.param({"roles": ["user", "Über"]}, ["roles[1]"], id="bad_role_with_its_index"),
        pytest.param({"roles": ["user"] * 21}, ["roles"], id="too_many_roles"),
        pytest.param({"address": pb.Address(country_code="nl")}, ["address.country_code"], id="nested_field"),
    ],
)
async def test_create_lists_every_violation(
    users: grpc.aio.Channel, fields: dict[str, object], wrong: list[str]
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await create(users, **fields)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert list(violations(caught.value)) == wrong


async def test_create_refuses_a_taken_email_in_any_case(users: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await create(users, email="ADA@example.com")
    assert caught.value.code() == grpc.StatusCode.ALREADY_EXISTS
    assert reason(caught.value) == "EMAIL_TAKEN"


async def test_update_changes_what_is_named_and_keeps_the_rest(users: grpc.aio.Channel) -> None:
    before = await get(users, "2")
    after = await update(
        users, pb.UpdateUserRequest(id="2", name="A. M. Turing", status=pb.USER_STATUS_SUSPENDED, expected_version=1)
    )
    assert (after.name, after.status, after.version) == ("A. M. Turing", pb.USER_STATUS_SUSPENDED, 2)
    assert (after.email, after.address, after.created_at) == (before.email, before.address, before.created_at)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        pytest.param(pb.UpdateUserRequest(id="9", name="x"), grpc.StatusCode.NOT_FOUND, id="unknown_user"),
        pytest.param(pb.UpdateUserRequest(id="1", name=""), grpc.StatusCode.INVALID_ARGUMENT, id="name_set_to_nothing"),
        pytest.param(
            pb.UpdateUserRequest(id="1", email="alan@example.com"), grpc.StatusCode.ALREADY_EXISTS, id="email"
        ),
        pytest.param(pb.UpdateUserRequest(id="1", expected_version=7), grpc.StatusCode.ABORTED, id="stale_version"),
        pytest.param(pb.UpdateUserRequest(id="1", status=99), grpc.StatusCode.INVALID_ARGUMENT, id="unknown_status"),  # type: ignore[arg-type]  # a number no enum has is the case
    ],
)
async def test_update_refuses_and_changes_nothing(
    users: grpc.aio.Channel, request_: pb.UpdateUserRequest, code: grpc.StatusCode
) -> None:
    before = await get(users, "1")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await update(users, request_)
    assert caught.value.code() == code
    assert await get(users, "1") == before


async def test_update_may_keep_the_own_email(users: grpc.aio.Channel) -> None:
    assert (await update(users, pb.UpdateUserRequest(id="1", email="Ada@example.com"))).email == "Ada@example.com"


async def test_delete_forgets_the_user(users: grpc.aio.Channel) -> None:
    request = pb.DeleteUserRequest(id="3")
    await unary(users, f"{SERVICE}/DeleteUser", request, Empty)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await unary(users, f"{SERVICE}/DeleteUser", request, Empty)
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_watch_without_follow_sends_all_users_and_ends(users: grpc.aio.Channel) -> None:
    events = server_stream(users, f"{SERVICE}/WatchUsers", pb.WatchUsersRequest(), pb.UserEvent)
    assert [(event.kind, event.user.id) async for event in events] == [
        (pb.UserEvent.EXISTING, "1"),
        (pb.UserEvent.EXISTING, "2"),
        (pb.UserEvent.EXISTING, "3"),
    ]


async def test_watch_with_follow_sends_changes(users: grpc.aio.Channel) -> None:
    seen = []
    events = server_stream(users, f"{SERVICE}/WatchUsers", pb.WatchUsersRequest(follow=True), pb.UserEvent)
    async with aclosing(events):
        async for event in events:
            seen.append((event.kind, event.user.id))
            if len(seen) == 3:
                await create(users)
                await update(users, pb.UpdateUserRequest(id="4", name="K. Johnson"))
                await unary(users, f"{SERVICE}/DeleteUser", pb.DeleteUserRequest(id="4"), Empty)
            if len(seen) == 6:
                break
    assert seen[3:] == [
        (pb.UserEvent.CREATED, "4"),
        (pb.UserEvent.UPDATED, "4"),
        (pb.UserEvent.DELETED, "4"),
    ]
