"""GOAWAY in all its forms (G35 to G38, G40)."""

from __future__ import annotations

import pytest

from api_gateway.grpc.connectivity import State
from api_gateway.model.status import Code
from tests.support.channels import channel_to, error_of
from tests.support.h2_frames import MAX_STREAM_ID, Error, Kind, data, goaway
from tests.support.scripted_peer import ScriptedPeer, prefixed
from tests.wire.conftest import Link


async def test_a_call_below_the_last_stream_finishes(link: Link) -> None:
    """G35, G37: a call at or below the last stream id finishes; then the connection closes."""
    call = link.channel.unary(b"hello")
    request = await link.peer.request()
    link.peer.send(goaway(request.stream_id))
    await link.peer.in_step()
    link.peer.reply(request.stream_id, b"world")
    assert (await call).message == b"world"
    await link.peer.closed()


async def test_goaway_and_the_answer_in_one_segment(link: Link) -> None:
    """G35: the order GOAWAY, answer, FIN, as a server that shuts down writes it."""
    call = link.channel.unary(b"hello")
    stream_id = (await link.peer.request()).stream_id
    peer = link.peer
    peer.send(goaway(stream_id), peer.head(stream_id), data(stream_id, prefixed(b"world")), peer.trailers(stream_id))
    peer.close()
    assert (await call).message == b"world"


async def test_a_stream_goes_on_below_the_last_stream(link: Link) -> None:
    """G35, G37: messages in both directions still pass; the connection closes after the last of two streams."""
    calls = [link.channel.stream(), link.channel.stream()]
    for call in calls:
        await call.send(b"first")
    ids = [(await link.peer.request_head()).stream_id for _ in calls]
    link.peer.send(goaway(max(ids)))
    await link.peer.in_step()
    for call, stream_id in zip(calls, ids, strict=True):
        await call.send(b"second")
        await link.peer.body_of(stream_id, prefixed(b"first") + prefixed(b"second"))
        assert not link.peer.is_closed
        link.peer.reply(stream_id, b"world")
        assert await call.receive() == b"world"
        assert await call.receive() is None
    await link.peer.closed()


async def test_streams_above_the_last_one_are_placed_elsewhere(link: Link) -> None:
    """G35: of two unary calls the backend saw one; the other runs on a new connection, and both succeed."""
    calls = [link.channel.unary(b"one"), link.channel.unary(b"two")]
    ids = [(await link.peer.request()).stream_id for _ in calls]
    link.peer.send(goaway(ids[0]))
    second = await link.listener.accept()
    again = await second.request()
    assert again.body == prefixed(b"two")
    second.reply(again.stream_id, b"second")
    link.peer.reply(ids[0], b"first")
    assert [(await call).message for call in calls] == [b"first", b"second"]
    await link.peer.closed()


async def test_no_new_stream_opens_on_a_draining_connection(link: Link) -> None:
    """G35: what comes after GOAWAY goes to a new connection, while the old one finishes."""
    first = link.channel.unary(b"one")
    stream_id = (await link.peer.request()).stream_id
    link.peer.send(goaway(MAX_STREAM_ID))
    await link.peer.in_step()
    second = link.channel.unary(b"two")
    other = await link.listener.accept()
    other.reply((await other.request()).stream_id, b"2")
    assert (await second).message == b"2"
    link.peer.reply(stream_id, b"1")
    assert (await first).message == b"1"
    assert len(link.peer.requests) == 1


async def test_goaway_in_two_steps(link: Link) -> None:
    """G36: 2^31-1 warns, the second one names the last stream; the stream above it is placed elsewhere."""
    calls = [link.channel.unary(b"one"), link.channel.unary(b"two")]
    ids = [(await link.peer.request()).stream_id for _ in calls]
    link.peer.send(goaway(MAX_STREAM_ID))
    await link.peer.in_step()
    assert link.channel.channel.open_streams == 2
    link.peer.send(goaway(ids[0]))
    other = await link.listener.accept()
    other.reply((await other.request()).stream_id, b"2")
    link.peer.reply(ids[0], b"1")
    assert [(await call).message for call in calls] == [b"1", b"2"]
    await link.peer.closed()
    assert link.channel.seen.lost == [f"127.0.0.1:{link.listener.port}: GOAWAY 0"]


async def test_a_second_goaway_may_not_raise_the_last_stream(link: Link) -> None:
    """G36: that is a connection error (RFC 9113 section 6.8)."""
    call = link.channel.unary(b"one")
    stream_id = (await link.peer.request()).stream_id
    link.peer.send(goaway(stream_id), goaway(stream_id + 2))
    error = await error_of(call)
    assert (error.code, error.reason) == (Code.UNAVAILABLE, "UPSTREAM_CONNECTION_LOST")
    assert (await link.peer.frame(Kind.GOAWAY)).goaway[1] == Error.PROTOCOL_ERROR
    await link.peer.closed()


async def test_goaway_on_an_idle_connection_makes_the_channel_idle(link: Link) -> None:
    """G38: closed, idle, and no new connection before somebody calls."""
    await link.peer.in_step()
    link.peer.send(goaway(0))
    await link.peer.closed()
    assert link.channel.channel.state is State.IDLE
    assert len(link.listener.connections) == 1
    call = link.channel.unary(b"hello")
    other = await link.listener.accept()
    other.reply((await other.request()).stream_id, b"world")
    assert (await call).message == b"world"


@pytest.mark.parametrize("code", [Error.ENHANCE_YOUR_CALM, Error.INTERNAL_ERROR, Error.NO_ERROR])
async def test_goaway_says_why(link: Link, code: Error) -> None:
    """G40 in part: code and debug data reach the operator. The rest of it is in `tests/unit/grpc/test_keepalive.py`."""
    await link.peer.in_step()
    link.peer.send(goaway(0, code, b"too_many_pings"))
    await link.peer.closed()
    assert link.channel.seen.lost == [f"127.0.0.1:{link.listener.port}: GOAWAY {int(code)} too_many_pings"]
    assert link.channel.channel.last_error == f"127.0.0.1:{link.listener.port}: GOAWAY {int(code)} too_many_pings"


async def test_long_debug_data_is_cut(link: Link) -> None:
    """The reason goes to logs: a peer may not fill them."""
    await link.peer.in_step()
    link.peer.send(goaway(0, Error.NO_ERROR, b"\xff" + b"x" * 16_000))
    await link.peer.closed()
    assert len(link.channel.seen.lost[0]) < 140


async def test_a_connection_that_drains_closes_after_a_cancel(link: Link) -> None:
    """G37: a cancelled call ends its stream too."""
    call = link.channel.unary(b"hello")
    stream_id = (await link.peer.request()).stream_id
    link.peer.send(goaway(stream_id))
    await link.peer.in_step()
    call.cancel()
    await link.peer.closed()


async def test_goaway_before_any_call_does_not_lose_the_call_that_comes_with_it(listener: ScriptedPeer) -> None:
    """G35: SETTINGS and GOAWAY in one segment; the waiting call finds the next connection."""
    async with channel_to(listener.endpoint) as channel:
        listener.manners = listener.manners.silent()
        call = channel.unary(b"hello")
        first = await listener.accept()
        listener.manners = listener.manners.polite()
        first.send(first.opening(), goaway(0))
        second = await listener.accept()
        second.reply((await second.request()).stream_id, b"world")
        assert (await call).message == b"world"
        assert first.requests == {}
