"""Transparent retry: exactly once, and only when the backend provably did not see the call (G63, semantics 31)."""

from __future__ import annotations

import pytest

from api_gateway.grpc.stream_call import MAX_KEPT_BYTES
from api_gateway.model.status import Code
from tests.support.channels import error_of
from tests.support.h2_frames import Error, data, goaway, rst_stream
from tests.support.scripted_peer import prefixed
from tests.wire.conftest import Link


async def test_a_refused_call_is_sent_again(link: Link) -> None:
    """G31, G63, semantics 31: REFUSED_STREAM; the second time it succeeds, with the same message and metadata."""
    call = link.channel.unary(b"hello", metadata=[(b"x-a", b"1"), (b"x-a", b"2")])
    first = await link.peer.request()
    link.peer.send(rst_stream(first.stream_id, Error.REFUSED_STREAM))
    second = await link.peer.request()
    assert second.body == first.body
    assert [each for each in second.fields if each[0] != b"grpc-timeout"] == [
        each for each in first.fields if each[0] != b"grpc-timeout"
    ]
    link.peer.reply(second.stream_id, b"world")
    reply = await call
    assert reply.message == b"world"
    assert len(link.peer.requests) == 2


async def test_a_call_refused_twice_fails(link: Link) -> None:
    """G63: once for REFUSED_STREAM, then UNAVAILABLE."""
    call = link.channel.unary(b"hello")
    for _ in range(2):
        link.peer.send(rst_stream((await link.peer.request()).stream_id, Error.REFUSED_STREAM))
    error = await error_of(call)
    assert (error.code, error.reason, error.http) == (Code.UNAVAILABLE, "UPSTREAM_RESET", 503)
    await link.peer.in_step()
    assert len(link.peer.requests) == 2


async def test_refused_then_above_the_last_stream_is_two_refusals(link: Link) -> None:
    """G63: both kinds count together."""
    call = link.channel.unary(b"hello")
    link.peer.send(rst_stream((await link.peer.request()).stream_id, Error.REFUSED_STREAM))
    await link.peer.request()
    link.peer.send(goaway(0))
    assert (await error_of(call)).code == Code.UNAVAILABLE
    await link.peer.closed()
    assert len(link.peer.requests) == 2


async def test_above_the_last_stream_twice_fails(link: Link) -> None:
    """G63: a backend that keeps saying GOAWAY gets the call twice, not for ever."""
    call = link.channel.unary(b"hello")
    await link.peer.request()
    link.peer.send(goaway(0))
    second = await link.listener.accept()
    await second.request()
    second.send(goaway(0))
    assert (await error_of(call)).code == Code.UNAVAILABLE
    await second.closed()
    assert len(link.listener.connections) == 2


NOT_RETRIED = [Error.NO_ERROR, Error.INTERNAL_ERROR, Error.CANCEL, Error.ENHANCE_YOUR_CALM, Error.STREAM_CLOSED]


@pytest.mark.parametrize("code", NOT_RETRIED)
async def test_other_resets_are_not_retried(link: Link, code: Error) -> None:
    """G63: the backend may have executed it."""
    call = link.channel.unary(b"hello")
    link.peer.send(rst_stream((await link.peer.request()).stream_id, code))
    await error_of(call)
    await link.peer.in_step()
    assert len(link.peer.requests) == 1


async def test_a_lost_connection_is_not_retried(link: Link) -> None:
    """G63: the backend may have executed it."""
    call = link.channel.unary(b"hello")
    await link.peer.request()
    link.peer.abort()
    assert (await error_of(call)).reason == "UPSTREAM_CONNECTION_LOST"
    assert len(link.listener.connections) == 1


@pytest.mark.parametrize("moment", ["head", "message"])
async def test_refused_after_an_answer_began_is_not_retried(link: Link, moment: str) -> None:
    """G61, G63: a response head commits the call, whatever the reset says afterwards."""
    call = link.channel.unary(b"hello")
    stream_id = (await link.peer.request()).stream_id
    frames = [link.peer.head(stream_id)]
    if moment == "message":
        frames.append(data(stream_id, prefixed(b"world")))
    link.peer.send(*frames, rst_stream(stream_id, Error.REFUSED_STREAM))
    assert (await error_of(call)).code == Code.UNAVAILABLE
    await link.peer.in_step()
    assert len(link.peer.requests) == 1


async def test_a_refused_stream_is_sent_again(link: Link) -> None:
    """G63: with everything it had sent until then."""
    call = link.channel.stream()
    await call.send(b"first")
    first = await link.peer.request_head()
    await link.peer.body_of(first.stream_id, prefixed(b"first"))
    await call.send(b"second")
    link.peer.send(rst_stream(first.stream_id, Error.REFUSED_STREAM))
    second = await link.peer.request_head()
    await link.peer.body_of(second.stream_id, prefixed(b"first") + prefixed(b"second"))
    await call.send(b"third")
    call.close_send()
    await link.peer.wait_until(lambda: second.has_ended)
    assert second.body == prefixed(b"first") + prefixed(b"second") + prefixed(b"third")
    link.peer.reply(second.stream_id, b"answer")
    assert [await call.receive(), await call.receive()] == [b"answer", None]


async def test_a_stream_above_the_last_one_is_sent_again(link: Link) -> None:
    """G35, G63: a server stream whose request was out when GOAWAY came goes to another connection."""
    call = link.channel.stream()
    await call.send(b"request")
    call.close_send()
    await link.peer.request()
    link.peer.send(goaway(0))
    other = await link.listener.accept()
    second = await other.request()
    assert second.body == prefixed(b"request")
    other.reply(second.stream_id, b"answer")
    assert [await call.receive(), await call.receive()] == [b"answer", None]


async def test_a_stream_that_sent_too_much_is_committed(link: Link) -> None:
    """G61: more than 64 KiB is not kept, so a refusal is an error."""
    call = link.channel.stream()
    await call.send(bytes(MAX_KEPT_BYTES))
    stream_id = (await link.peer.request_head()).stream_id
    link.peer.send(rst_stream(stream_id, Error.REFUSED_STREAM))
    assert (await error_of(call)).code == Code.UNAVAILABLE
    await link.peer.in_step()
    assert len(link.peer.requests) == 1


async def test_a_cancelled_call_is_not_retried(link: Link) -> None:
    """Cancelled between its refusal and its second start."""
    call = link.channel.unary(b"hello")
    stream_id = (await link.peer.request()).stream_id
    call.cancel()
    link.peer.send(rst_stream(stream_id, Error.REFUSED_STREAM))
    await link.peer.in_step()
    assert len(link.peer.requests) == 1


async def test_the_timeout_shrinks_with_a_retry(link: Link) -> None:
    """G8: what is left goes out, not what there was."""
    call = link.channel.unary(b"hello", timeout_s=30)
    first = await link.peer.request()
    call.deadline_s -= 20
    link.peer.send(rst_stream(first.stream_id, Error.REFUSED_STREAM))
    second = await link.peer.request()
    link.peer.reply(second.stream_id)
    assert (await call).message == b""
    sent = [int((request.field(b"grpc-timeout") or b"?").removesuffix(b"m")) for request in (first, second)]
    assert 29_000 < sent[0] <= 30_000
    assert 9_000 < sent[1] <= 10_000
