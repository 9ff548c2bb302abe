"""Deadlines and cancellation (G41 to G43; the timeout that is sent is in `test_grpc_requests.py`).

Time itself is tested here, so these use short real deadlines.
"""

from __future__ import annotations

import asyncio

import pytest

from api_gateway.grpc.connectivity import ChannelOptions
from api_gateway.model.errors import Source
from api_gateway.model.status import Code
from tests.support.channels import channel_to, code_of, error_of, finished
from tests.support.h2_frames import Error, Setting, data
from tests.support.scripted_peer import Manners, ScriptedPeer, prefixed
from tests.wire.conftest import Link

SHORT_S = 0.03


@pytest.mark.parametrize("moment", ["no answer", "after the head", "inside a message", "after the message"])
async def test_an_expired_call_is_reset(link: Link, moment: str) -> None:
    """G41: RST_STREAM CANCEL, DEADLINE_EXCEEDED, the slot is free, whatever had come by then."""
    call = link.channel.unary(timeout_s=SHORT_S)
    peer = link.peer
    stream_id = (await peer.request()).stream_id
    answer = {"after the head": b"", "inside a message": prefixed(b"ab", length=9), "after the message": prefixed(b"a")}
    if moment in answer:
        peer.send(peer.head(stream_id), data(stream_id, answer[moment]))
    error = await error_of(call)
    assert (error.code, error.reason, error.http) == (Code.DEADLINE_EXCEEDED, "UPSTREAM_TIMEOUT", 504)
    assert await peer.reset_of(stream_id) == Error.CANCEL
    assert link.channel.channel.open_streams == 0


async def test_a_late_answer_changes_nothing(link: Link) -> None:
    """G41: DEADLINE_EXCEEDED even if a late OK arrives; the connection lives."""
    call = link.channel.unary(timeout_s=SHORT_S)
    stream_id = (await link.peer.request()).stream_id
    assert await code_of(call) == Code.DEADLINE_EXCEEDED
    link.peer.reply(stream_id, b"late")
    await link.peer.in_step()
    assert await code_of(call) == Code.DEADLINE_EXCEEDED
    assert call.message == b""


async def test_a_deadline_is_kept_to_a_tick(link: Link) -> None:
    """Never early; late by a tick of 10 ms and what the machine takes."""
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    assert await code_of(link.channel.unary(timeout_s=SHORT_S)) == Code.DEADLINE_EXCEEDED
    # The clock of uvloop has a resolution of 1 ms.
    assert loop.time() - started_s >= SHORT_S - 0.001


async def test_the_deadline_covers_connecting(listener: ScriptedPeer) -> None:
    """G43: a backend that accepts and stays silent."""
    listener.manners = Manners().silent()
    async with channel_to(listener.endpoint) as channel:
        assert await code_of(channel.unary(timeout_s=SHORT_S)) == Code.DEADLINE_EXCEEDED
        assert channel.channel.queued_calls == 0
        assert (await listener.accept()).requests == {}


async def test_a_call_that_no_stream_was_free_for_says_nothing_of_the_backend(listener: ScriptedPeer) -> None:
    """G43, semantics 40: whoever holds all streams could open the breaker for everybody."""
    listener.manners = Manners(settings={Setting.MAX_CONCURRENT_STREAMS: 1})
    async with channel_to(listener.endpoint, ChannelOptions(pool_size=1)) as channel:
        held = channel.unary()
        peer = await listener.accept()
        stream_id = (await peer.request()).stream_id
        error = await error_of(channel.unary(timeout_s=SHORT_S))
        assert (error.code, error.reason, error.http) == (Code.DEADLINE_EXCEEDED, "UPSTREAM_QUEUE_TIMEOUT", 504)
        assert error.source is Source.GATEWAY
        peer.reply(stream_id)
        await finished(held)


async def test_a_stream_expires_while_it_receives_and_sends(link: Link) -> None:
    """G41: who waits for a message, or for window, gets DEADLINE_EXCEEDED."""
    link.peer.manners = link.peer.manners.without_window()
    call = link.channel.stream(timeout_s=SHORT_S)

    async def send_for_ever() -> None:
        while True:
            await call.send(bytes(100_000))

    codes = await asyncio.gather(code_of(call.receive()), code_of(send_for_ever()))
    assert set(codes) == {Code.DEADLINE_EXCEEDED}
    request = await link.peer.request_head()
    assert await link.peer.reset_of(request.stream_id) == Error.CANCEL


async def test_a_cancelled_call_is_reset(link: Link) -> None:
    """G42: the backend sees CANCEL at once."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    assert call.cancel()
    assert await link.peer.reset_of(stream_id) == Error.CANCEL
    assert not call.cancel()
    assert call.cancelled()


async def test_a_cancelled_task_resets_its_call(link: Link) -> None:
    """G42: a task that waits for a call and is cancelled takes the call with it."""
    task = link.channel.loop.create_task(finished(link.channel.unary()))
    stream_id = (await link.peer.request()).stream_id
    task.cancel()
    assert await link.peer.reset_of(stream_id) == Error.CANCEL
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancelled_receive_does_not_end_the_stream(link: Link) -> None:
    """Giving up waiting for one message is not giving up the call."""
    call = link.channel.stream()
    stream_id = (await link.peer.request_head()).stream_id
    task = link.channel.loop.create_task(call.receive())
    await link.peer.in_step()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    link.peer.send(link.peer.head(stream_id), data(stream_id, prefixed(b"one")))
    assert await call.receive() == b"one"
    call.cancel()


async def test_a_cancelled_stream_wakes_its_users(link: Link) -> None:
    """G42: who receives gets CancelledError; the backend CANCEL."""
    call = link.channel.stream()
    stream_id = (await link.peer.request_head()).stream_id
    task = link.channel.loop.create_task(call.receive())
    await link.peer.in_step()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await link.peer.reset_of(stream_id) == Error.CANCEL


async def test_a_call_cancelled_before_there_is_a_connection(listener: ScriptedPeer) -> None:
    """It never reaches the backend, and the connection serves others."""
    listener.manners = Manners().silent()
    async with channel_to(listener.endpoint) as channel:
        cancelled, other = channel.unary(b"1"), channel.unary(b"2")
        peer = await listener.accept()
        cancelled.cancel()
        peer.send(peer.opening())
        request = await peer.request()
        assert request.body == prefixed(b"2")
        peer.reply(request.stream_id)
        await finished(other)


async def test_cancelled_in_the_turn_it_was_opened(link: Link) -> None:
    """Head and reset may go out together; nothing is left over."""
    for call in [link.channel.unary() for _ in range(3)]:
        call.cancel()
    await link.peer.in_step()
    assert link.channel.channel.open_streams == 0
    assert all(request.reset_code == Error.CANCEL for request in link.peer.requests.values())
    call = link.channel.unary()
    await link.peer.wait_until(lambda: any(each.reset_code is None for each in link.peer.requests.values()))
    (stream_id,) = [number for number, each in link.peer.requests.items() if each.reset_code is None]
    link.peer.reply(stream_id)
    await finished(call)


async def test_a_hundred_deadlines_at_once(link: Link) -> None:
    """Each call its own end, none twice, all slots free."""
    calls = [link.channel.unary(timeout_s=SHORT_S) for _ in range(100)]
    assert [await code_of(call) for call in calls] == [Code.DEADLINE_EXCEEDED] * 100
    await link.peer.in_step()
    assert link.channel.channel.open_streams == 0
