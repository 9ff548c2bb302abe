"""Sockets that nobody reads, and what the kernel says of their other end (semantics 26)."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable

import pytest

from api_gateway.edge.hang_ups import HangUps
from tests.support.http_application import until

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
async def hang_ups() -> AsyncIterator[HangUps]:
    watching = HangUps(asyncio.get_running_loop())
    yield watching
    watching.close()


@pytest.fixture
def pair() -> Pair:
    """Two ends of a TCP connection, the first being the one that is watched."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        return listener.accept()[0], client


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.parametrize(
    "leave",
    [
        pytest.param(socket.socket.close, id="close"),
        pytest.param(lambda client: client.shutdown(socket.SHUT_WR), id="close_half"),
        pytest.param(reset, id="reset"),
    ],
)
async def test_semantics_26_end_is_told_once_though_bytes_before_it_are_unread(
    hang_ups: HangUps, pair: Pair, leave: Callable[[socket.socket], None]
) -> None:
    served, client = pair
    told: list[str] = []
    client.sendall(b"unread")
    hang_ups.watch(served.fileno(), lambda: told.append("gone"))
    await asyncio.sleep(0)
    assert not told
    leave(client)
    await until(lambda: told)
    for _ in range(3):
        await asyncio.sleep(0)
    assert told == ["gone"]
    served.close()
    client.close()


async def test_end_before_the_watch_is_told_too(hang_ups: HangUps, pair: Pair) -> None:
    served, client = pair
    told: list[str] = []
    client.close()
    hang_ups.watch(served.fileno(), lambda: told.append("gone"))
    await until(lambda: told)
    served.close()


async def test_what_is_forgotten_is_not_told(hang_ups: HangUps, pair: Pair) -> None:
    served, client = pair
    told: list[str] = []

    def on_gone() -> None:
        told.append("gone")

    hang_ups.watch(served.fileno(), on_gone)
    hang_ups.forget(served.fileno(), on_gone)
    hang_ups.forget(served.fileno(), on_gone)
    client.close()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not told
    served.close()


async def test_number_of_a_closed_socket_may_be_anothers(hang_ups: HangUps, pair: Pair) -> None:
    """The one that was closed is forgotten later than the other is watched."""
    served, client = pair
    told: list[str] = []
    number = served.fileno()

    def first() -> None:
        told.append("first")

    hang_ups.watch(number, first)
    served.close()
    ours, theirs = socket.socketpair()
    if ours.fileno() != number:  # a lower one was free
        os.dup2(ours.detach(), number)
    else:
        ours.detach()
    hang_ups.watch(number, lambda: told.append("second"))
    hang_ups.forget(number, first)
    theirs.close()
    await until(lambda: told)
    assert told == ["second"]
    os.close(number)
    client.close()
