"""SETTINGS, PING, unknown frames, HPACK (G49, G50, G53 to G55)."""

from __future__ import annotations

import pytest

from api_gateway.grpc.connectivity import ChannelOptions, State
from api_gateway.grpc.unary_call import UnaryCall
from api_gateway.model.status import Code
from tests.support.channels import channel_to, code_of, finished
from tests.support.h2_frames import (
    ACK,
    Error,
    Kind,
    Setting,
    data,
    frame,
    headers,
    ping,
    push_promise,
    settings,
    settings_ack,
    window_update,
)
from tests.support.scripted_peer import Manners, PeerConnection, ScriptedPeer, prefixed
from tests.wire.conftest import Link

ONE_CONNECTION = ChannelOptions(pool_size=1)


async def answer_next(peer: PeerConnection) -> None:
    """Answer the next request."""
    peer.reply((await peer.request()).stream_id)


# MAX_CONCURRENT_STREAMS


async def test_calls_over_the_peers_limit_queue(listener: ScriptedPeer) -> None:
    """G49: never more than the limit at once; the others wait their turn and succeed."""
    listener.manners = Manners(settings={Setting.MAX_CONCURRENT_STREAMS: 2})
    async with channel_to(listener.endpoint, ONE_CONNECTION) as channel:
        calls = [channel.unary(b"%d" % number) for number in range(7)]
        peer = await listener.accept()
        order = []
        for number in range(7):
            await peer.requests_seen(min(number + 2, 7))
            await peer.in_step()
            assert len(peer.requests) == min(number + 2, 7)
            request = await peer.request()
            order.append(request.body)
            peer.reply(request.stream_id)
        for call in calls:
            await finished(call)
        assert order == [prefixed(b"%d" % number) for number in range(7)]
        assert len(listener.connections) == 1


async def test_a_limit_of_zero_queues_all_until_it_is_raised(listener: ScriptedPeer) -> None:
    """G49: 0 is a limit like another."""
    listener.manners = Manners(settings={Setting.MAX_CONCURRENT_STREAMS: 0})
    async with channel_to(listener.endpoint, ONE_CONNECTION) as channel:
        call = channel.unary()
        peer = await listener.accept()
        await peer.in_step()
        assert (peer.requests, channel.channel.queued_calls) == ({}, 1)
        peer.send(settings({Setting.MAX_CONCURRENT_STREAMS: 1}))
        await answer_next(peer)
        await finished(call)


async def test_a_call_in_the_queue_keeps_its_deadline(listener: ScriptedPeer) -> None:
    """G43, G49: waiting for a stream counts; the place in the queue is freed."""
    listener.manners = Manners(settings={Setting.MAX_CONCURRENT_STREAMS: 0})
    async with channel_to(listener.endpoint, ONE_CONNECTION) as channel:
        assert await code_of(channel.unary(timeout_s=0.03)) == Code.DEADLINE_EXCEEDED
        assert channel.channel.queued_calls == 0
        assert (await listener.accept()).requests == {}


async def test_a_call_in_the_queue_can_be_cancelled(listener: ScriptedPeer) -> None:
    """It never reaches the backend."""
    listener.manners = Manners(settings={Setting.MAX_CONCURRENT_STREAMS: 1})
    async with channel_to(listener.endpoint, ONE_CONNECTION) as channel:
        calls = [channel.unary(b"%d" % number) for number in range(3)]
        peer = await listener.accept()
        first = await peer.request()
        calls[1].cancel()
        peer.reply(first.stream_id)
        second = await peer.request()
        assert second.body == prefixed(b"2")
        peer.reply(second.stream_id)
        await finished(calls[2])


async def test_a_limit_lowered_later(link: Link) -> None:
    """G49: what is open goes on; nothing new before there is room again."""
    calls: list[UnaryCall] = [link.channel.unary() for _ in range(3)]
    peer = link.peer
    ids = [(await peer.request()).stream_id for _ in calls]
    peer.send(settings({Setting.MAX_CONCURRENT_STREAMS: 1}))
    await peer.in_step()
    # No other connection may help out.
    object.__setattr__(link.channel.channel._options, "pool_size", 1)
    waiting = link.channel.unary()
    for stream_id, call in zip(ids, calls, strict=True):
        await peer.in_step()
        assert len(peer.requests) == 3
        peer.reply(stream_id)
        await finished(call)
    await answer_next(peer)
    await finished(waiting)


async def test_a_cancelled_call_makes_room(listener: ScriptedPeer) -> None:
    """G41, G49: the slot of a cancelled stream is free for the next call."""
    listener.manners = Manners(settings={Setting.MAX_CONCURRENT_STREAMS: 1})
    async with channel_to(listener.endpoint, ONE_CONNECTION) as channel:
        first, second = channel.unary(b"1"), channel.unary(b"2")
        peer = await listener.accept()
        stream_id = (await peer.request()).stream_id
        first.cancel()
        assert await peer.reset_of(stream_id) == Error.CANCEL
        await answer_next(peer)
        await finished(second)


# The preface


async def test_before_settings_nothing_is_sent(listener: ScriptedPeer) -> None:
    """G53: no call is given to a connection whose SETTINGS did not come."""
    listener.manners = Manners().silent()
    async with channel_to(listener.endpoint) as channel:
        call = channel.unary()
        peer = await listener.accept()
        await peer.frame(Kind.SETTINGS)
        assert (peer.requests, channel.channel.state) == ({}, State.CONNECTING)
        peer.send(peer.opening())
        await answer_next(peer)
        await finished(call)


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(settings_ack(), id="acknowledgement"),
        pytest.param(ping(bytes(8)), id="ping"),
        pytest.param(window_update(0, 1), id="window update"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", id="HTTP/1.1"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x46", id="TLS alert"),
        pytest.param(b"", id="nothing"),
    ],
)
async def test_something_else_than_settings_first(listener: ScriptedPeer, first: bytes) -> None:
    """G53: a failed attempt with a reason, and UNAVAILABLE for who waited."""
    listener.manners = Manners().silent()
    async with channel_to(listener.endpoint) as channel:
        call = channel.unary()
        peer = await listener.accept()
        peer.send_raw(first)
        if len(first) < 9:
            # Less than a frame's head: a server that speaks something else hangs up after it.
            peer.close()
        assert await code_of(call) == Code.UNAVAILABLE
        (reason, _), *_ = channel.seen.failed
        assert reason
        assert channel.seen.ready_count == 0
        await peer.closed()


async def test_a_peer_that_never_sends_settings(listener: ScriptedPeer) -> None:
    """G53: the attempt fails at the connect timeout."""
    listener.manners = Manners().silent()
    async with channel_to(listener.endpoint, ChannelOptions(connect_timeout_s=0.05)) as channel:
        assert await code_of(channel.unary()) == Code.UNAVAILABLE
        assert [reason for reason, _ in channel.seen.failed] == [
            f"127.0.0.1:{listener.port}: no connection within 0.05 s"
        ]
        await (await listener.accept()).closed()


# PING and what nobody knows


async def test_every_ping_is_acknowledged(link: Link) -> None:
    """G50: with the same bytes; before, between and after the frames of an answer none is outstanding."""
    call = link.channel.unary()
    peer = link.peer
    stream_id = (await peer.request()).stream_id
    parts = [peer.head(stream_id), data(stream_id, prefixed(b"abc")), peer.trailers(stream_id)]
    for number, part in enumerate(parts):
        peer.send(ping(b"before %d" % number), part, ping(b"after %d." % number))
    assert (await call).message == b"abc"
    await peer.wait_until(lambda: peer.outstanding_pings == 0)
    for number in range(3):
        assert (await peer.frame(Kind.PING, flags=ACK)).payload == b"before %d" % number
        assert (await peer.frame(Kind.PING, flags=ACK)).payload == b"after %d." % number


async def test_a_flood_of_pings_from_a_peer_that_does_not_read(link: Link) -> None:
    """Acknowledgements nobody reads end the connection instead of filling the memory; calls on it fail."""
    call = link.channel.unary()
    peer = link.peer
    await peer.request()
    (connection,) = link.channel.channel._connections
    connection.pause_writing()
    for _ in range(20):
        peer.send_raw(ping(bytes(8)) * 100)
    assert await code_of(call) == Code.UNAVAILABLE
    await peer.closed()


@pytest.mark.parametrize(
    "unknown",
    [
        pytest.param(frame(0xEE, 0xFF, 0, b"what?"), id="frame of the connection"),
        pytest.param(frame(0x42, 0, 1, b""), id="frame of a stream"),
        pytest.param(settings([(0xABCD, 7), (0xFFFF, 2**32 - 1)]), id="settings"),
        pytest.param(frame(Kind.PRIORITY, 0, 1, bytes(5)), id="priority"),
        pytest.param(frame(10, 0, 0, b'\0\x01ah3=":1"'), id="ALTSVC"),
        pytest.param(frame(12, 0, 0, b"\0\x01a"), id="ORIGIN"),
    ],
)
async def test_the_unknown_is_ignored(link: Link, unknown: bytes) -> None:
    """G54: frames and settings nobody asked for, in the middle of an answer."""
    call = link.channel.unary()
    peer = link.peer
    stream_id = (await peer.request()).stream_id
    peer.send(unknown, peer.head(stream_id), unknown, data(stream_id, prefixed(b"abc")), peer.trailers(stream_id))
    assert (await call).message == b"abc"
    await peer.in_step()


async def test_an_unknown_frame_inside_a_header_block(link: Link) -> None:
    """Only CONTINUATION may follow there (RFC 9113 section 6.10)."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    link.peer.send(headers(stream_id, b"", end_headers=False), frame(0xEE, 0, 0, b""))
    assert await code_of(call) == Code.UNAVAILABLE
    assert (await link.peer.frame(Kind.GOAWAY)).goaway[1] == Error.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        pytest.param(settings({Setting.INITIAL_WINDOW_SIZE: 2**31}), Error.FLOW_CONTROL_ERROR, id="window size"),
        pytest.param(settings({Setting.MAX_FRAME_SIZE: 100}), Error.PROTOCOL_ERROR, id="frame size"),
        pytest.param(settings({Setting.ENABLE_PUSH: 2}), Error.PROTOCOL_ERROR, id="push"),
        pytest.param(frame(Kind.SETTINGS, 0, 0, b"12345"), Error.FRAME_SIZE_ERROR, id="length"),
        pytest.param(frame(Kind.PING, 0, 0, b"123"), Error.FRAME_SIZE_ERROR, id="ping length"),
        pytest.param(frame(Kind.PING, 0, 1, bytes(8)), Error.PROTOCOL_ERROR, id="ping on a stream"),
        pytest.param(frame(Kind.DATA, 0, 0, b""), Error.PROTOCOL_ERROR, id="data on the connection"),
        pytest.param(frame(Kind.RST_STREAM, 0, 99, bytes(4)), Error.PROTOCOL_ERROR, id="reset of an idle stream"),
        pytest.param(frame(Kind.DATA, 8, 1, b"\x09abc"), Error.PROTOCOL_ERROR, id="padding longer than the frame"),
        pytest.param(b"\xff\xff\xff\0\0\0\0\0\x01", Error.FRAME_SIZE_ERROR, id="frame over the limit"),
        pytest.param(frame(Kind.HEADERS, 4, 2, b""), Error.PROTOCOL_ERROR, id="head of a stream of the peer"),
    ],
)
async def test_errors_of_the_connection(link: Link, bad: bytes, code: Error) -> None:
    """The engine says GOAWAY with the right code; the calls of the connection fail, the channel goes on."""
    call = link.channel.unary()
    await link.peer.request()
    link.peer.send_raw(bad)
    assert await code_of(call) == Code.UNAVAILABLE
    assert (await link.peer.frame(Kind.GOAWAY)).goaway[1] == code
    await link.peer.closed()
    again = link.channel.unary()
    await answer_next(await link.listener.accept())
    await finished(again)


async def test_too_many_settings(link: Link) -> None:
    """More than 32 in one frame."""
    call = link.channel.unary()
    await link.peer.request()
    link.peer.send(settings([(0xAB00 + number, 0) for number in range(40)]))
    assert await code_of(call) == Code.UNAVAILABLE
    await link.peer.closed()


async def test_a_promise_after_push_was_refused(link: Link) -> None:
    """We said ENABLE_PUSH 0, and the peer acknowledged it."""
    call = link.channel.unary()
    peer = link.peer
    stream_id = (await peer.request()).stream_id
    await peer.in_step()
    block = peer.coder.encode([(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a")])
    peer.send(push_promise(stream_id, 2, block))
    assert await code_of(call) == Code.UNAVAILABLE
    assert (await peer.frame(Kind.GOAWAY)).goaway[1] == Error.PROTOCOL_ERROR


# HPACK


@pytest.mark.parametrize("table_bytes", [0, 100, 65_536])
async def test_the_peers_header_table(listener: ScriptedPeer, table_bytes: int) -> None:
    """G55: SETTINGS_HEADER_TABLE_SIZE is honoured, 0 too, over many calls with repeated metadata."""
    listener.manners = Manners(settings={Setting.HEADER_TABLE_SIZE: table_bytes})
    async with channel_to(listener.endpoint) as channel:
        channel.channel.connect()
        peer = await listener.accept()
        peer.coder.limit_incoming_table(table_bytes)
        for number in range(5):
            metadata = [(b"x-repeated", b"v" * 50), (b"x-number", b"%d" % number)]
            call = channel.unary(metadata=metadata)
            request = await peer.request()
            assert request.fields[-2:] == metadata
            peer.reply(request.stream_id)
            await finished(call)


async def test_our_header_table_shrinks_at_the_start_of_a_block(link: Link) -> None:
    """G55: a size update of the peer's encoder is followed."""
    peer = link.peer
    for size in (4_096, 0, 64, 4_096):
        peer.coder.table_size = size
        call = link.channel.unary()
        stream_id = (await peer.request()).stream_id
        peer.send(
            peer.head(stream_id, (b"x-a", b"v" * 30)), data(stream_id, prefixed(b"abc")), peer.trailers(stream_id)
        )
        assert (await call).headers == [(b"x-a", b"v" * 30)]


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"\xff\xff\xff\x7f", id="index nobody has"),
        pytest.param(b"\x80", id="index 0"),
        pytest.param(b"\xff" * 20, id="number without end"),
        pytest.param(b"\x00\x81\xff\x81\xff", id="bad Huffman"),
        pytest.param(b"\x00\x05ab", id="string cut short"),
        pytest.param(b"\x3f\xe1\xff\x03", id="table larger than allowed"),
        pytest.param(b"\x88\x20", id="size update at the end"),
    ],
)
async def test_broken_header_blocks(link: Link, block: bytes) -> None:
    """G55: COMPRESSION_ERROR for the connection."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    link.peer.send(headers(stream_id, block))
    assert await code_of(call) == Code.UNAVAILABLE
    assert (await link.peer.frame(Kind.GOAWAY)).goaway[1] == Error.COMPRESSION_ERROR
    await link.peer.closed()


async def test_a_header_bomb(link: Link) -> None:
    """G29, G55: one entry of 4 kB referenced a thousand times is bounded by the decoded size."""
    call = link.channel.unary()
    peer = link.peer
    stream_id = (await peer.request()).stream_id
    peer.send(peer.head(stream_id, (b"x-bomb", b"b" * 3_900)))
    bomb = headers(stream_id, b"\xbe" * 4_000, end_stream=True)
    peer.send_raw(bomb)
    assert await code_of(call) == Code.UNAVAILABLE
    await peer.closed()
