"""The connections to one address: their age, and how they are replaced. Backoff and states are in `test_channel.py`."""

from __future__ import annotations

import asyncio

from api_gateway.grpc.connectivity import ChannelOptions, State
from api_gateway.grpc.subchannel import AGE_JITTER
from api_gateway.model.status import Code
from tests.support.answering_peer import AnsweringPeer
from tests.support.channels import channel_to, code_of, finished
from tests.support.scripted_peer import Manners, ScriptedPeer
from tests.support.virtual_time import run_in_virtual_time

AGING = ChannelOptions(max_connection_age_s=100)


def test_an_old_connection_is_replaced_and_no_call_notices() -> None:
    """A new connection first, then the old one drains: what runs on it ends as it would."""

    async def scenario() -> None:
        async with ScriptedPeer() as peer, channel_to(peer.endpoint, AGING) as channel:
            running = channel.unary(timeout_s=10_000)
            first = await peer.accept()
            request = await first.request()
            started_s = channel.loop.time()
            await channel.seen.wait_until(lambda: channel.seen.ready_count == 2)
            assert 100 * (1 - AGE_JITTER) <= channel.loop.time() - started_s <= 100 * (1 + AGE_JITTER) + 0.5
            second = await peer.accept()
            later = channel.unary()
            second.reply((await second.request()).stream_id)
            await finished(later)
            assert not first.is_closed
            first.reply(request.stream_id)
            await finished(running)
            await first.closed()
            assert channel.seen.lost == []
            assert len(channel.seen.replacements) == 1
            assert "it was open for" in channel.seen.replacements[0]
            assert max(channel.seen.connections) == 2

    run_in_virtual_time(scenario())


def test_an_old_connection_stays_while_there_is_no_better_one() -> None:
    """A backend that takes no new connections keeps the old one, which goes on serving, until one succeeds."""

    async def scenario() -> None:
        async with AnsweringPeer() as peer, channel_to(peer.endpoint, AGING) as channel:
            assert (await channel.unary(b"before")).message == b"before"
            peer.stop_listening()
            await channel.seen.failures(4)
            assert channel.channel.state is State.READY
            assert (await channel.unary(b"meanwhile")).message == b"meanwhile"
            await peer.listen()
            await channel.seen.wait_until(lambda: bool(channel.seen.replacements))
            assert (await channel.unary(b"after")).message == b"after"
            await peer.connections[0].closed()

    run_in_virtual_time(scenario())


def test_age_under_load_for_hours() -> None:
    """Many replacements, one after another: every call is answered, executed once, and one connection is left."""

    async def scenario() -> None:
        async with AnsweringPeer() as peer, channel_to(peer.endpoint, AGING) as channel:
            for number in range(50):
                message = b"%d" % number
                assert (await channel.unary(message)).message == message
                await asyncio.sleep(30)
            assert 12 <= len(channel.seen.replacements) <= 17
            assert len(peer.executed) == len(set(peer.executed)) == 50
            assert channel.seen.connections[-1] == 1
            assert channel.seen.lost == []

    run_in_virtual_time(scenario())


def test_no_age_by_default() -> None:
    """Nothing happens by the clock alone unless it is asked for."""

    async def scenario() -> None:
        async with AnsweringPeer() as peer, channel_to(peer.endpoint) as channel:
            assert (await channel.unary(b"before")).message == b"before"
            await asyncio.sleep(100_000)
            assert len(peer.connections) == 1

    run_in_virtual_time(scenario())


def test_a_connection_that_is_lost_while_its_successor_is_opened() -> None:
    """Its call fails once; the successor takes over without a second attempt."""

    async def scenario() -> None:
        async with ScriptedPeer() as peer, channel_to(peer.endpoint, AGING) as channel:
            running = channel.unary(timeout_s=10_000)
            first = await peer.accept()
            await first.request()
            peer.manners = Manners().silent()
            await asyncio.sleep(111)
            second = await peer.accept()
            first.abort()
            assert await code_of(running) == Code.UNAVAILABLE
            second.send(second.opening())
            await channel.seen.wait_until(lambda: channel.seen.ready_count == 2)
            call = channel.unary()
            second.reply((await second.request()).stream_id)
            await finished(call)
            assert len(peer.connections) == 2

    run_in_virtual_time(scenario())
