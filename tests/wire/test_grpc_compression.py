"""Compression on the wire, both ways (G64)."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import Any

import pytest

from api_gateway.grpc.connectivity import ChannelOptions
from api_gateway.model.errors import GatewayError
from api_gateway.model.status import Code
from tests.support.channels import TestedChannel, channel_to, error_of
from tests.support.h2_frames import data
from tests.support.scripted_peer import ScriptedPeer, prefixed
from tests.wire.conftest import Link

KINDS = ["unary", "stream"]
TEXT = b"a text that shrinks, " * 200


def begin(channel: TestedChannel, kind: str) -> Any:
    """Start a call; what is returned is to be given to `outcome`."""
    return channel.unary() if kind == "unary" else channel.stream()


async def outcome(call: Any, kind: str) -> bytes | GatewayError:
    """Return the first message, or the error."""
    if kind == "unary":
        try:
            return bytes((await call).message)
        except GatewayError as error:
            return error
    try:
        message: bytes | None = await call.receive()
        assert message is not None
        return message
    except GatewayError as error:
        return error


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("encoding", [b"gzip", b"deflate"])
async def test_a_compressed_answer(link: Link, kind: str, encoding: bytes) -> None:
    """G64: read, whether or not it is what we asked for; what we ask for is in every request."""
    call = begin(link.channel, kind)
    request = await link.peer.request_head()
    assert request.field(b"grpc-accept-encoding") == b"identity,gzip"
    assert request.field(b"grpc-encoding") is None
    body = prefixed(gzip.compress(TEXT) if encoding == b"gzip" else zlib.compress(TEXT), flag=1)
    link.peer.send(
        link.peer.head(request.stream_id, (b"grpc-encoding", encoding)),
        data(request.stream_id, body),
        link.peer.trailers(request.stream_id),
    )
    assert await outcome(call, kind) == TEXT
    assert call.headers == []


async def until_reading(call: Any) -> None:
    """Let the loop turn until the call reads a long message, or has ended."""
    for _ in range(1_000_000):
        if call._inflation is not None or call.done():
            return
        await asyncio.sleep(0)


def send_long_answer(link: Link, stream_id: int, text: bytes) -> None:
    link.peer.send(
        link.peer.head(stream_id, (b"grpc-encoding", b"gzip")),
        data(stream_id, prefixed(gzip.compress(text), flag=1)),
        link.peer.trailers(stream_id),
    )


async def test_others_have_turns_while_a_long_answer_is_read(link: Link) -> None:
    """The call ends when its message was read, though its status came before."""
    call = link.channel.unary()
    send_long_answer(link, (await link.peer.request_head()).stream_id, bytes(4_000_000))
    await until_reading(call)
    turns = 0
    while not call.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 10
    assert (await call).message == bytes(4_000_000)


async def test_others_have_turns_while_a_long_message_of_a_stream_is_read(link: Link) -> None:
    call = link.channel.stream()
    send_long_answer(link, (await link.peer.request_head()).stream_id, bytes(4_000_000))
    await link.peer.in_step()
    receiver = asyncio.get_running_loop().create_task(call.receive())
    turns = 0
    while not receiver.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 10
    assert await receiver == bytes(4_000_000)
    assert await call.receive() is None


async def test_a_call_given_up_while_its_answer_is_read(link: Link) -> None:
    """Nothing is read any more, and nothing is answered twice."""
    call = link.channel.unary()
    send_long_answer(link, (await link.peer.request_head()).stream_id, bytes(8_000_000))
    await until_reading(call)
    call.cancel()
    for _ in range(200):
        await asyncio.sleep(0)
    assert call.cancelled()
    assert call.message == b""


async def test_every_message_stands_alone(link: Link) -> None:
    """G64: compressed and plain ones in any order, each with a context of its own."""
    call = link.channel.stream()
    stream_id = (await link.peer.request_head()).stream_id
    one = prefixed(gzip.compress(TEXT), flag=1)
    link.peer.send(
        link.peer.head(stream_id, (b"grpc-encoding", b"gzip")),
        data(stream_id, one + prefixed(b"plain") + one[:10]),
        data(stream_id, one[10:] + prefixed(gzip.compress(b""), flag=1)),
        link.peer.trailers(stream_id),
    )
    assert [await call.receive() for _ in range(5)] == [TEXT, b"plain", TEXT, b"", None]


GOOD = gzip.compress(TEXT)
WRONG: dict[str, tuple[bytes | None, bytes]] = {
    "flag without encoding": (None, prefixed(GOOD, flag=1)),
    "flag with identity": (b"identity", prefixed(GOOD, flag=1)),
    "unknown encoding": (b"snappy", prefixed(GOOD, flag=1)),
    "unknown encoding, plain message": (b"zstd", prefixed(TEXT)),
    "bad checksum": (b"gzip", prefixed(GOOD[:-8] + bytes(4) + GOOD[-4:], flag=1)),
    "cut": (b"gzip", prefixed(GOOD[:-9], flag=1)),
    "not gzip": (b"gzip", prefixed(TEXT, flag=1)),
    "empty": (b"gzip", prefixed(b"", flag=1)),
    "something behind": (b"gzip", prefixed(GOOD + b"x", flag=1)),
    "too large": (b"gzip", prefixed(gzip.compress(bytes(10_000_001)), flag=1)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", WRONG)
async def test_wrong_compression(listener: ScriptedPeer, kind: str, case: str) -> None:
    """G64: INTERNAL, a bomb of 1:1000 RESOURCE_EXHAUSTED; 502 for HTTP, and the call is given up."""
    encoding, body = WRONG[case]
    async with channel_to(listener.endpoint, ChannelOptions(max_message_bytes=10_000_000)) as channel:
        call = begin(channel, kind)
        peer = await listener.accept()
        stream_id = (await peer.request_head()).stream_id
        extra = [(b"grpc-encoding", encoding)] if encoding is not None else []
        peer.send(peer.head(stream_id, *extra), data(stream_id, body))
        error = await outcome(call, kind)
        assert isinstance(error, GatewayError)
        assert (error.code, error.http) == (Code.RESOURCE_EXHAUSTED if case == "too large" else Code.INTERNAL, 502)
        await peer.reset_of(stream_id)


async def test_what_waits_is_not_inflated(link: Link) -> None:
    """A window full of bombs: only what is received is inflated, one message at a time."""
    call = link.channel.stream()
    stream_id = (await link.peer.request_head()).stream_id
    bomb = prefixed(gzip.compress(bytes(16_000_000)), flag=1)
    link.peer.send(
        link.peer.head(stream_id, (b"grpc-encoding", b"gzip")),
        data(stream_id, bomb[:16_000]),
        data(stream_id, bomb[16_000:]),
    )
    await link.peer.in_step()
    held = [message for _, message in call._messages]
    assert [len(message) for message in held] == [len(bomb) - 5]
    message = await call.receive()
    assert message is not None
    assert len(message) == 16_000_000
    call.cancel()


async def test_an_error_that_comes_after_a_good_end(link: Link) -> None:
    """G64: the status was OK, the message cannot be read: an error all the same, never a clean end before it."""
    call = link.channel.stream()
    stream_id = (await link.peer.request_head()).stream_id
    link.peer.send(
        link.peer.head(stream_id, (b"grpc-encoding", b"gzip")),
        data(stream_id, prefixed(b"junk", flag=1)),
        link.peer.trailers(stream_id),
    )
    await link.peer.in_step()
    assert (await error_of(call.receive())).code == Code.INTERNAL


@pytest.mark.parametrize("kind", KINDS)
async def test_long_messages_are_sent_compressed(listener: ScriptedPeer, kind: str) -> None:
    """G64: from the configured size on, with the encoding in the head."""
    async with channel_to(listener.endpoint, ChannelOptions(compressed_from_bytes=1_000)) as channel:
        for message in (TEXT, b"short"):
            call: Any = channel.unary(message) if kind == "unary" else channel.stream()
            if kind == "stream":
                await call.send(message)
                call.close_send()
            peer = listener.connections[0] if listener.connections else await listener.accept()
            request = await peer.request()
            assert request.field(b"grpc-encoding") == b"gzip"
            content = gzip.decompress(request.body[5:]) if request.body[0] else request.body[5:]
            assert (request.body[0], content) == (int(message == TEXT), message)
            peer.reply(request.stream_id, b"fine")
            assert await outcome(call, kind) == b"fine"


async def test_identity_is_no_encoding(link: Link) -> None:
    """G64: servers may name it."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    peer = link.peer
    peer.send(
        peer.head(stream_id, (b"grpc-encoding", b"identity"), (b"grpc-accept-encoding", b"gzip")),
        data(stream_id, prefixed(b"abc")),
        peer.trailers(stream_id),
    )
    reply = await call
    assert (reply.message, reply.headers) == (b"abc", [])
