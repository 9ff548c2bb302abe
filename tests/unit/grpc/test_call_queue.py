"""The waiting room of a channel. What goes through it is in `test_channel.py` and `tests/wire`."""

from __future__ import annotations

from api_gateway.grpc.call_queue import CallQueue
from api_gateway.grpc.connectivity import ChannelOptions
from api_gateway.model.errors import unavailable
from api_gateway.model.status import Code
from tests.support.channels import TestedChannel, channel_to, code_of, finished
from tests.support.h2_frames import Setting
from tests.support.scripted_peer import Manners, ScriptedPeer


async def test_calls_start_in_order_where_a_stream_is_freed() -> None:
    """G49: one stream at a time; whoever came first goes first, whatever comes later."""
    manners = Manners(settings={Setting.MAX_CONCURRENT_STREAMS: 1})
    async with ScriptedPeer(manners) as peer, channel_to(peer.endpoint, ChannelOptions(pool_size=1)) as channel:
        calls = [channel.unary(b"%d" % number) for number in range(5)]
        connection = await peer.accept()
        bodies = []
        for number in range(5):
            request = await connection.request()
            bodies.append(request.body[5:])
            if number == 2:
                calls.append(channel.unary(b"late"))
            connection.reply(request.stream_id)
        request = await connection.request()
        connection.reply(request.stream_id)
        for call in calls:
            await finished(call)
        assert [*bodies, request.body[5:]] == [b"0", b"1", b"2", b"3", b"4", b"late"]


async def waiting_room(channel: TestedChannel) -> CallQueue:
    """Return the queue of a channel whose peer is silent."""
    return channel.channel._queue


async def test_failing_spares_the_patient() -> None:
    """G58: calls that wait until there is a connection wait on, unless the channel closes."""
    async with ScriptedPeer(Manners().silent()) as peer, channel_to(peer.endpoint) as channel:
        hasty, patient = channel.unary(), channel.unary(waits_for_ready=True)
        await peer.accept()
        queue = await waiting_room(channel)
        queue.fail(lambda: unavailable("gone", "GONE"))
        assert await code_of(hasty) == Code.UNAVAILABLE
        assert list(queue.calls) == [patient]
        queue.fail(lambda: unavailable("gone", "GONE"), patient_too=True)
        assert await code_of(patient) == Code.UNAVAILABLE
        assert not queue.calls


async def test_leaving_the_queue() -> None:
    """A call that is cancelled or refused is not in it any more; leaving twice does nothing."""
    async with ScriptedPeer(Manners().silent()) as peer, channel_to(peer.endpoint) as channel:
        cancelled, refused = channel.unary(), channel.unary()
        await peer.accept()
        queue = await waiting_room(channel)
        cancelled.cancel()
        queue.discard(cancelled)
        refused.abandon(unavailable("gone", "GONE"))
        assert await code_of(refused) == Code.UNAVAILABLE
        assert not queue.calls


async def test_each_wait_is_told_once() -> None:
    """Of calls that were sent and of calls that ended while they waited; not of those that never had to."""
    manners = Manners(settings={Setting.MAX_CONCURRENT_STREAMS: 1})
    async with ScriptedPeer(manners) as peer, channel_to(peer.endpoint, ChannelOptions(pool_size=1)) as channel:
        first, cancelled, second = (channel.unary() for _ in range(3))
        connection = await peer.accept()
        request = await connection.request()
        waits_s = channel.seen.waits_s
        assert len(waits_s) == 1
        cancelled.cancel()
        assert len(waits_s) == 2
        connection.reply(request.stream_id)
        connection.reply((await connection.request()).stream_id)
        for call in (first, second):
            await finished(call)
        at_once = channel.unary()
        connection.reply((await connection.request()).stream_id)
        await finished(at_once)
        assert len(waits_s) == 3
        assert min(waits_s) >= 0
