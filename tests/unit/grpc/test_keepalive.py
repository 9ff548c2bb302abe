"""When connections are asked for a sign of life (G40, G51), on a clock that jumps."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from api_gateway.grpc.connectivity import ChannelOptions
from api_gateway.grpc.keepalive import KeepalivePolicy
from api_gateway.grpc.unary_call import UnaryCall
from api_gateway.model.errors import GatewayError
from api_gateway.model.status import Code
from tests.support.channels import TestedChannel, channel_to, finished
from tests.support.h2_frames import ACK, Error, Kind, goaway, ping
from tests.support.scripted_peer import Manners, PeerConnection, ScriptedPeer
from tests.support.virtual_time import run_in_virtual_time

KEEPALIVE = ChannelOptions(keepalive_interval_s=10, keepalive_timeout_s=20)
DEAF = Manners(answers_pings=False)


def pings(connection: PeerConnection) -> int:
    """Return how many PINGs came that were no answers."""
    return sum(frame.kind == Kind.PING and not frame.flags & ACK for frame in connection._frames)


async def connected(channel: TestedChannel, peer: ScriptedPeer) -> PeerConnection:
    channel.channel.connect()
    connection = await peer.accept()
    await channel.seen.wait_until(lambda: channel.seen.ready_count == len(peer.connections))
    return connection


async def end_of(call: UnaryCall) -> int:
    """Return the code of a call's error, without the limit on waiting that real time needs."""
    try:
        assert await call is call
    except GatewayError as error:
        return error.code
    return Code.OK


def test_off_by_default() -> None:
    """G51: and 20 s to answer where only the interval is given."""
    assert (ChannelOptions().keepalive_interval_s, ChannelOptions().keepalive_timeout_s) == (0, 20)
    assert not ChannelOptions().keepalive_without_calls

    async def scenario() -> None:
        async with ScriptedPeer() as peer, channel_to(peer.endpoint) as channel:
            connection = await connected(channel, peer)
            call = channel.unary(timeout_s=10_000)
            await connection.request()
            await asyncio.sleep(5_000)
            assert pings(connection) == 0
            call.cancel()

    run_in_virtual_time(scenario())


def test_a_silent_backend_is_given_up() -> None:
    """G51: asked after the interval, closed after the timeout; its calls are UNAVAILABLE, and the reason is told."""

    async def scenario() -> None:
        async with ScriptedPeer(DEAF) as peer, channel_to(peer.endpoint, KEEPALIVE) as channel:
            connection = await connected(channel, peer)
            call = channel.unary(timeout_s=10_000)
            await connection.request()
            started_s = channel.loop.time()
            assert await end_of(call) == Code.UNAVAILABLE
            assert 29 < channel.loop.time() - started_s < 31
            assert pings(connection) == 1
            assert "no sign of life within 20 s" in channel.seen.lost[0]

    run_in_virtual_time(scenario())


def test_a_backend_that_answers_is_kept() -> None:
    """G51: once an interval, for as long as a call runs."""

    async def scenario() -> None:
        async with ScriptedPeer() as peer, channel_to(peer.endpoint, KEEPALIVE) as channel:
            connection = await connected(channel, peer)
            call = channel.unary(timeout_s=10_000)
            request = await connection.request()
            await asyncio.sleep(301)
            assert 10 <= pings(connection) <= 31
            connection.reply(request.stream_id)
            await finished(call)
            assert channel.seen.lost == []

    run_in_virtual_time(scenario())


def test_the_interval_runs_from_the_last_read() -> None:
    """G51: whoever hears from the backend need not ask; any byte counts, not only answers."""

    async def scenario() -> None:
        async with ScriptedPeer(DEAF) as peer, channel_to(peer.endpoint, KEEPALIVE) as channel:
            connection = await connected(channel, peer)
            call = channel.unary(timeout_s=10_000)
            await connection.request()
            for _ in range(20):
                connection.send(ping(b"any byte"))
                await asyncio.sleep(8)
            assert pings(connection) == 0
            await asyncio.sleep(10)
            assert pings(connection) == 1
            # Not an answer to it, but a sign of life.
            connection.send(ping(b"any byte"))
            await asyncio.sleep(15)
            assert channel.seen.lost == []
            call.cancel()

    run_in_virtual_time(scenario())


@pytest.mark.parametrize("without_calls", [False, True])
def test_without_calls(without_calls: bool) -> None:
    """G51: nobody is asked unless that is wanted."""

    async def scenario() -> None:
        options = ChannelOptions(keepalive_interval_s=10, keepalive_without_calls=without_calls)
        async with ScriptedPeer(DEAF) as peer, channel_to(peer.endpoint, options) as channel:
            connection = await connected(channel, peer)
            await asyncio.sleep(100)
            assert pings(connection) == (1 if without_calls else 0)
            assert len(channel.seen.lost) == (1 if without_calls else 0)

    run_in_virtual_time(scenario())


def test_a_watch_of_health_is_no_call() -> None:
    """G51, G65: a connection with nothing but the watch is not asked; with a call beside it, it is."""

    async def scenario() -> None:
        options = replace(KEEPALIVE, health_service="")
        async with ScriptedPeer(DEAF) as peer, channel_to(peer.endpoint, options) as channel:
            connection = await connected(channel, peer)
            await connection.request()
            await asyncio.sleep(100)
            assert (pings(connection), channel.seen.lost) == (0, [])
            call = channel.unary(timeout_s=10_000)
            await connection.request()
            await asyncio.sleep(11)
            assert pings(connection) == 1
            call.cancel()

    run_in_virtual_time(scenario())


def test_a_lost_connection_is_asked_no_more() -> None:
    """G51: its timer goes with it, not an interval later."""

    async def scenario() -> None:
        async with ScriptedPeer() as peer, channel_to(peer.endpoint, KEEPALIVE) as channel:
            connection = await connected(channel, peer)
            (life,) = next(iter(channel.channel._addresses._subchannels.values()))._lives.values()
            assert life.keepalive is not None
            assert life.keepalive._timer is not None
            connection.abort()
            await channel.seen.wait_until(lambda: bool(channel.seen.lost))
            assert life.keepalive._timer is None

    run_in_virtual_time(scenario())


def test_a_call_after_a_long_silence_is_covered() -> None:
    """G51: a connection that died while nobody used it is noticed within interval and timeout of the call."""

    async def scenario() -> None:
        async with ScriptedPeer(DEAF) as peer, channel_to(peer.endpoint, KEEPALIVE) as channel:
            await connected(channel, peer)
            await asyncio.sleep(203)
            started_s = channel.loop.time()
            assert await end_of(channel.unary(timeout_s=10_000)) == Code.UNAVAILABLE
            assert channel.loop.time() - started_s < 30.5

    run_in_virtual_time(scenario())


def test_too_many_pings_slows_down() -> None:
    """G40: told to operators; the interval doubles for new connections, each time."""

    async def scenario() -> None:
        async with ScriptedPeer() as peer, channel_to(peer.endpoint, KEEPALIVE) as channel:
            for _ in range(2):
                connection = await connected(channel, peer)
                connection.send(goaway(0, Error.ENHANCE_YOUR_CALM, b"too_many_pings"))
                await connection.closed()
            assert ["20 s of silence" in text or "40 s of silence" in text for text in channel.seen.warnings] == [
                True
            ] * 2
            peer.manners = DEAF
            connection = await connected(channel, peer)
            call = channel.unary(timeout_s=10_000)
            await connection.request()
            await asyncio.sleep(38)
            assert pings(connection) == 0
            await asyncio.sleep(4)
            assert pings(connection) == 1
            call.cancel()

    run_in_virtual_time(scenario())


@pytest.mark.parametrize(
    ("code", "text"), [(Error.ENHANCE_YOUR_CALM, b"slow down"), (Error.NO_ERROR, b"too_many_pings")]
)
def test_other_farewells_change_nothing(code: Error, text: bytes) -> None:
    """G40: only the code and the words together mean it."""

    async def scenario() -> None:
        async with ScriptedPeer() as peer, channel_to(peer.endpoint, KEEPALIVE) as channel:
            connection = await connected(channel, peer)
            connection.send(goaway(0, code, text))
            await connection.closed()
            assert channel.seen.warnings == []

    run_in_virtual_time(scenario())


def test_the_policy_is_what_the_options_say() -> None:
    """And doubling is all that changes it."""
    policy = KeepalivePolicy.of(KEEPALIVE)
    policy.slow_down()
    assert (policy.interval_s, policy.timeout_s, policy.without_calls) == (20, 20, False)
