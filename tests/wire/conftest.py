"""Wire tests run on the event loop that the gateway runs on; those of the edge on asyncio's own too."""

from __future__ import annotations

from asyncio import AbstractEventLoop, new_event_loop
from collections.abc import AsyncIterator, Callable, Mapping
from typing import NamedTuple

import pytest
import uvloop

from tests.support.channels import TestedChannel, channel_to
from tests.support.scripted_peer import PeerConnection, ScriptedPeer
from tests.support.virtual_time import VirtualTimeLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """Use uvloop. Its transports differ from asyncio's in when they write, pause and report the end.

    Tests of when something happens run on a clock that jumps instead, which no busy machine makes late.
    """
    if item.path.name == "test_http1_time.py":
        return {"virtual time": VirtualTimeLoop}
    if item.path.name.startswith("test_http1_"):
        return {"uvloop": uvloop.new_event_loop, "asyncio": new_event_loop}
    return {"uvloop": uvloop.new_event_loop}


class Link(NamedTuple):
    """A channel that is connected to a peer."""

    channel: TestedChannel
    peer: PeerConnection
    listener: ScriptedPeer


@pytest.fixture
async def listener() -> AsyncIterator[ScriptedPeer]:
    """A polite peer that listens."""
    async with ScriptedPeer() as peer:
        yield peer


@pytest.fixture
async def link(listener: ScriptedPeer) -> AsyncIterator[Link]:
    """A channel connected to a polite peer."""
    async with channel_to(listener.endpoint) as channel:
        channel.channel.connect()
        yield Link(channel, await listener.accept(), listener)
