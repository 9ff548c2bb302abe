"""Windows, padding and back-pressure (G44 to G48)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from api_gateway.grpc.connectivity import ChannelOptions
from api_gateway.http2.connection import CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES
from api_gateway.model.status import Code
from tests.support.channels import channel_to, code_of, finished
from tests.support.h2_frames import (
    DEFAULT_WINDOW_BYTES,
    MAX_STREAM_ID,
    Error,
    Kind,
    Setting,
    data,
    settings,
    window_update,
)
from tests.support.scripted_peer import PATIENCE_S, Manners, ScriptedPeer, prefixed
from tests.wire.conftest import Link


async def test_windows_announced(link: Link) -> None:
    """Every stream its own, the connection as much as a hundred of them."""
    await link.peer.in_step()
    assert link.peer.client_settings[Setting.INITIAL_WINDOW_SIZE] == STREAM_WINDOW_BYTES
    assert link.peer.window_bytes(0) == CONNECTION_WINDOW_BYTES


async def test_padding_counts(link: Link) -> None:
    """G45: 300 kB as 5-byte DATA with 255 bytes of padding each, 15 MB of window: no deadlock."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    body = prefixed(bytes(300_000))
    link.peer.send(link.peer.head(stream_id))
    await link.peer.send_body(stream_id, body, frame_bytes=5, padding=255)
    link.peer.send(link.peer.trailers(stream_id))
    assert len((await call).message) == 300_000
    # Window is told back in halves, so at most half of it may be owed.
    await link.peer.in_step()
    assert link.peer.window_bytes(0) >= CONNECTION_WINDOW_BYTES // 2


async def test_frames_of_nothing_but_padding(link: Link) -> None:
    """G45: their window comes back too."""
    call = link.channel.unary()
    stream_id = (await link.peer.request()).stream_id
    link.peer.send(link.peer.head(stream_id))
    for _ in range(3 * STREAM_WINDOW_BYTES // 256):
        await link.peer.window(stream_id, 256)
        link.peer.send(data(stream_id, b"", padding=255))
    link.peer.send(data(stream_id, prefixed(b"abc")), link.peer.trailers(stream_id))
    assert (await call).message == b"abc"


async def test_a_slow_consumer_holds_its_stream_and_no_other(link: Link) -> None:
    """G46: the backend is stopped by the stream's window, while another stream runs at full speed."""
    slow, quick = link.channel.stream(), link.channel.stream()
    slow.close_send()
    quick.close_send()
    peer = link.peer
    slow_id, quick_id = (await peer.request()).stream_id, (await peer.request()).stream_id
    message = prefixed(bytes(1_019))
    count = STREAM_WINDOW_BYTES // len(message)
    peer.send(peer.head(slow_id), peer.head(quick_id))
    await peer.send_body(slow_id, message * count, frame_bytes=1_024)
    await peer.in_step()
    assert peer.window_bytes(slow_id) == 0
    for _ in range(3):
        sending = link.channel.loop.create_task(peer.send_body(quick_id, message * 2 * count, frame_bytes=1_024))
        for _ in range(2 * count):
            assert await quick.receive() == bytes(1_019)
        await sending
    assert peer.window_bytes(slow_id) == 0
    for _ in range(count):
        assert await slow.receive() == bytes(1_019)
    end = link.channel.loop.create_task(slow.receive())
    await peer.window(slow_id, STREAM_WINDOW_BYTES // 2)
    peer.send(peer.trailers(slow_id), peer.trailers(quick_id))
    assert [await end, await quick.receive()] == [None, None]


async def test_a_message_longer_than_the_window(link: Link) -> None:
    """G4: over more DATA frames than the window holds; it opens for the rest of a message nobody can receive yet."""
    call = link.channel.stream()
    call.close_send()
    stream_id = (await link.peer.request()).stream_id
    link.peer.send(link.peer.head(stream_id))
    body = prefixed(b"small") + prefixed(bytes(4 * STREAM_WINDOW_BYTES))
    sending = link.channel.loop.create_task(link.peer.send_body(stream_id, body))
    assert await call.receive() == b"small"
    assert await call.receive() == bytes(4 * STREAM_WINDOW_BYTES)
    await sending
    link.peer.send(link.peer.trailers(stream_id))
    assert await call.receive() is None


ENDS = ["cancelled", "expired", "too large", "broken", "unread", "answered early"]
SMALL_WINDOW_BYTES = 2**20


@pytest.fixture
async def small_link(listener: ScriptedPeer) -> AsyncIterator[Link]:
    """A link whose connection has a window of 1 MiB, so that tests need not fill 25."""
    options = ChannelOptions(connection_window_bytes=SMALL_WINDOW_BYTES)
    async with channel_to(listener.endpoint, options) as channel:
        channel.channel.connect()
        yield Link(channel, await listener.accept(), listener)


async def settled_window(link: Link) -> int:
    """Return the connection's window at a moment when everything consumed was told back.

    The engine tells it in halves of the window, so data is sent, frame by frame, until it does.
    """
    peer = link.peer
    call = link.channel.unary()
    stream_id = (await peer.request()).stream_id
    peer.send(peer.head(stream_id))
    while True:
        before = peer.window_bytes(0)
        peer.send(data(stream_id, prefixed(bytes(1_019)) if before % 2 else prefixed(b"", length=2**20)))
        await peer.in_step()
        if peer.window_bytes(0) > before:
            call.cancel()
            return peer.window_bytes(0)


@pytest.mark.parametrize("end", ENDS)
async def test_the_connections_window_comes_back(small_link: Link, end: str) -> None:
    """G44: whatever ends a stream with data on its way or held, the connection's window does not shrink."""
    for _ in range(4):
        await end_with_data(small_link, end)
    assert await settled_window(small_link) == SMALL_WINDOW_BYTES


async def end_with_data(link: Link, end: str) -> None:
    """End one stream in one of the ways, while it holds 100 kB and more is on its way."""
    peer = link.peer
    call = link.channel.stream(timeout_s=0.05 if end == "expired" else 60)
    stream_id = (await peer.request_head()).stream_id
    held = prefixed(bytes(100_000))
    peer.send(peer.head(stream_id), *[data(stream_id, held[at : at + 10_000]) for at in range(0, len(held), 10_000)])
    late = data(stream_id, bytes(16_000))
    match end:
        case "broken":
            peer.send(data(stream_id, b"\x09" + bytes(15_000)))
            assert await code_of(call) == Code.INTERNAL
        case "too large":
            peer.send(data(stream_id, prefixed(b"", length=2**31)))
            assert await code_of(call) == Code.RESOURCE_EXHAUSTED
        case "unread":
            peer.send(peer.trailers(stream_id))
            await finished(call)
            late = b""
        case "answered early":
            peer.send(peer.trailers(stream_id, status=b"5"))
            assert await code_of(call) == Code.NOT_FOUND
            late = b""
        case "expired":
            assert await code_of(call) == Code.DEADLINE_EXCEEDED
        case _:
            await peer.in_step()
            call.cancel()
    # What was on its way when the reset came.
    peer.send(late)
    await peer.in_step()


async def test_a_reset_inside_a_frame_costs_window_until_the_connection_is_replaced(small_link: Link) -> None:
    """G44, a deviation of the engine: it forgets the half of a DATA frame that came before our reset.

    Before the connection comes to a standstill it is retired; calls go on over a new one.
    """
    peer, channel = small_link.peer, small_link.channel
    (connection,) = channel.channel._connections
    resets = 0
    while not connection.is_draining:
        call = channel.stream()
        stream_id = (await peer.request_head()).stream_id
        frame = data(stream_id, bytes(16_000))
        before = connection._h2.local_window_size
        peer.send(peer.head(stream_id), frame[:15_000])
        async with asyncio.timeout(PATIENCE_S):
            while connection._h2.local_window_size == before:  # noqa: ASYNC110 - nobody tells of half a frame
                await asyncio.sleep(0)
        call.cancel()
        await peer.reset_of(stream_id)
        peer.send(frame[15_000:])
        resets += 1
    assert resets * 15_000 < SMALL_WINDOW_BYTES
    assert [reason.partition(": ")[2] for reason in channel.seen.lost] == ["its window is used up"]
    await peer.closed()
    call_after = channel.unary()
    other = await small_link.listener.accept()
    other.reply((await other.request()).stream_id)
    await finished(call_after)


async def test_data_for_a_cancelled_stream_returns_its_window(link: Link) -> None:
    """G44: more than the connection's window, all of it to streams that are cancelled: it never runs dry."""
    peer = link.peer
    sent_bytes = 0
    while sent_bytes < 2 * CONNECTION_WINDOW_BYTES:
        call = link.channel.stream()
        stream_id = (await peer.request_head()).stream_id
        peer.send(peer.head(stream_id))
        await peer.send_body(stream_id, bytes(5) * 1_000)
        call.cancel()
        await peer.reset_of(stream_id)
        size_bytes = min(STREAM_WINDOW_BYTES - 5_000, peer.window_bytes(0))
        assert size_bytes > 16_384
        peer.send(*[data(stream_id, bytes(16_384)) for _ in range(size_bytes // 16_384)])
        sent_bytes += size_bytes
    await peer.window(0, CONNECTION_WINDOW_BYTES // 2)


async def test_a_window_that_shrinks_below_zero(link: Link) -> None:
    """G47: SETTINGS_INITIAL_WINDOW_SIZE lowered while a request is under way stops it until updates come."""
    peer = link.peer
    peer.manners = peer.manners.without_window()
    call = link.channel.unary(bytes(100_000))
    request = await peer.request_head()
    await peer.wait_until(lambda: len(request.body) == DEFAULT_WINDOW_BYTES)
    peer.send(settings({Setting.INITIAL_WINDOW_SIZE: 1_000}))
    peer.send(window_update(0, 2**20))
    # The stream's window is now 1,000 - 65,535: as much has to come back before one byte may be sent.
    peer.send(window_update(request.stream_id, DEFAULT_WINDOW_BYTES - 1_000))
    await peer.in_step()
    assert len(request.body) == DEFAULT_WINDOW_BYTES
    peer.send(window_update(request.stream_id, 10))
    await peer.wait_until(lambda: len(request.body) == DEFAULT_WINDOW_BYTES + 10)
    peer.send(settings({Setting.INITIAL_WINDOW_SIZE: 2**20}))
    await peer.wait_until(lambda: request.has_ended)
    peer.reply(request.stream_id)
    await finished(call)


async def test_the_sender_of_a_stream_waits_for_window(link: Link) -> None:
    """A backend that does not read holds the sender, not the memory; more window lets it go on."""
    peer = link.peer
    peer.manners = peer.manners.without_window()
    call = link.channel.stream()
    sent_count = 0

    async def send_all() -> None:
        nonlocal sent_count
        for _ in range(40):
            await call.send(bytes(50_000))
            sent_count += 1
        call.close_send()

    sending = link.channel.loop.create_task(send_all())
    request = await peer.request_head()
    await peer.wait_until(lambda: len(request.body) == DEFAULT_WINDOW_BYTES)
    await peer.in_step()
    assert sent_count * 50_000 <= DEFAULT_WINDOW_BYTES + STREAM_WINDOW_BYTES + 50_000
    peer.send(window_update(0, 2**24), window_update(request.stream_id, 2**24))
    await peer.wait_until(lambda: request.has_ended)
    await sending
    assert len(request.body) == 40 * 50_005
    peer.reply(request.stream_id)
    assert await call.receive() == b""
    await finished(call)


@pytest.mark.parametrize("where", ["stream", "connection"])
@pytest.mark.parametrize("increment", [0, MAX_STREAM_ID], ids=["zero", "overflow"])
async def test_bad_window_updates(link: Link, where: str, increment: int) -> None:
    """G48: an error of the stream or of the connection; this engine ends the connection in all four cases."""
    peer = link.peer
    call = link.channel.stream()
    stream_id = (await peer.request_head()).stream_id
    await peer.in_step()
    peer.send(window_update(stream_id if where == "stream" else 0, increment))
    assert await code_of(call) == Code.UNAVAILABLE
    code = Error.FLOW_CONTROL_ERROR if increment else Error.PROTOCOL_ERROR
    assert (await peer.frame(Kind.GOAWAY)).goaway[1] == code
    await peer.closed()


@pytest.mark.parametrize("where", ["stream", "connection"])
async def test_more_data_than_the_window(small_link: Link, where: str) -> None:
    """A peer that ignores our windows loses the connection, not our memory."""
    peer = small_link.peer
    count = 1 if where == "stream" else SMALL_WINDOW_BYTES // STREAM_WINDOW_BYTES
    calls = [small_link.channel.stream() for _ in range(count + 1)]
    ids = [(await peer.request_head()).stream_id for _ in calls]
    peer.send(*[peer.head(stream_id) for stream_id in ids])
    for stream_id in ids[:-1]:
        await peer.send_body(stream_id, prefixed(b"") + bytes(STREAM_WINDOW_BYTES - 5))
    await peer.in_step()
    peer.send(data(ids[0] if where == "stream" else ids[-1], b"x"))
    for call in calls:
        assert await code_of(call) == Code.UNAVAILABLE
    assert (await peer.frame(Kind.GOAWAY)).goaway[1] == Error.FLOW_CONTROL_ERROR
    await peer.closed()


async def test_an_upload_does_not_hold_other_calls(listener: ScriptedPeer) -> None:
    """G46: a large request without window, and small ones beside it on the same connection."""
    listener.manners = Manners().without_window()
    async with channel_to(listener.endpoint) as channel:
        large = channel.unary(bytes(1_000_000))
        peer = await listener.accept()
        large_id = (await peer.request_head()).stream_id
        # The connection's window is opened, the stream's is not.
        peer.send(window_update(0, 2**20))
        for _ in range(20):
            call = channel.unary(bytes(100))
            request = await peer.request()
            peer.reply(request.stream_id)
            await finished(call)
        peer.send(window_update(large_id, 2**20))
        await peer.wait_until(lambda: peer.requests[large_id].has_ended)
        peer.reply(large_id)
        await finished(large)


async def test_many_streams_share_the_connection_fairly(link: Link) -> None:
    """G46: fifty streams, each answered with half a window, none read until all came: all complete."""
    peer = link.peer
    calls = [link.channel.stream() for _ in range(50)]
    for call in calls:
        call.close_send()
    ids = [(await peer.request()).stream_id for _ in calls]
    body = prefixed(bytes(STREAM_WINDOW_BYTES // 2))
    async with asyncio.TaskGroup() as tasks:
        for stream_id in ids:
            peer.send(peer.head(stream_id))
            tasks.create_task(peer.send_body(stream_id, body))
    for stream_id in ids:
        peer.send(peer.trailers(stream_id))
    for call in calls:
        assert await call.receive() == bytes(STREAM_WINDOW_BYTES // 2)
        assert await call.receive() is None
