"""Listeners: accepting, the connection limit, draining; over loopback sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import uvloop

from api_gateway.deadlines import DeadlineWheel
from api_gateway.edge.address_share import AddressShare
from api_gateway.edge.application import EdgeLimits
from api_gateway.edge.server import BACKLOG, Server, listen
from api_gateway.policy.client_address import ClientAddress
from tests.support.http_application import Served, SmallApplication, serving, until
from tests.support.raw_http import RawClient, get, request

LIMITS = EdgeLimits(linger_s=0.1)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(SmallApplication(), LIMITS) as served:
        yield served


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::"])
def test_listen_binds_a_port_of_the_kernels_choice(host: str) -> None:
    try:
        listener = listen(host, 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listener:
        assert listener.getsockname()[1] > 0
        assert listener.getblocking() is False


def test_all_addresses_of_ipv6_are_those_of_ipv4_too() -> None:
    try:
        listener = listen("::", 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listener, socket.create_connection(("127.0.0.1", listener.getsockname()[1]), timeout=30):
        pass


def test_port_in_use_is_an_error_and_leaves_no_socket_open() -> None:
    with listen("127.0.0.1", 0) as listener, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", listener.getsockname()[1])


async def test_kernel_queue_is_as_long_as_asked_for() -> None:
    """The loop listens once more, and would make it 100."""
    loop = asyncio.get_running_loop()
    backlogs = []

    class Watched(socket.socket):
        def listen(self, backlog: int = -1, /) -> None:
            backlogs.append(backlog)
            super().listen(backlog)

        def dup(self) -> Watched:
            return Watched(self.family, self.type, fileno=socket.dup(self.fileno()))

    original = listen("127.0.0.1", 0)
    listener = Watched(original.family, original.type, fileno=original.detach())
    server = Server(SmallApplication(), LIMITS, loop=loop, wheel=DeadlineWheel(loop))
    await server.start([listener])
    await server.drain(0)
    assert backlogs == [BACKLOG]


async def test_connections_are_counted(served: Served) -> None:
    async with RawClient(served.address) as first, RawClient(served.address) as second:
        await first.ask(get())
        await second.ask(get())
        assert served.server.connection_count == 2
    await until(lambda: served.server.connection_count == 0)


async def test_connection_above_the_limit_is_closed_at_once() -> None:
    """F12: the others go on."""
    async with (
        serving(SmallApplication(), EdgeLimits(max_connections=1)) as served,
        RawClient(served.address) as first,
        RawClient(served.address) as second,
    ):
        assert (await first.ask(get())).status == 200
        assert await second.rest() == b""
        assert (await first.ask(get())).status == 200
        first.close()
        await until(lambda: served.server.connection_count == 0)
        async with RawClient(served.address) as third:
            assert (await third.ask(get())).status == 200


async def test_connection_above_the_share_of_its_address_is_closed_at_once() -> None:
    """F10, C17: the per-IP connection cap works; other addresses go on, and a closed connection makes room."""
    share = AddressShare(ClientAddress(()).identify, 2)
    async with (
        serving(SmallApplication(), share=share) as served,
        RawClient(served.address) as first,
        RawClient(served.address) as second,
    ):
        assert (await first.ask(get())).status == (await second.ask(get())).status == 200
        async with RawClient(served.address) as third:
            assert await third.rest() == b""
        async with RawClient(served.address, source="127.0.0.2") as other:
            assert (await other.ask(get())).status == 200
        first.close()
        await until(lambda: served.server.connection_count == 1)
        async with RawClient(served.address) as fourth:
            assert (await fourth.ask(get())).status == 200


async def test_several_listeners_are_served_by_one_server() -> None:
    loop = asyncio.get_running_loop()
    listeners = [listen("127.0.0.1", 0) for _ in range(2)]
    addresses = [listener.getsockname() for listener in listeners]
    server = Server(SmallApplication(), LIMITS, loop=loop, wheel=DeadlineWheel(loop))
    await server.start(listeners)
    for address in addresses:
        async with RawClient(address) as client:
            assert (await client.ask(get())).status == 200
    assert await server.drain(5)


async def test_drain_of_an_idle_server_is_clean(served: Served) -> None:
    assert await served.server.drain(5) is True


async def test_drain_waits_for_what_is_in_flight(served: Served) -> None:
    """C12, D1: busy connections finish with `connection: close`."""
    async with RawClient(served.address) as busy:
        await busy.send(get("/hold"))
        await until(lambda: served.application.held == 1)
        draining = asyncio.get_running_loop().create_task(served.server.drain(5))
        await asyncio.sleep(0)
        assert not draining.done()
        served.application.release()
        answer = await busy.answer()
        assert (answer.status, answer.body, answer.is_last) == (200, b"released", True)
        assert await busy.rest() == b""
        assert await draining is True


async def test_drain_answers_a_request_on_an_idle_connection_once_more(served: Served) -> None:
    async with RawClient(served.address) as client:
        await client.ask(get())
        draining = asyncio.get_running_loop().create_task(served.server.drain(5))
        await until(lambda: served.server.is_draining)
        answer = await client.ask(get())
        assert (answer.status, answer.is_last) == (200, True)
        assert await client.rest() == b""
        client.close()
        assert await draining is True


async def test_drain_closes_idle_connections_after_a_moment(served: Served) -> None:
    async with RawClient(served.address) as client:
        await client.ask(get())
        assert await served.server.drain(5) is True
        assert await client.rest() == b""


async def test_drain_cuts_off_what_does_not_finish(served: Served) -> None:
    async with RawClient(served.address) as client:
        await client.send(get("/hold"))
        await until(lambda: served.application.held == 1)
        assert await served.server.drain(0.05) is False
        assert served.application.cancelled == ["/hold"], "cancelled before the backends' connections are closed"
        assert await client.rest() == b""


async def test_drain_serves_whom_the_kernel_had_accepted() -> None:
    """D1: their connection was established, and their request may be on its way."""
    loop = asyncio.get_running_loop()
    server = Server(SmallApplication(), LIMITS, loop=loop, wheel=DeadlineWheel(loop))
    listener = listen("127.0.0.1", 0)
    address = listener.getsockname()
    await server.start([listener])
    with (
        socket.create_connection(address, timeout=30) as waiting,
        socket.create_connection(address, timeout=30) as other,
    ):
        for client in (waiting, other):
            client.sendall(get())
        # The loop has had no turn since: both are in the kernel's queue.
        assert await server.drain(5) is True
        for client in (waiting, other):
            assert client.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize("turns", range(4))
def test_drain_serves_whom_the_loop_was_about_to_connect(turns: int) -> None:
    """P2: between the accept and `connection_made` nobody but the loop knows of a connection.

    It was forgotten there, found the channels of a drained worker closed, and its request answered with 503.
    """

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        server = Server(SmallApplication(), LIMITS, loop=loop, wheel=DeadlineWheel(loop))
        listener = listen("127.0.0.1", 0)
        address = listener.getsockname()
        await server.start([listener])
        with socket.create_connection(address, timeout=30) as client:
            client.sendall(get())
            for _ in range(turns):
                await asyncio.sleep(0)
            assert await server.drain(5) is True
            client.setblocking(False)
            assert client.recv(12) == b"HTTP/1.1 200", "answered before the drain ended"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())


async def test_who_comes_after_the_drain_began_is_refused(served: Served) -> None:
    """And is not left in a queue that nobody looks at: a successor on the same port may take him."""
    draining = asyncio.get_running_loop().create_task(served.server.drain(5))
    await until(lambda: served.server.is_draining)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(served.address, timeout=30)
    assert await draining is True


async def test_successor_may_listen_on_the_port_while_the_old_server_drains(served: Served) -> None:
    async with RawClient(served.address) as busy:
        await busy.send(get("/hold"))
        await until(lambda: served.application.held == 1)
        draining = asyncio.get_running_loop().create_task(served.server.drain(5))
        await until(lambda: served.server.is_draining)
        with listen(*served.address):
            pass
        served.application.release()
        assert (await busy.answer()).status == 200
        assert await draining is True


async def test_drain_that_is_cancelled_leaves_requests_alone(served: Served) -> None:
    async with RawClient(served.address) as client:
        await client.send(get("/hold"))
        await until(lambda: served.application.held == 1)
        draining = asyncio.get_running_loop().create_task(served.server.drain(5))
        await until(lambda: served.server.is_draining)
        draining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await draining
        served.application.release()
        assert (await client.answer()).status == 200


async def test_drain_waits_for_a_body(served: Served) -> None:
    """D3."""
    async with RawClient(served.address) as client:
        await client.send(request("POST", "/echo", "Content-Length: 4") + b"ab")
        await until(lambda: served.application.targets)
        draining = asyncio.get_running_loop().create_task(served.server.drain(5))
        await until(lambda: served.server.is_draining)
        await client.send(b"cd")
        answer = await client.answer()
        assert (answer.json()["body"], answer.is_last) == ("abcd", True)
        client.close()
        assert await draining is True
