"""Configured retries over connections (G61, G62, semantics 31); their rules, call by call, are in the unit tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from api_gateway.grpc.connectivity import ChannelOptions
from api_gateway.grpc.retries import RetryPolicy
from api_gateway.model.errors import GatewayError
from api_gateway.model.status import Code
from tests.support.channels import channel_to, error_of
from tests.support.scripted_peer import PeerRequest, ScriptedPeer
from tests.wire.conftest import Link

QUICK = RetryPolicy(max_attempts=3, initial_backoff_s=0.001, max_backoff_s=0.002)


@pytest.fixture
async def quick(listener: ScriptedPeer) -> AsyncIterator[Link]:
    """A connected channel that tries again after a millisecond."""
    async with channel_to(listener.endpoint, ChannelOptions(retry=QUICK, pool_size=1)) as channel:
        channel.channel.connect()
        yield Link(channel, await listener.accept(), listener)


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_a_lost_connection(quick: Link, kind: str) -> None:
    """The call goes to the next connection, with its message, its deadline and the count of attempts before."""

    async def ask() -> bytes | None:
        if kind == "unary":
            return (await quick.channel.unary(b"question", is_idempotent=True)).message
        stream = quick.channel.stream(is_idempotent=True)
        await stream.send(b"question")
        stream.close_send()
        answer = await stream.receive()
        assert await stream.receive() is None
        return answer

    answer = quick.channel.loop.create_task(ask())
    first = await quick.peer.request()
    quick.peer.abort()
    other = await quick.listener.accept()
    second = await other.request()
    assert (second.body, second.field(b"grpc-previous-rpc-attempts")) == (first.body, b"1")
    other.reply(second.stream_id, b"answer")
    assert await answer == b"answer"
    assert quick.channel.seen.retries == ["succeeded"]


async def test_attempts_and_what_each_says(quick: Link) -> None:
    """Three in all; the last error is the call's."""
    call = quick.channel.unary(b"question", is_idempotent=True)
    for attempt in range(3):
        request = await quick.peer.request()
        expected = str(attempt).encode() if attempt else None
        assert request.field(b"grpc-previous-rpc-attempts") == expected
        quick.peer.send(quick.peer.trailers_only(request.stream_id, status=b"14", message=b"no %d" % attempt))
    error = await error_of(call)
    assert (error.code, error.message, error.attempts) == (Code.UNAVAILABLE, "no 2", 3)
    assert quick.channel.seen.retries == ["failed", "failed"]


async def test_a_backend_that_fails_is_left_in_peace(quick: Link) -> None:
    """G62: of 200 calls to a backend that refuses all, the budget lets 49 attempts more through."""

    def refuse(request: PeerRequest) -> None:
        quick.peer.send(quick.peer.trailers_only(request.stream_id, status=b"14"))

    quick.peer.whole_request = refuse  # type: ignore[method-assign]  # a peer that answers by itself
    for _ in range(4):
        calls = [quick.channel.unary(is_idempotent=True) for _ in range(50)]
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(end, GatewayError) and end.code == Code.UNAVAILABLE for end in ends)
    assert len(quick.peer.requests) == 200 + 49
    assert quick.channel.seen.retries.count("failed") == 49
    assert quick.channel.seen.retries.count("throttled") > 0


async def test_a_channel_that_is_closed_ends_the_waiting(listener: ScriptedPeer) -> None:
    """At once, not after the delay."""
    policy = RetryPolicy(initial_backoff_s=30, max_backoff_s=30)
    async with channel_to(listener.endpoint, ChannelOptions(retry=policy)) as channel:
        call = channel.unary(is_idempotent=True)
        peer = await listener.accept()
        peer.send(peer.trailers_only((await peer.request()).stream_id, status=b"14"))
        await peer.in_step()
        assert call.is_waiting
        await channel.channel.aclose()
        assert (await error_of(call)).code == Code.UNAVAILABLE
