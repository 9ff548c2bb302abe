"""Streams of every kind, whose slow end holds its fast one and nobody else (G46, semantics 23 and 25)."""

from __future__ import annotations

import asyncio

from api_gateway.grpc.stream_call import StreamCall
from api_gateway.http2.connection import STREAM_WINDOW_BYTES
from tests.support.channels import finished
from tests.support.h2_frames import DEFAULT_WINDOW_BYTES, data, window_update
from tests.support.scripted_peer import prefixed
from tests.wire.conftest import Link

MESSAGE = bytes(20_000)


class Sender:
    """Sends messages as fast as it may, and counts."""

    def __init__(self, link: Link, call: StreamCall, count: int) -> None:
        self.sent_count = 0
        self._call = call
        self._count = count
        self.task = link.channel.loop.create_task(self._send())

    async def _send(self) -> None:
        for _ in range(self._count):
            await self._call.send(MESSAGE)
            self.sent_count += 1
        self._call.close_send()

    @property
    def sent_bytes(self) -> int:
        """Bytes that were taken from the sender."""
        return self.sent_count * (len(MESSAGE) + 5)


async def test_a_client_stream(link: Link) -> None:
    """Many messages, half-close, one answer."""
    call = link.channel.stream()
    sender = Sender(link, call, 50)
    request = await link.peer.request()
    await sender.task
    assert request.body == prefixed(MESSAGE) * 50
    link.peer.reply(request.stream_id, b"summary")
    assert [await call.receive(), await call.receive()] == [b"summary", None]


async def test_a_bidirectional_stream(link: Link) -> None:
    """Each message is answered before the next is sent; the half-close ends it."""
    call = link.channel.stream()
    peer = link.peer
    await call.send(b"ping 0")
    stream_id = (await peer.request_head()).stream_id
    peer.send(peer.head(stream_id))
    for number in range(1, 20):
        await peer.body_of(stream_id, b"".join(prefixed(b"ping %d" % each) for each in range(number)))
        peer.send(data(stream_id, prefixed(b"pong")))
        assert await call.receive() == b"pong"
        await call.send(b"ping %d" % number)
    call.close_send()
    await peer.wait_until(lambda: peer.requests[stream_id].has_ended)
    peer.send(peer.trailers(stream_id))
    assert await call.receive() is None


async def test_a_backend_that_does_not_read_holds_the_sender_only(link: Link) -> None:
    """In a bidirectional stream, what the backend sends goes on arriving; what it does not read is not piled up."""
    peer = link.peer
    peer.manners = peer.manners.without_window()
    call = link.channel.stream()
    sender = Sender(link, call, 40)
    stream_id = (await peer.request_head()).stream_id
    await peer.wait_until(lambda: len(peer.requests[stream_id].body) == DEFAULT_WINDOW_BYTES)
    peer.send(peer.head(stream_id))
    for _ in range(100):
        peer.send(data(stream_id, prefixed(bytes(10_000))))
        assert await call.receive() == bytes(10_000)
    assert sender.sent_bytes <= DEFAULT_WINDOW_BYTES + STREAM_WINDOW_BYTES + len(MESSAGE) + 5
    assert not sender.task.done()
    peer.send(window_update(0, 2**24), window_update(stream_id, 2**24))
    await sender.task
    await peer.wait_until(lambda: peer.requests[stream_id].has_ended)
    peer.send(peer.trailers(stream_id))
    assert await call.receive() is None


async def test_a_sender_that_is_held_does_not_hold_another(link: Link) -> None:
    """The backend opens the connection's window and one stream's: that one runs at full speed beside the other."""
    peer = link.peer
    peer.manners = peer.manners.without_window()
    slow, quick = link.channel.stream(), link.channel.stream()
    slow_sender = Sender(link, slow, 40)
    slow_id = (await peer.request_head()).stream_id
    quick_id = (await peer.request_head()).stream_id
    await peer.wait_until(lambda: len(peer.requests[slow_id].body) == DEFAULT_WINDOW_BYTES)
    peer.send(window_update(0, 2**24), window_update(quick_id, 2**24))
    quick_sender = Sender(link, quick, 40)
    await quick_sender.task
    await peer.wait_until(lambda: peer.requests[quick_id].has_ended)
    assert len(peer.requests[quick_id].body) == quick_sender.sent_bytes
    assert len(peer.requests[slow_id].body) == DEFAULT_WINDOW_BYTES
    assert slow_sender.sent_bytes <= DEFAULT_WINDOW_BYTES + STREAM_WINDOW_BYTES + len(MESSAGE) + 5
    slow.cancel()
    await asyncio.gather(slow_sender.task, return_exceptions=True)
    peer.reply(quick_id, b"done")
    assert await quick.receive() == b"done"
    await finished(quick)


async def test_what_a_slow_consumer_holds_is_bounded(link: Link) -> None:
    """Twenty streams that nobody reads: each holds one window and no more, and a call beside them is answered."""
    peer = link.peer
    calls = [link.channel.stream() for _ in range(20)]
    for call in calls:
        call.close_send()
    ids = [(await peer.request()).stream_id for _ in calls]
    for stream_id in ids:
        peer.send(peer.head(stream_id))
        await peer.send_body(stream_id, prefixed(bytes(1_019)) * (STREAM_WINDOW_BYTES // 1_024), frame_bytes=16_384)
    await peer.in_step()
    assert {peer.window_bytes(stream_id) for stream_id in ids} == {0}
    for call in calls:
        held = sum(len(message) for _, message in call._messages)
        assert held <= call._unconsumed_bytes <= STREAM_WINDOW_BYTES
    beside = link.channel.unary()
    peer.reply((await peer.request()).stream_id)
    await finished(beside)
    for call in calls:
        call.cancel()


async def test_an_answer_that_comes_before_the_request_ends(link: Link) -> None:
    """A backend that has seen enough: the sender is told, and the rest is not sent."""
    peer = link.peer
    peer.manners = peer.manners.without_window()
    call = link.channel.stream()
    sender = Sender(link, call, 40)
    stream_id = (await peer.request_head()).stream_id
    peer.reply(stream_id, b"enough")
    assert [await call.receive(), await call.receive()] == [b"enough", None]
    assert await peer.reset_of(stream_id) == 0
    (problem,) = await asyncio.gather(sender.task, return_exceptions=True)
    assert str(problem) == "the service ended the call"
