"""Holding one client back, and hearing of its end."""

from __future__ import annotations

import asyncio
import socket

from api_gateway.edge.hang_ups import HangUps
from api_gateway.edge.input import Input
from tests.support.http_application import until
from tests.support.http_rig import FakeTransport


async def test_pause_and_resume_are_said_once() -> None:
    transport = FakeTransport()
    client = Input(transport, HangUps(asyncio.get_running_loop()), lambda: None)
    assert (client.resume(), client.is_paused) == (False, False)
    client.pause()
    client.pause()
    assert (transport.is_reading(), client.is_paused) == (False, True)
    assert (client.resume(), client.is_paused) == (True, False)
    assert transport.is_reading()


async def test_semantics_26_end_of_a_client_is_heard_while_it_is_held_back_and_only_then() -> None:
    hang_ups = HangUps(asyncio.get_running_loop())
    transport = FakeTransport()
    served, far = socket.socketpair()
    transport.connected = served
    told: list[str] = []
    client = Input(transport, hang_ups, lambda: told.append("gone"))
    client.pause()
    client.resume()
    far.close()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not told, "the loop reads it"
    client.pause()
    await until(lambda: told)
    client.close()
    hang_ups.close()
    served.close()
