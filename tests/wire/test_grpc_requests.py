"""What goes out: heads, messages, the end of a request (G1 to G14)."""

from __future__ import annotations

import pytest

from api_gateway.grpc.connectivity import ChannelOptions
from api_gateway.model.deadline import parse_grpc_timeout
from api_gateway.model.message import HeaderList
from api_gateway.model.status import Code
from tests.support.channels import channel_to, error_of, finished
from tests.support.h2_frames import END_STREAM, MAX_PAYLOAD_BYTES, Kind, Setting
from tests.support.scripted_peer import Manners, ScriptedPeer, prefixed, values
from tests.wire.conftest import Link


async def test_the_order_of_a_head(link: Link) -> None:
    """G1, G2: pseudo-headers, grpc-timeout, what defines the call, then metadata."""
    call = link.channel.unary(b"hello", metadata=[(b"x-a", b"1"), (b"x-b-bin", b"AAE")], path=b"/pkg.Service/GetIt")
    request = await link.peer.request()
    link.peer.reply(request.stream_id)
    await finished(call)
    assert [name for name, _ in request.fields] == [
        b":method",
        b":scheme",
        b":path",
        b":authority",
        b"grpc-timeout",
        b"te",
        b"content-type",
        b"grpc-accept-encoding",
        b"user-agent",
        b"x-a",
        b"x-b-bin",
    ]
    expected = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": b"/pkg.Service/GetIt",
        b":authority": b"127.0.0.1:%d" % link.listener.port,
        b"te": b"trailers",
        b"content-type": b"application/grpc",
        b"grpc-accept-encoding": b"identity,gzip",
        b"user-agent": b"api-gateway",
    }
    assert {name: value for name, value in request.fields if name in expected} == expected


async def test_repeated_metadata_keeps_its_order(link: Link) -> None:
    """G13: duplicate keys stay apart and in order."""
    metadata: HeaderList = [(b"x-a", b"1"), (b"x-b", b"2"), (b"x-a", b"3"), (b"x-a", b"1")]
    call = link.channel.unary(b"", metadata=metadata)
    request = await link.peer.request()
    link.peer.reply(request.stream_id)
    await finished(call)
    assert [each for each in request.fields if each[0].startswith(b"x-")] == metadata


@pytest.mark.parametrize("message", [b"", b"hello", bytes(MAX_PAYLOAD_BYTES), bytes(300_000)], ids=len)
async def test_a_message_and_the_end(link: Link, message: bytes) -> None:
    """G3, G5, G6: one prefixed message over as many DATA frames as it takes; END_STREAM on the last of them."""
    call = link.channel.unary(message)
    request = await link.peer.request()
    link.peer.reply(request.stream_id)
    await finished(call)
    assert request.body == prefixed(message)
    frames = [each for each in request.frames if each.kind == Kind.DATA]
    assert [bool(each.flags & END_STREAM) for each in frames] == [False] * (len(frames) - 1) + [True]
    assert all(len(each.payload) <= MAX_PAYLOAD_BYTES for each in frames)


async def test_a_stream_ends_with_an_empty_frame(link: Link) -> None:
    """G5: nothing is left to send, so an empty DATA carries END_STREAM."""
    call = link.channel.stream()
    await call.send(b"one")
    request = await link.peer.request_head()
    await link.peer.body_of(request.stream_id, prefixed(b"one"))
    call.close_send()
    await link.peer.wait_until(lambda: request.has_ended)
    last = request.frames[-1]
    assert (last.kind, last.flags, last.payload) == (Kind.DATA, END_STREAM, b"")
    link.peer.reply(request.stream_id)
    assert await call.receive() == b""
    await call


async def test_a_stream_without_messages(link: Link) -> None:
    """G5: closed before it was opened; nothing but the head and the end."""
    call = link.channel.stream()
    call.close_send()
    call.close_send()
    request = await link.peer.request()
    assert request.body == b""
    link.peer.send(link.peer.trailers_only(request.stream_id, status=b"0"))
    assert await call.receive() is None
    await call


async def test_messages_given_before_there_is_a_connection(listener: ScriptedPeer) -> None:
    """A stream that waits for a connection keeps its first message, and holds its sender at the second."""
    async with channel_to(listener.endpoint) as channel:
        call = channel.stream()
        await call.send(b"one")
        await call.send(b"two")
        call.close_send()
        peer = await listener.accept()
        request = await peer.request()
        assert request.body == prefixed(b"one") + prefixed(b"two")
        peer.reply(request.stream_id, b"three")
        assert await call.receive() == b"three"
        await call


@pytest.mark.parametrize(
    ("timeout_s", "unit"), [(0.05, "m"), (5.0, "m"), (99_999.0, "m"), (200_000.0, "S"), (200_000_000.0, "H")]
)
async def test_grpc_timeout(link: Link, timeout_s: float, unit: str) -> None:
    """G7, G8: at most 8 digits, in a unit that fits, and what is left when it is sent: never more, hardly less."""
    call = link.channel.unary(b"", timeout_s=timeout_s)
    request = await link.peer.request()
    link.peer.reply(request.stream_id)
    await finished(call)
    text = (request.field(b"grpc-timeout") or b"").decode()
    assert text.endswith(unit)
    assert len(text) <= 9
    assert 0 < parse_grpc_timeout(text) <= timeout_s


async def test_time_in_the_queue_is_taken_off_the_timeout(listener: ScriptedPeer) -> None:
    """G8, semantics 30: what goes out is what is left after waiting for a connection."""
    listener.manners = Manners().silent()
    async with channel_to(listener.endpoint) as channel:
        call = channel.unary(b"", timeout_s=30)
        peer = await listener.accept()
        call.deadline_s -= 20
        peer.send(peer.opening())
        request = await peer.request()
        peer.reply(request.stream_id)
        await finished(call)
        assert 9.0 < parse_grpc_timeout((request.field(b"grpc-timeout") or b"").decode()) <= 10.0


HEAD_BYTES = 600


@pytest.mark.parametrize("limit_bytes", [HEAD_BYTES, 65_535, 65_536, 100_000])
async def test_more_metadata_than_the_peer_takes(listener: ScriptedPeer, limit_bytes: int) -> None:
    """G14: the call fails here; the connection and the other calls do not."""
    listener.manners = Manners(settings={Setting.MAX_HEADER_LIST_SIZE: limit_bytes})
    async with channel_to(listener.endpoint) as channel:
        channel.channel.connect()
        peer = await listener.accept()
        await peer.in_step()
        for start in (channel.unary, channel.stream):
            error = await error_of(start(metadata=[(b"x-long", bytes(b"a" * limit_bytes))]))
            assert (error.code, error.reason, error.http) == (Code.RESOURCE_EXHAUSTED, "METADATA_TOO_LARGE", 431)
        assert len(channel.wheel) == 0
        call = channel.unary(metadata=[(b"x-long", b"a" * 50)])
        request = await peer.request()
        peer.reply(request.stream_id)
        await finished(call)
        assert len(peer.requests) == 1


async def test_more_metadata_than_the_engine_sends(link: Link) -> None:
    """G14: without a limit of the peer, ours holds; again only the call fails."""
    error = await error_of(link.channel.unary(metadata=[(b"x-long", b"a" * 300_000)]))
    assert (error.code, error.reason, error.http) == (Code.RESOURCE_EXHAUSTED, "METADATA_TOO_LARGE", 431)
    assert len(link.channel.wheel) == 0
    call = link.channel.unary()
    request = await link.peer.request()
    link.peer.reply(request.stream_id)
    await finished(call)
    assert len(link.peer.requests) == 1


async def test_a_head_longer_than_a_frame(link: Link) -> None:
    """A long list goes out as HEADERS and CONTINUATION."""
    value = bytes(range(0x20, 0x7F)) * 500
    call = link.channel.unary(metadata=[(b"x-long", value)])
    request = await link.peer.request()
    link.peer.reply(request.stream_id)
    await finished(call)
    assert values(request.fields, b"x-long") == [value]


async def test_the_user_agent_is_an_option(listener: ScriptedPeer) -> None:
    """Operators of backends see who calls."""
    async with channel_to(listener.endpoint, ChannelOptions(user_agent="mine/1")) as channel:
        call = channel.unary()
        peer = await listener.accept()
        request = await peer.request()
        peer.reply(request.stream_id)
        await finished(call)
        assert request.field(b"user-agent") == b"mine/1"
