"""Messages of an answer: slices, flags, limits, their number (G3, G4, G6, G26 to G28; G64 in part)."""

from __future__ import annotations

import pytest

from api_gateway.grpc.connectivity import ChannelOptions
from api_gateway.model.status import Code
from tests.support.channels import channel_to, error_of
from tests.support.h2_frames import Error, data
from tests.support.scripted_peer import ScriptedPeer, prefixed
from tests.wire.conftest import Link


@pytest.mark.parametrize("slice_bytes", [1, 4, 5, 6, 1_000])
async def test_messages_in_slices(link: Link, slice_bytes: int) -> None:
    """G4: one message over any number of DATA frames, the prefix cut as well."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    body = prefixed(b"the message")
    frames = [data(stream_id, body[at : at + slice_bytes]) for at in range(0, len(body), slice_bytes)]
    link.peer.send(link.peer.head(stream_id), *frames, data(stream_id, b""), link.peer.trailers(stream_id))
    assert (await call).message == b"the message"


async def test_many_messages_in_one_frame(link: Link) -> None:
    """G4, G6: with an empty one among them, which is a message too."""
    call = link.channel.stream()
    call.close_send()
    stream_id = (await link.peer.request()).stream_id
    messages = [b"one", b"", b"three", b""]
    link.peer.send(link.peer.head(stream_id), data(stream_id, b"".join(map(prefixed, messages))))
    assert [await call.receive() for _ in messages] == messages
    link.peer.send(link.peer.trailers(stream_id))
    assert await call.receive() is None


async def test_an_empty_message_is_an_answer(link: Link) -> None:
    """G6: five bytes on the wire."""
    call = link.channel.unary()
    link.peer.reply((await link.peer.request()).stream_id, b"")
    assert (await call).message == b""


@pytest.mark.parametrize("flag", [2, 3, 0x80, 0xFF])
async def test_other_flags(link: Link, flag: int) -> None:
    """G3: INTERNAL, and the stream is given up."""
    for start in (link.channel.unary, link.channel.stream):
        call = start()
        stream_id = (await link.peer.request_head()).stream_id
        link.peer.send(link.peer.head(stream_id), data(stream_id, prefixed(b"abc", flag=flag)))
        error = await error_of(call)
        assert (error.code, error.reason, error.http) == (Code.INTERNAL, "UPSTREAM_PROTOCOL_ERROR", 502)
        assert f"flag is {flag}" in error.log_reason
        assert await link.peer.reset_of(stream_id) == Error.CANCEL


@pytest.mark.parametrize("content", [b"", bytes(101)], ids=["prefix only", "whole in one frame"])
@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_a_message_over_the_limit(listener: ScriptedPeer, kind: str, content: bytes) -> None:
    """G28: decided from the prefix, before any of it came, and all the same when all of it did."""
    async with channel_to(listener.endpoint, ChannelOptions(max_message_bytes=100)) as channel:
        call = channel.unary() if kind == "unary" else channel.stream()
        peer = await listener.accept()
        stream_id = (await peer.request_head()).stream_id
        peer.send(peer.head(stream_id), data(stream_id, prefixed(content, length=101)))
        error = await error_of(call)
        assert (error.code, error.reason, error.http) == (Code.RESOURCE_EXHAUSTED, "UPSTREAM_MESSAGE_TOO_LARGE", 502)
        assert await peer.reset_of(stream_id) == Error.CANCEL


async def test_a_message_at_the_limit(listener: ScriptedPeer) -> None:
    """G28: the limit itself is allowed."""
    async with channel_to(listener.endpoint, ChannelOptions(max_message_bytes=100)) as channel:
        call = channel.unary()
        peer = await listener.accept()
        peer.reply((await peer.request()).stream_id, bytes(100))
        assert (await call).message == bytes(100)


@pytest.mark.parametrize("ending", ["trailers", "end of stream"])
@pytest.mark.parametrize("kind", ["unary", "stream"])
@pytest.mark.parametrize("got", [b"\0", prefixed(b"hel", length=5), prefixed(b"whole") + b"\0\0\0"], ids=len)
async def test_a_truncated_message(link: Link, kind: str, ending: str, got: bytes) -> None:
    """G27: INTERNAL, never a short message."""
    call = link.channel.unary() if kind == "unary" else link.channel.stream()
    stream_id = (await link.peer.request_head()).stream_id
    peer = link.peer
    if ending == "trailers":
        peer.send(peer.head(stream_id), data(stream_id, got), peer.trailers(stream_id))
    else:
        peer.send(peer.head(stream_id), data(stream_id, got, end_stream=True))
    error = await error_of(call)
    assert (error.code, error.http) == (Code.INTERNAL, 502)


@pytest.mark.parametrize("count", [0, 2, 3])
@pytest.mark.parametrize("together", [True, False], ids=["one frame", "a frame each"])
async def test_unary_with_another_number_of_messages(link: Link, count: int, together: bool) -> None:
    """G26, semantics 21: UNIMPLEMENTED for gRPC and 502 for HTTP; never a hang, never the first one of two."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    peer = link.peer
    messages = [prefixed(b"m%d" % number) for number in range(count)]
    frames = [data(stream_id, b"".join(messages))] if together else [data(stream_id, each) for each in messages]
    peer.send(peer.head(stream_id), *frames, peer.trailers(stream_id))
    error = await error_of(call)
    assert (error.code, error.http, error.reason) == (Code.UNIMPLEMENTED, 502, "UPSTREAM_PROTOCOL_ERROR")


async def test_two_messages_fail_before_the_end(link: Link) -> None:
    """G26: nobody waits for trailers that may never come."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    link.peer.send(link.peer.head(stream_id), data(stream_id, prefixed(b"a") + prefixed(b"b")))
    assert (await error_of(call)).code == Code.UNIMPLEMENTED
    assert await link.peer.reset_of(stream_id) == Error.CANCEL
