"""The pool: how connections are opened, picked, replaced and given up (G35, G39, G57, G63; issue 3)."""

from __future__ import annotations

import pytest

from api_gateway.grpc.channel import GROW_AT_STREAMS
from api_gateway.grpc.connectivity import ChannelOptions, State
from api_gateway.grpc.unary_call import UnaryCall
from api_gateway.model.status import Code
from tests.support.channels import channel_to, code_of, finished
from tests.support.h2_frames import Error, Setting, goaway, rst_stream
from tests.support.scripted_peer import Manners, PeerConnection, ScriptedPeer
from tests.wire.conftest import Link


async def answer_all(peer: PeerConnection) -> None:
    """Answer every request that is open."""
    for stream_id, request in peer.requests.items():
        if request.has_ended and request.reset_code is None:
            peer.reply(stream_id)
    peer.requests.clear()


async def test_one_connection_serves_many_calls(link: Link) -> None:
    """No connection more than needed."""
    for _ in range(50):
        call = link.channel.unary()
        link.peer.reply((await link.peer.request()).stream_id)
        await finished(call)
    assert (len(link.listener.connections), link.channel.seen.connections) == (1, [1])


async def test_calls_at_once_share_one_attempt(listener: ScriptedPeer) -> None:
    """G57: a hundred calls do not open a hundred connections."""
    async with channel_to(listener.endpoint) as channel:
        calls = [channel.unary() for _ in range(30)]
        peer = await listener.accept()
        await peer.requests_seen(30)
        await answer_all(peer)
        for call in calls:
            await finished(call)
        assert len(listener.connections) == 1


async def test_the_pool_grows_one_by_one_while_calls_wait(listener: ScriptedPeer) -> None:
    """G49: where the peer allows one stream a connection, waiting calls open connections up to the pool's size."""
    listener.manners = Manners(settings={Setting.MAX_CONCURRENT_STREAMS: 1})
    async with channel_to(listener.endpoint, ChannelOptions(pool_size=3)) as channel:
        calls = [channel.unary() for _ in range(5)]
        peers = [await listener.accept() for _ in range(3)]
        for peer in peers:
            await peer.request()
        await channel.seen.wait_until(lambda: channel.seen.connections == [1, 2, 3])
        assert channel.channel.queued_calls == 2
        for peer in peers:
            await answer_all(peer)
        # The two that waited go where there is room first.
        await peers[0].wait_until(lambda: channel.channel.queued_calls == 0 and any(peer.requests for peer in peers))
        while not all(call.done() for call in calls):
            for peer in peers:
                await peer.in_step()
                await answer_all(peer)
        for call in calls:
            await finished(call)
        assert len(listener.connections) == 3


async def test_the_pool_grows_when_a_connection_is_busy(link: Link) -> None:
    """A second connection is opened before the first is full; calls are spread over both."""
    calls = [link.channel.unary() for _ in range(GROW_AT_STREAMS + 1)]
    other = await link.listener.accept()
    await link.peer.requests_seen(GROW_AT_STREAMS + 1)
    await other.in_step()
    assert link.channel.seen.ready_count == 2
    later = [link.channel.unary() for _ in range(20)]
    # The less busy one of the two is picked until they are even.
    await other.requests_seen(20)
    for peer in (link.peer, other):
        await answer_all(peer)
    for call in [*calls, *later]:
        await finished(call)


async def test_a_lost_connection_of_two_costs_its_own_calls_only(listener: ScriptedPeer) -> None:
    """G39: the calls of the other one go on, and new ones go there."""
    listener.manners = Manners(settings={Setting.MAX_CONCURRENT_STREAMS: 1})
    async with channel_to(listener.endpoint, ChannelOptions(pool_size=2)) as channel:
        calls = [channel.unary(), channel.unary()]
        first, second = await listener.accept(), await listener.accept()
        ids = [(await peer.request()).stream_id for peer in (first, second)]
        first.abort()
        assert await code_of(calls[0]) == Code.UNAVAILABLE
        assert channel.channel.state is State.READY
        second.reply(ids[1])
        await finished(calls[1])
        third = channel.unary()
        second.reply((await second.request()).stream_id)
        await finished(third)


async def test_a_call_above_goaway_goes_to_another_connection_of_the_pool(listener: ScriptedPeer) -> None:
    """G35, G63: one that is open already; no new one is needed."""
    listener.manners = Manners(settings={Setting.MAX_CONCURRENT_STREAMS: 2})
    async with channel_to(listener.endpoint, ChannelOptions(pool_size=2)) as channel:
        calls: list[UnaryCall] = [channel.unary() for _ in range(3)]
        first = await listener.accept()
        second = await listener.accept()
        ids = [(await first.request()).stream_id for _ in range(2)]
        kept = (await second.request()).stream_id
        first.send(goaway(ids[0]))
        moved = await second.request()
        first.reply(ids[0])
        second.reply(kept)
        second.reply(moved.stream_id)
        for call in calls:
            await finished(call)
        assert len(listener.connections) == 2
        await first.closed()


async def test_refusals_do_not_open_connections(link: Link) -> None:
    """A backend that is busy is not called by more connections."""
    for _ in range(5):
        call = link.channel.unary()
        for _ in range(2):
            link.peer.send(rst_stream((await link.peer.request()).stream_id, Error.REFUSED_STREAM))
        assert await code_of(call) == Code.UNAVAILABLE
    assert len(link.listener.connections) == 1


@pytest.mark.parametrize("how", ["goaway", "abort"])
async def test_the_next_call_reconnects_at_once(link: Link, how: str) -> None:
    """G38, G56: after a connection that worked there is no backoff."""
    await link.peer.in_step()
    if how == "goaway":
        link.peer.send(goaway(0))
    else:
        link.peer.abort()
    await link.channel.seen.wait_until(lambda: link.channel.seen.connections[-1] == 0)
    assert link.channel.channel.state is State.IDLE
    call = link.channel.unary(timeout_s=5)
    other = await link.listener.accept()
    other.reply((await other.request()).stream_id)
    await finished(call)
    assert link.channel.seen.failed == []


async def test_closing_says_goaway(listener: ScriptedPeer) -> None:
    """The backend hears that we leave, and every socket is closed."""
    async with channel_to(listener.endpoint) as channel:
        channel.channel.connect()
        peer = await listener.accept()
        await peer.in_step()
    await peer.closed()
    assert (await peer.frame(7)).goaway[1] == Error.NO_ERROR


async def test_closing_while_connecting(listener: ScriptedPeer) -> None:
    """The attempt ends with the channel."""
    listener.manners = Manners().silent()
    async with channel_to(listener.endpoint) as channel:
        channel.channel.connect()
        peer = await listener.accept()
    await peer.closed()
    assert channel.seen.failed == []
