"""Heads of an answer: informational, second, malformed, too large (G22, G29, G30)."""

from __future__ import annotations

import pytest

from api_gateway.model.status import Code
from tests.support.channels import code_of, error_of, finished
from tests.support.h2_frames import Error, Kind, data, headers
from tests.support.scripted_peer import prefixed
from tests.wire.conftest import Link


async def test_informational_heads_are_skipped(link: Link) -> None:
    """G22: 100, 103 and others, before the head."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    peer = link.peer
    for status in (b"100", b"103", b"102"):
        peer.send(peer.fields(stream_id, [(b":status", status), (b"x-early", b"1")]))
    peer.reply(stream_id, b"abc")
    reply = await call
    assert (reply.message, reply.headers) == (b"abc", [])


async def test_too_many_informational_heads(link: Link) -> None:
    """G22: refused after 16; the connection lives."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    for _ in range(40):
        link.peer.send(link.peer.fields(stream_id, [(b":status", b"103")]))
    assert await code_of(call) == Code.INTERNAL
    assert await link.peer.reset_of(stream_id) == Error.PROTOCOL_ERROR
    await link.peer.in_step()


async def test_an_informational_head_that_ends_the_stream(link: Link) -> None:
    """G22: malformed (RFC 9113 section 8.1)."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    link.peer.send(link.peer.fields(stream_id, [(b":status", b"103")], end_stream=True))
    assert await code_of(call) == Code.INTERNAL


async def test_a_second_head(link: Link) -> None:
    """G30: a response head where only trailers may come fails the call, not the connection."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    link.peer.send(link.peer.head(stream_id), link.peer.head(stream_id))
    assert await code_of(call) == Code.INTERNAL
    await link.peer.in_step()


async def test_trailers_that_do_not_end_the_stream(link: Link) -> None:
    """G30: head, trailers without END_STREAM, trailers."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    peer = link.peer
    peer.send(
        peer.head(stream_id),
        data(stream_id, prefixed(b"abc")),
        peer.fields(stream_id, [(b"grpc-status", b"0")]),
        peer.trailers(stream_id),
    )
    assert await code_of(call) == Code.INTERNAL
    await peer.in_step()


async def test_a_body_before_the_head(link: Link) -> None:
    """DATA where a head must come: the engine takes that for an error of the connection (RFC 9113 section 8.1.1)."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    link.peer.send(data(stream_id, prefixed(b"abc")))
    assert await code_of(call) == Code.UNAVAILABLE
    assert (await link.peer.frame(Kind.GOAWAY)).goaway[1] == Error.PROTOCOL_ERROR
    await link.peer.closed()


@pytest.mark.parametrize(
    "field", [(b"X-Upper", b"1"), (b"connection", b"close"), (b"x-a", b"a\nb"), (b":extra", b"1"), (b"te", b"gzip")]
)
async def test_fields_http2_forbids(link: Link, field: tuple[bytes, bytes]) -> None:
    """A malformed response fails its call only (RFC 9113 section 8.2)."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    link.peer.send(link.peer.fields(stream_id, [(b":status", b"200"), field]))
    assert await code_of(call) == Code.INTERNAL
    await link.peer.in_step()


async def test_a_head_over_the_limit(link: Link) -> None:
    """G29, a deviation: the engine ends the connection, so its other calls fail with UNAVAILABLE too."""
    calls = [link.channel.unary(), link.channel.unary()]
    stream_id = (await link.peer.request()).stream_id
    link.peer.send(link.peer.head(stream_id, *[(b"x-%d" % number, b"v" * 1_000) for number in range(80)]))
    errors = [await error_of(call) for call in calls]
    assert [(error.code, error.reason) for error in errors] == [(Code.UNAVAILABLE, "UPSTREAM_CONNECTION_LOST")] * 2
    assert "header list exceeds" in errors[0].log_reason
    await link.peer.closed()


async def test_a_head_just_below_the_limit(link: Link) -> None:
    """G29: 64 KiB as SETTINGS_MAX_HEADER_LIST_SIZE announces, over several CONTINUATION frames."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    peer = link.peer
    value = bytes(range(0x21, 0x7F)) * 10
    peer.send(peer.head(stream_id, *[(b"x-%02d" % number, value) for number in range(64)]))
    peer.send(data(stream_id, prefixed(b"abc")), peer.trailers(stream_id))
    assert len((await call).headers) == 64


async def test_endless_continuation(link: Link) -> None:
    """A head that never ends is cut off by the engine."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    link.peer.send(headers(stream_id, b"", end_headers=False))
    for _ in range(40):
        link.peer.send(b"\0\0\0\x09\0" + stream_id.to_bytes(4, "big"))
    assert (await error_of(call)).code == Code.UNAVAILABLE
    await link.peer.closed()


async def test_the_connection_serves_on_after_every_broken_answer(link: Link) -> None:
    """One bad answer is one failed call."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    link.peer.send(link.peer.head(stream_id), data(stream_id, prefixed(b"a", flag=9)))
    await error_of(call)
    call = link.channel.unary()
    link.peer.reply((await link.peer.request()).stream_id)
    await finished(call)
    assert len(link.listener.connections) == 1
