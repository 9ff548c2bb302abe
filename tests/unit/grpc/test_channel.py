"""A channel's states, backoff, queue and grace period, on a clock that jumps.

What goes over the wire is in `tests/wire`.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from api_gateway.grpc.connectivity import ChannelOptions, State
from api_gateway.grpc.stream_call import StreamCall
from api_gateway.grpc.unary_call import UnaryCall
from api_gateway.model.errors import GatewayError
from api_gateway.model.status import Code
from tests.support.channels import TestedChannel, channel_to, code_of, error_of, finished
from tests.support.h2_frames import Setting, goaway
from tests.support.scripted_peer import Manners, ScriptedPeer
from tests.support.virtual_time import run_in_virtual_time


@contextmanager
def refusing_endpoint() -> Iterator[str]:
    """An address where nobody listens, and nobody else can."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@asynccontextmanager
async def refused_channel(options: ChannelOptions | None = None) -> AsyncIterator[TestedChannel]:
    with refusing_endpoint() as endpoint:
        async with channel_to(endpoint, options) as channel:
            yield channel


# Backoff


def test_numbers_of_grpc() -> None:
    """G56: an attempt may take 20 s, and 120 s are the longest wait, unless a channel is told otherwise."""
    assert (ChannelOptions().connect_timeout_s, ChannelOptions().max_backoff_s) == (20, 120)


def test_backoff_grows_by_its_factor_up_to_its_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    """G56: 1 s, times 1.6, at most 120 s, measured without jitter while a call waits."""
    monkeypatch.setattr(random, "uniform", lambda low, high: (low + high) / 2)

    async def scenario() -> None:
        async with refused_channel() as channel:
            call = channel.unary(waits_for_ready=True, timeout_s=100_000)
            await channel.seen.failures(14)
            expected_s = [min(1.6**number, 120.0) for number in range(14)]
            assert [wait_s for _, wait_s in channel.seen.failed] == pytest.approx(expected_s, abs=0.02)
            call.cancel()

    run_in_virtual_time(scenario())


def test_jitter_spreads_reconnects() -> None:
    """G56, G57: +-20 %, evenly: no 100 ms hold more than a quarter of 100 workers' second attempts."""

    async def wait_of_one_worker() -> float:
        async with refused_channel() as channel:
            channel.channel.connect()
            await channel.seen.failures(1)
            return channel.seen.failed[0][1]

    async def scenario() -> list[float]:
        return [await wait_of_one_worker() for _ in range(100)]

    random.seed(7)
    waits_s = run_in_virtual_time(scenario())
    assert min(waits_s) >= 0.8 - 0.01
    assert max(waits_s) <= 1.2 + 0.01
    buckets = [int(wait_s * 10) for wait_s in waits_s]
    # 0.8 to 1.2 s are four buckets: a perfectly even spread is 25 each, so the bound leaves room for chance.
    assert max(buckets.count(each) for each in set(buckets)) <= 36


def test_the_interval_runs_from_the_start_of_the_attempt() -> None:
    """G56, G53: an attempt that took the whole connect timeout is followed at once."""

    async def scenario() -> None:
        async with (
            ScriptedPeer(Manners().silent()) as peer,
            channel_to(peer.endpoint, ChannelOptions(connect_timeout_s=20)) as channel,
        ):
            started_s = channel.loop.time()
            assert (await error_of_waiting(channel)).code == Code.UNAVAILABLE
            assert 20 <= channel.loop.time() - started_s < 20.5
            assert channel.seen.failed == [(f"127.0.0.1:{peer.port}: no connection within 20 s", 0.0)]

    run_in_virtual_time(scenario())


async def ended(call: UnaryCall) -> None:
    """Wait for a call, without the limit on waiting that real time needs."""
    assert await call is call


async def error_of_waiting(channel: TestedChannel) -> GatewayError:
    """Return the error of a call."""
    with pytest.raises(GatewayError) as caught:
        await ended(channel.unary())
    return caught.value


def test_only_settings_start_the_backoff_over() -> None:
    """G53, G56: a peer that accepts and says nothing is a failure like another; one that says SETTINGS is not."""

    async def scenario() -> None:
        async with (
            ScriptedPeer(Manners().silent()) as peer,
            channel_to(peer.endpoint, ChannelOptions(connect_timeout_s=0.5)) as channel,
        ):
            call = channel.unary(waits_for_ready=True)
            await channel.seen.failures(3)
            (address,) = channel.channel._addresses._subchannels.values()
            assert address._backoff.interval_s == pytest.approx(1.6**2)
            peer.manners = Manners()
            await channel.seen.wait_until(lambda: channel.seen.ready_count == 1)
            assert address._backoff.interval_s == 0.0
            connection = peer.connections[-1]
            connection.reply((await connection.request()).stream_id)
            await ended(call)

    run_in_virtual_time(scenario())


def test_nobody_waits_so_nobody_reconnects() -> None:
    """G38: after a failure without waiting calls the channel is idle until somebody asks."""

    async def scenario() -> None:
        async with refused_channel() as channel:
            channel.channel.connect()
            await asyncio.sleep(1_000)
            assert len(channel.seen.failed) == 1
            assert channel.channel.state is State.IDLE
            channel.channel.connect()
            await channel.seen.failures(2)

    run_in_virtual_time(scenario())


async def drop_connections(peer: ScriptedPeer) -> None:
    """Say SETTINGS and GOAWAY to every connection, in one segment."""
    peer.manners = Manners().silent()
    while True:
        connection = await peer.accept()
        connection.send(connection.opening(), goaway(0))


def test_a_peer_that_drops_connections_at_once_is_not_hammered() -> None:
    """G56, G57: a backend that says SETTINGS and closes is called back three times, then once a second."""

    async def scenario() -> None:
        async with ScriptedPeer() as peer, channel_to(peer.endpoint) as channel:
            dropping = channel.loop.create_task(drop_connections(peer))
            with pytest.raises(GatewayError) as caught:
                await ended(channel.unary(timeout_s=20, waits_for_ready=True))
            dropping.cancel()
            await asyncio.gather(dropping, return_exceptions=True)
            assert caught.value.code == Code.DEADLINE_EXCEEDED
            assert 10 <= len(peer.connections) <= 4 + 20 / 0.8

    run_in_virtual_time(scenario())


# States and the queue


def test_states() -> None:
    """G58: idle, connecting, ready, transient failure, shut down."""

    async def scenario() -> None:
        async with ScriptedPeer() as peer:
            async with channel_to(peer.endpoint) as channel:
                states = [channel.channel.state]
                channel.channel.connect()
                states.append(channel.channel.state)
                await (await peer.accept()).in_step()
                states.append(channel.channel.state)
            states.append(channel.channel.state)
        async with refused_channel() as channel:
            channel.channel.connect()
            await channel.seen.failures(1)
            states.append(channel.channel.state)
        assert states == [State.IDLE, State.CONNECTING, State.READY, State.SHUTDOWN, State.TRANSIENT_FAILURE]

    run_in_virtual_time(scenario())


def test_calls_queue_while_connecting_and_fail_with_the_attempt() -> None:
    """G58, G59: UNAVAILABLE with the reason for the log, nothing of it for the client."""

    async def scenario() -> None:
        async with refused_channel() as channel:
            calls: list[UnaryCall | StreamCall] = [channel.unary(), channel.stream()]
            assert channel.channel.queued_calls == 2
            for call in calls:
                error = await error_of(call)
                assert (error.code, error.reason, error.http) == (Code.UNAVAILABLE, "UPSTREAM_UNAVAILABLE", 503)
                assert "127.0.0.1" in error.log_reason
                assert "127.0.0.1" not in error.message
                assert (b"retry-after", b"1") in error.headers
            assert len(channel.seen.failed) == 1

    run_in_virtual_time(scenario())


def test_calls_fail_at_once_in_transient_failure() -> None:
    """G58: and those that wait for ready wait on."""

    async def scenario() -> None:
        async with refused_channel() as channel:
            await error_of(channel.unary())
            started_s = channel.loop.time()
            assert await code_of(channel.unary()) == Code.UNAVAILABLE
            assert channel.loop.time() - started_s < 0.01
            patient = channel.unary(waits_for_ready=True, timeout_s=50)
            with pytest.raises(GatewayError) as caught:
                await ended(patient)
            assert caught.value.code == Code.DEADLINE_EXCEEDED
            assert 50 <= channel.loop.time() - started_s < 50.1

    run_in_virtual_time(scenario())


def test_an_attempt_under_way_after_a_failed_one_does_not_make_calls_wait() -> None:
    """G58: who calls while a silent peer is tried again gets his error at once."""

    async def scenario() -> None:
        async with (
            ScriptedPeer(Manners().silent()) as peer,
            channel_to(peer.endpoint, ChannelOptions(connect_timeout_s=5)) as channel,
        ):
            patient = channel.unary(waits_for_ready=True, timeout_s=100)
            await channel.seen.failures(1)
            await asyncio.sleep(1)
            assert channel.channel.state is State.TRANSIENT_FAILURE
            assert len(peer.connections) == 2
            started_s = channel.loop.time()
            assert await code_of(channel.unary()) == Code.UNAVAILABLE
            assert channel.loop.time() == pytest.approx(started_s, abs=0.01)
            patient.cancel()

    run_in_virtual_time(scenario())


async def test_the_queue_is_bounded() -> None:
    """Semantics 46: what does not fit fails at once with 503 and Retry-After."""
    async with (
        ScriptedPeer(Manners().silent()) as peer,
        channel_to(peer.endpoint, ChannelOptions(max_queued_calls=3)) as channel,
    ):
        calls = [channel.unary() for _ in range(3)]
        error = await error_of(channel.unary())
        assert (error.code, error.reason, error.http) == (Code.UNAVAILABLE, "UPSTREAM_QUEUE_FULL", 503)
        assert (b"retry-after", b"1") in error.headers
        calls[0].cancel()
        calls[0] = channel.unary()
        for call in calls:
            call.cancel()
        assert channel.channel.queued_calls == 0


async def test_closing_fails_what_waits_and_what_runs() -> None:
    """Nothing is left behind, and what comes later is told so at once."""
    async with ScriptedPeer() as peer, channel_to(peer.endpoint) as channel:
        running = channel.unary()
        await (await peer.accept()).request()
        await channel.channel.aclose()
        assert await code_of(running) == Code.UNAVAILABLE
        error = await error_of(channel.unary())
        assert (error.code, error.reason) == (Code.UNAVAILABLE, "SHUTTING_DOWN")
        channel.channel.connect()
        assert channel.channel.state is State.SHUTDOWN
    async with ScriptedPeer(Manners().silent()) as peer, channel_to(peer.endpoint) as channel:
        waiting = channel.unary()
        await peer.accept()
        await channel.channel.aclose()
        assert await code_of(waiting) == Code.UNAVAILABLE


async def test_a_deadline_in_the_past_touches_no_network() -> None:
    """G43: it fails here; not even a connection is opened."""
    with refusing_endpoint() as endpoint:
        async with channel_to(endpoint) as channel:
            for call in (channel.unary(timeout_s=-1), channel.stream(timeout_s=0)):
                assert call.done()
                assert await code_of(call) == Code.DEADLINE_EXCEEDED
            assert channel.channel.state is State.IDLE


@pytest.mark.parametrize("host", ["a..b", f"{'x' * 64}.test", "does-not-exist.invalid"])
async def test_a_host_that_cannot_be_resolved(host: str) -> None:
    """G59: UNAVAILABLE, never INVALID_ARGUMENT or NOT_FOUND, and never a hang."""
    async with channel_to(f"http://{host}:1") as channel:
        error = await error_of(channel.unary())
        assert (error.code, error.reason) == (Code.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")
        assert error.log_reason


# Reconnecting


def test_calls_wait_out_a_quick_restart() -> None:
    """The grace period, a documented deviation from G58: calls wait when a connection that worked was lost."""

    async def scenario() -> None:
        async with ScriptedPeer() as peer, channel_to(peer.endpoint) as channel:
            channel.channel.connect()
            first = await peer.accept()
            await first.in_step()
            peer.stop_listening()
            first.abort()
            await asyncio.sleep(0.1)
            call = channel.unary()
            await channel.seen.failures(2)
            assert channel.channel.state is State.CONNECTING
            await peer.listen()
            second = await peer.accept()
            second.reply((await second.request()).stream_id)
            await finished(call)

    run_in_virtual_time(scenario())


def test_the_grace_period_ends() -> None:
    """Whoever waits for the next attempt waits at most that long; then UNAVAILABLE, and for newcomers at once."""

    async def scenario() -> None:
        async with ScriptedPeer() as peer, channel_to(peer.endpoint, ChannelOptions(reconnect_grace_s=4.0)) as channel:
            channel.channel.connect()
            first = await peer.accept()
            await first.in_step()
            peer.stop_listening()
            first.abort()
            await asyncio.sleep(0.1)
            started_s = channel.loop.time()
            assert await code_of(channel.unary()) == Code.UNAVAILABLE
            assert 2.7 < channel.loop.time() - started_s < 4.0
            assert channel.channel.state is State.TRANSIENT_FAILURE
            again_s = channel.loop.time()
            assert await code_of(channel.unary()) == Code.UNAVAILABLE
            assert channel.loop.time() - again_s < 0.01

    run_in_virtual_time(scenario())


def test_a_restart_within_the_grace_period_fails_no_call() -> None:
    """B1: after the attempts at 0, 1 and 2.6 s comes one more before the period ends, so that 2.9 s are bridged."""

    async def scenario() -> None:
        async with ScriptedPeer() as peer, channel_to(peer.endpoint, ChannelOptions(reconnect_grace_s=4.0)) as channel:
            channel.channel.connect()
            first = await peer.accept()
            await first.in_step()
            peer.stop_listening()
            first.abort()
            await asyncio.sleep(0.01)
            call = channel.unary()
            await asyncio.sleep(2.85)
            await peer.listen()
            second = await peer.accept()
            second.reply((await second.request()).stream_id)
            await finished(call)

    run_in_virtual_time(scenario())


def test_failed_attempts_to_open_more_connections_do_not_delay_a_reconnect() -> None:
    """A backend that takes one connection only, for long, and then restarts: no backoff of the others is in the way."""

    async def scenario() -> None:
        settings = {Setting.MAX_CONCURRENT_STREAMS: 1}
        async with ScriptedPeer(Manners(settings=settings)) as peer, channel_to(peer.endpoint) as channel:
            running = channel.unary(timeout_s=10_000)
            first = await peer.accept()
            await first.request()
            peer.stop_listening()
            waiting = channel.unary(timeout_s=10_000)
            await channel.seen.failures(10)
            assert channel.channel.state is State.READY
            await peer.listen()
            lost_s = channel.loop.time()
            first.abort()
            assert await code_of(running) == Code.UNAVAILABLE
            second = await peer.accept()
            second.reply((await second.request()).stream_id)
            await ended(waiting)
            assert channel.loop.time() - lost_s < 1.0

    run_in_virtual_time(scenario())


async def test_paths_are_sent_as_they_are() -> None:
    """G2: case and all; the head of a method is made once."""
    async with ScriptedPeer() as peer, channel_to(peer.endpoint) as channel:
        for _ in range(2):
            call = channel.unary(path=b"/Pkg.sErvice/meThod")
            connection = peer.connections[0] if peer.connections else await peer.accept()
            request = await connection.request()
            connection.reply(request.stream_id)
            await finished(call)
            assert request.field(b":path") == b"/Pkg.sErvice/meThod"
        assert len(channel.channel._heads) == 1
