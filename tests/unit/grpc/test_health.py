"""Watching whether an address serves (G65), on a clock that jumps, against a peer that says what the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from grpc_health.v1 import health_pb2

from api_gateway.grpc.connectivity import ChannelOptions, State
from api_gateway.grpc.health import PATIENCE_S, WATCH, decode_response, encode_request
from api_gateway.grpc.target import parse_targets
from api_gateway.model.status import Code
from tests.support.channels import TestedChannel, channel_to, error_of, finished
from tests.support.h2_frames import Error, Setting, data, goaway, rst_stream
from tests.support.scripted_peer import Manners, PeerConnection, PeerRequest, ScriptedPeer, prefixed
from tests.support.virtual_time import run_in_virtual_time

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
WATCHING = ChannelOptions(health_service="")


def verdict(status: int) -> bytes:
    return prefixed(health_pb2.HealthCheckResponse(status=status).SerializeToString())


async def watch_on(connection: PeerConnection) -> PeerRequest:
    """Return the request of a watch, which must be the next one."""
    request = await connection.request()
    assert request.field(b":path") == WATCH
    return request


async def open_watch(connection: PeerConnection, status: int) -> PeerRequest:
    """Answer a watch for the first time."""
    request = await watch_on(connection)
    connection.send(connection.head(request.stream_id), data(request.stream_id, verdict(status)))
    return request


async def answer(connection: PeerConnection) -> None:
    """Answer the next call."""
    request = await connection.request()
    assert request.field(b":path") != WATCH
    connection.reply(request.stream_id)


@asynccontextmanager
async def watched() -> AsyncIterator[tuple[ScriptedPeer, TestedChannel, PeerConnection]]:
    """A channel that watches one address, connected; the watch is not answered yet."""
    async with ScriptedPeer() as peer, channel_to(peer.endpoint, WATCHING) as channel:
        channel.channel.connect()
        yield peer, channel, await peer.accept()


def test_messages_are_those_of_the_real_contract() -> None:
    """As Google's own library reads and writes them."""
    request = health_pb2.HealthCheckRequest.FromString(encode_request("users.Users"))
    assert request.service == "users.Users"
    for status in (SERVING, NOT_SERVING, SERVICE_UNKNOWN):
        assert decode_response(health_pb2.HealthCheckResponse(status=status).SerializeToString()) == status
    assert decode_response(b"") == 0
    with pytest.raises(ValueError, match=r"."):
        decode_response(b"\xff")


def test_no_call_before_the_first_serving() -> None:
    """G65: connected is not ready; calls wait for the verdict, and the watch has no deadline."""

    async def scenario() -> None:
        async with watched() as (_, channel, connection):
            call = channel.unary()
            request = await watch_on(connection)
            assert (request.body, request.field(b"grpc-timeout")) == (prefixed(b""), None)
            assert channel.channel.state is State.CONNECTING
            assert channel.channel.queued_calls == 1
            connection.send(connection.head(request.stream_id), data(request.stream_id, verdict(SERVING)))
            await answer(connection)
            await finished(call)
            assert channel.channel.address_states == {f"127.0.0.1:{_.port}": State.READY}
            assert channel.seen.serving == []

    run_in_virtual_time(scenario())


@pytest.mark.parametrize(
    ("status", "text"), [(NOT_SERVING, "NOT_SERVING"), (SERVICE_UNKNOWN, "SERVICE_UNKNOWN"), (0, "UNKNOWN"), (9, "9")]
)
def test_not_serving_is_503_until_it_serves_again(status: int, text: str) -> None:
    """G65: a clear reason, no wait; and calls go through as soon as the address says SERVING."""

    async def scenario() -> None:
        async with watched() as (peer, channel, connection):
            waiting = channel.unary()
            request = await open_watch(connection, status)
            for call in (waiting, channel.unary()):
                error = await error_of(call)
                assert (error.code, error.http, error.reason) == (Code.UNAVAILABLE, 503, "UPSTREAM_NOT_SERVING")
                assert error.log_reason == f"127.0.0.1:{peer.port}: its health service says {text}"
            assert channel.channel.state is State.TRANSIENT_FAILURE
            assert channel.channel.address_states == {f"127.0.0.1:{peer.port}": State.NOT_SERVING}
            connection.send(data(request.stream_id, verdict(SERVING)))
            await channel.seen.wait_until(lambda: len(channel.seen.serving) == 2)
            last = channel.unary()
            await answer(connection)
            await finished(last)
            address = f"127.0.0.1:{peer.port}"
            assert channel.seen.serving == [
                (address, False, f"its health service says {text}"),
                (address, True, ""),
            ]

    run_in_virtual_time(scenario())


def test_calls_that_run_are_not_touched() -> None:
    """G65: NOT_SERVING takes no new calls; what runs ends as it would."""

    async def scenario() -> None:
        async with watched() as (_, channel, connection):
            running = channel.unary()
            watch = await open_watch(connection, SERVING)
            request = await connection.request()
            connection.send(data(watch.stream_id, verdict(NOT_SERVING)))
            await channel.seen.wait_until(lambda: len(channel.seen.serving) == 1)
            connection.reply(request.stream_id)
            await finished(running)

    run_in_virtual_time(scenario())


def test_other_addresses_take_over() -> None:
    """G65: with another address that serves, NOT_SERVING costs nothing."""

    async def scenario() -> None:
        async with (
            ScriptedPeer() as one,
            ScriptedPeer() as two,
            channel_to(parse_targets([one.endpoint, two.endpoint]), WATCHING) as channel,
        ):
            channel.channel.connect()
            first, second = await one.accept(), await two.accept()
            watch = await open_watch(first, SERVING)
            await open_watch(second, SERVING)
            await channel.seen.wait_until(lambda: channel.seen.ready_count == 2)
            await second.in_step()
            first.send(data(watch.stream_id, verdict(NOT_SERVING)))
            await channel.seen.wait_until(lambda: len(channel.seen.serving) == 1)
            for _ in range(4):
                call = channel.unary()
                await answer(second)
                await finished(call)

    run_in_virtual_time(scenario())


@pytest.mark.parametrize(
    ("status", "warnings"), [(Code.UNIMPLEMENTED, 0), (Code.UNAUTHENTICATED, 1), (Code.PERMISSION_DENIED, 1)]
)
def test_a_backend_that_cannot_be_asked_serves(status: Code, warnings: int) -> None:
    """G65: no health service, or none for us: healthy, and not asked again on this connection; told where odd."""

    async def scenario() -> None:
        async with watched() as (peer, channel, connection):
            call = channel.unary()
            request = await watch_on(connection)
            connection.send(connection.trailers_only(request.stream_id, status=b"%d" % status))
            await answer(connection)
            await finished(call)
            await asyncio.sleep(3_600)
            assert len(connection.requests) == 2
            assert len(channel.seen.warnings) == warnings
            connection.abort()
            await channel.seen.wait_until(lambda: bool(channel.seen.lost))
            channel.channel.connect()
            # Another connection may lead to another build of the backend.
            await open_watch(await peer.accept(), SERVING)

    run_in_virtual_time(scenario())


@pytest.mark.parametrize("how", ["status", "reset", "not gRPC", "garbage"])
def test_a_watch_that_fails_is_unhealthy_and_tried_again(how: str) -> None:
    """G65: any other end, with backoff; the next answer counts."""

    async def scenario() -> None:
        async with watched() as (_, channel, connection):
            request = await watch_on(connection)
            stream_id = request.stream_id
            answers = {
                "status": lambda: connection.trailers_only(stream_id, status=b"2", message=b"no idea"),
                "reset": lambda: rst_stream(stream_id, Error.INTERNAL_ERROR),
                "not gRPC": lambda: connection.head(
                    stream_id, status=b"404", content_type=b"text/html", end_stream=True
                ),
                "garbage": lambda: connection.head(stream_id) + data(stream_id, prefixed(b"\xff")),
            }
            connection.send(answers[how]())
            if how == "not gRPC":
                # HTTP 404 is UNIMPLEMENTED by the mapping: there is no such service.
                call = channel.unary()
                await answer(connection)
                await finished(call)
                return
            await channel.seen.wait_until(lambda: len(channel.seen.serving) == 1)
            assert "its health service failed" in channel.seen.serving[0][2]
            failed_s = channel.loop.time()
            await open_watch(connection, SERVING)
            assert 0.7 < channel.loop.time() - failed_s < 1.3
            await channel.seen.wait_until(lambda: len(channel.seen.serving) == 2)

    run_in_virtual_time(scenario())


def test_backoff_of_a_watch_grows_and_a_message_starts_it_over() -> None:
    """G65: 1 s, times 1.6; after any answer, 1 s again."""

    async def scenario() -> None:
        async with watched() as (_, channel, connection):
            waits_s: list[float] = []
            for number in range(5):
                before_s = channel.loop.time()
                request = await watch_on(connection)
                waits_s.append(channel.loop.time() - before_s)
                if number == 3:
                    connection.send(connection.head(request.stream_id), data(request.stream_id, verdict(SERVING)))
                    connection.send(connection.trailers(request.stream_id, status=b"2"))
                else:
                    connection.send(connection.trailers_only(request.stream_id, status=b"2"))
                await connection.in_step()
            for wait_s, expected_s in zip(waits_s[1:], [1, 1.6, 2.56, 1], strict=True):
                assert 0.75 * expected_s < wait_s < 1.25 * expected_s

    run_in_virtual_time(scenario())


def test_a_new_connection_is_not_ready_because_the_last_one_was() -> None:
    """G65: after a reconnect calls wait for the first SERVING again."""

    async def scenario() -> None:
        async with watched() as (peer, channel, connection):
            await open_watch(connection, SERVING)
            await connection.in_step()
            connection.abort()
            await channel.seen.wait_until(lambda: bool(channel.seen.lost))
            call = channel.unary()
            second = await peer.accept()
            request = await watch_on(second)
            await second.in_step()
            assert (channel.channel.state, channel.channel.queued_calls) == (State.CONNECTING, 1)
            second.send(second.head(request.stream_id), data(request.stream_id, verdict(SERVING)))
            await answer(second)
            await finished(call)

    run_in_virtual_time(scenario())


def test_a_watch_that_is_cut_after_it_had_answered_takes_nothing_away() -> None:
    """A proxy's limit on long streams is no sign of bad health: asked again, and calls go on meanwhile."""

    async def scenario() -> None:
        async with watched() as (_, channel, connection):
            first = await open_watch(connection, SERVING)
            await connection.in_step()
            connection.send(rst_stream(first.stream_id, Error.NO_ERROR))
            await connection.in_step()
            call = channel.unary()
            await answer(connection)
            await finished(call)
            await open_watch(connection, SERVING)
            assert channel.seen.serving == []

    run_in_virtual_time(scenario())


def test_silence_means_serving() -> None:
    """G65, bounded: a health service that does not answer keeps nobody from serving, and operators hear of it."""

    async def scenario() -> None:
        async with watched() as (_, channel, connection):
            started_s = channel.loop.time()
            call = channel.unary()
            watch = await watch_on(connection)
            await answer(connection)
            await finished(call)
            assert PATIENCE_S <= channel.loop.time() - started_s < PATIENCE_S + 0.5
            assert "no answer of the health service" in channel.seen.warnings[0]
            connection.send(connection.head(watch.stream_id), data(watch.stream_id, verdict(NOT_SERVING)))
            await channel.seen.wait_until(lambda: len(channel.seen.serving) == 1)

    run_in_virtual_time(scenario())


def test_a_watch_never_holds_a_connection_open() -> None:
    """G37, G65: given up at GOAWAY, so that a backend's graceful stop does not wait for us."""

    async def scenario() -> None:
        async with watched() as (_, channel, connection):
            watch = await open_watch(connection, SERVING)
            await connection.in_step()
            connection.send(goaway(watch.stream_id))
            assert await connection.reset_of(watch.stream_id) == Error.CANCEL
            await connection.closed()
            assert channel.channel.state is State.IDLE

    run_in_virtual_time(scenario())


def test_one_watch_an_address() -> None:
    """G65: however many connections; it moves when the connection it is on drains, and calls notice nothing."""

    async def scenario() -> None:
        settings = {Setting.MAX_CONCURRENT_STREAMS: 2}
        options = ChannelOptions(health_service="", pool_size=2)
        async with ScriptedPeer(Manners(settings=settings)) as peer, channel_to(peer.endpoint, options) as channel:
            calls = [channel.unary() for _ in range(3)]
            first = await peer.accept()
            watch = await open_watch(first, SERVING)
            one = await first.request()
            second = await peer.accept()
            two, three = await second.request(), await second.request()
            assert {request.field(b":path") for request in (one, two, three)} == {b"/test.Service/Method"}
            second.reply(two.stream_id)
            first.send(goaway(one.stream_id))
            await open_watch(second, SERVING)
            assert await first.reset_of(watch.stream_id) == Error.CANCEL
            first.reply(one.stream_id)
            second.reply(three.stream_id)
            for call in calls:
                await finished(call)
            assert channel.seen.serving == []

    run_in_virtual_time(scenario())


def test_a_backend_that_allows_one_stream_keeps_it_for_calls() -> None:
    """No watch where it would take the only stream, from the start or later on."""

    async def scenario() -> None:
        manners = Manners(settings={Setting.MAX_CONCURRENT_STREAMS: 1})
        async with ScriptedPeer(manners) as peer, channel_to(peer.endpoint, WATCHING) as channel:
            call = channel.unary()
            await answer(await peer.accept())
            await finished(call)

    run_in_virtual_time(scenario())
