"""Both example servers together: ports, addresses, start and stop."""

from __future__ import annotations

import socket

import grpc
import grpc.aio
import pytest

from api_gateway.demo.gen.user_pb2 import GetUserRequest, User
from api_gateway.demo.services import serve_demo
from tests.support.rpc import unary


def has_ipv6_loopback() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


async def get_ada(address: str) -> str:
    async with grpc.aio.insecure_channel(address) as channel:
        return (await unary(channel, "api_gateway.demo.UserService/GetUser", GetUserRequest(id="1"), User)).name


async def test_the_kernel_chooses_two_ports() -> None:
    servers = await serve_demo()
    assert 0 < servers.user_port != servers.auth_port > 0
    assert await get_ada(f"127.0.0.1:{servers.user_port}") == "Ada Lovelace"
    await servers.stop(grace_s=0)


async def test_nobody_answers_after_stop_and_the_port_is_free_again() -> None:
    servers = await serve_demo()
    await servers.stop(grace_s=0)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await get_ada(f"127.0.0.1:{servers.user_port}")
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    again = await serve_demo(user_port=servers.user_port)
    assert again.user_port == servers.user_port
    await again.stop(grace_s=0)


@pytest.mark.skipif(not has_ipv6_loopback(), reason="this machine has no IPv6")
async def test_an_ipv6_address_is_served() -> None:
    servers = await serve_demo("::1")
    assert await get_ada(f"[::1]:{servers.user_port}") == "Ada Lovelace"
    await servers.stop(grace_s=0)


async def test_a_taken_port_is_an_error_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=rf"cannot listen on 127\.0\.0\.1:{port}"):
            await serve_demo(user_port=port)
