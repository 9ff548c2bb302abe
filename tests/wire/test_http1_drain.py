"""Draining over real sockets, on both loops: what the kernel had accepted, and who left before he was served."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest

from api_gateway.edge.application import EdgeLimits
from tests.support.http_application import Served, SmallApplication, serving, until
from tests.support.raw_http import RawClient, get

LIMITS = EdgeLimits(linger_s=0.1)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(SmallApplication(), LIMITS) as served:
        yield served


def open_client(served: Served, data: bytes = b"") -> socket.socket:
    """Connect without giving the loop a turn: the connection waits in the kernel's queue."""
    client = socket.create_connection(served.address, timeout=30)
    client.sendall(data)
    return client


def read_all(client: socket.socket) -> bytes:
    received = b""
    while data := client.recv(65_536):
        received += data
    return received


async def test_queue_of_the_kernel_is_served(served: Served) -> None:
    """D1: 50 clients that were connected when the drain began are all answered, and told that it was the last."""
    with ExitStack() as stack:
        clients = [stack.enter_context(open_client(served, get("/sized?10"))) for _ in range(50)]
        assert await served.server.drain(5) is True
        answers = [read_all(client) for client in clients]
    assert all(answer.startswith(b"HTTP/1.1 200 OK\r\n") and b"connection: close" in answer for answer in answers)


async def test_who_was_reset_in_the_queue_does_not_disturb_the_drain(served: Served) -> None:
    with open_client(served, get("/echo")) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with open_client(served, get("/sized?10")) as other:
        assert await served.server.drain(5) is True
        assert read_all(other).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_who_says_nothing_in_the_queue_is_not_waited_for(served: Served) -> None:
    with open_client(served) as client:
        assert await served.server.drain(5) is True
        assert read_all(client) == b""


async def test_queue_above_the_connection_limit_is_turned_away() -> None:
    async with serving(SmallApplication(), EdgeLimits(max_connections=1, linger_s=0.1)) as served:
        with open_client(served, get("/sized?10")) as first, open_client(served, get("/sized?10")) as second:
            assert await served.server.drain(5) is True
            answers = []
            for client in (first, second):
                try:
                    answers.append(read_all(client)[:12])
                except ConnectionResetError:
                    answers.append(b"")
        assert sorted(answers) == [b"", b"HTTP/1.1 200"]


async def test_requests_in_flight_finish_and_none_is_lost(served: Served) -> None:
    """D1: each client asks on a kept connection until it is told to stop; each request that was sent is answered."""
    lost: list[str] = []
    answered = 0

    async def ask_on_and_on() -> None:
        nonlocal answered
        async with RawClient(served.address) as client:
            while True:
                try:
                    answer = await client.ask(get("/echo"))
                except Exception as error:
                    lost.append(repr(error))
                    return
                answered += 1
                if answer.is_last:
                    return

    async with asyncio.TaskGroup() as clients:
        for _ in range(20):
            clients.create_task(ask_on_and_on())
        await until(lambda: answered > 200)
        assert await served.server.drain(5) is True
    assert lost == []
