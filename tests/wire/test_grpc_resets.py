"""RST_STREAM and lost connections, frame by frame (G31 to G34, G39). GOAWAY is in `test_grpc_goaway.py`."""

from __future__ import annotations

import asyncio

import pytest

from api_gateway.grpc.stream_call import StreamCall
from api_gateway.grpc.unary_call import UnaryCall
from api_gateway.model.status import Code
from tests.support.channels import code_of, error_of
from tests.support.h2_frames import Error, data, rst_stream
from tests.support.scripted_peer import prefixed
from tests.wire.conftest import Link

CODES = [
    (Error.NO_ERROR, Code.INTERNAL),
    (Error.PROTOCOL_ERROR, Code.INTERNAL),
    (Error.INTERNAL_ERROR, Code.INTERNAL),
    (Error.FLOW_CONTROL_ERROR, Code.INTERNAL),
    (Error.SETTINGS_TIMEOUT, Code.INTERNAL),
    (Error.STREAM_CLOSED, Code.INTERNAL),
    (Error.FRAME_SIZE_ERROR, Code.INTERNAL),
    (Error.CANCEL, Code.CANCELLED),
    (Error.COMPRESSION_ERROR, Code.INTERNAL),
    (Error.CONNECT_ERROR, Code.INTERNAL),
    (Error.ENHANCE_YOUR_CALM, Code.RESOURCE_EXHAUSTED),
    (Error.INADEQUATE_SECURITY, Code.PERMISSION_DENIED),
    (Error.HTTP_1_1_REQUIRED, Code.INTERNAL),
    (0x77, Code.INTERNAL),
]
"""REFUSED_STREAM is in `test_grpc_retry.py`."""


@pytest.mark.parametrize(("sent", "code"), CODES, ids=[f"{int(sent)}-{code.name}" for sent, code in CODES])
async def test_reset_becomes_a_status(link: Link, sent: int, code: Code) -> None:
    """G31: the table of RST_STREAM codes; a number nobody knows is INTERNAL."""
    call = link.channel.unary(b"hello")
    request = await link.peer.request()
    link.peer.send(rst_stream(request.stream_id, sent))
    error = await error_of(call)
    assert (error.code, error.reason) == (code, "UPSTREAM_RESET")


async def test_reset_after_complete_trailers_is_success(link: Link) -> None:
    """G32: a server may reset with NO_ERROR what it has answered already."""
    call = link.channel.unary(b"hello")
    stream_id = (await link.peer.request()).stream_id
    peer = link.peer
    peer.send(
        peer.head(stream_id),
        data(stream_id, prefixed(b"world")),
        peer.trailers(stream_id),
        rst_stream(stream_id, Error.NO_ERROR),
    )
    assert (await call).message == b"world"
    await peer.in_step()
    assert link.channel.channel.open_streams == 0


@pytest.mark.parametrize("together", [True, False], ids=["one segment", "two segments"])
async def test_early_answer_to_an_open_stream_is_success(link: Link, together: bool) -> None:
    """G32: answered and reset while we are still sending; neither order of the two resets harms."""
    call = link.channel.stream()
    await call.send(b"first")
    stream_id = (await link.peer.request_head()).stream_id
    peer = link.peer
    answer = [peer.head(stream_id), data(stream_id, prefixed(b"world")), peer.trailers(stream_id)]
    reset = rst_stream(stream_id, Error.NO_ERROR)
    if together:
        peer.send(*answer, reset)
    else:
        peer.send(*answer)
        peer.send(reset)
    assert await call.receive() == b"world"
    assert await call.receive() is None
    await call
    await peer.in_step()
    assert link.channel.channel.open_streams == 0


@pytest.mark.parametrize("status", [Code.OK, Code.NOT_FOUND])
async def test_a_stream_answered_early_is_reset_with_no_error(link: Link, status: Code) -> None:
    """G32: what is left of our request is of no use, whether it went well or not; the slot is freed."""
    call = link.channel.stream()
    await call.send(b"first")
    stream_id = (await link.peer.request_head()).stream_id
    link.peer.send(link.peer.trailers_only(stream_id, status=b"%d" % status, message=b"gone"))
    if status == Code.OK:
        await call
    else:
        assert (await error_of(call)).code == status
    assert await link.peer.reset_of(stream_id) == Error.NO_ERROR


async def test_a_large_request_answered_early_is_not_sent_to_its_end(link: Link) -> None:
    """G32: the rest of a request that waits for window is given up with the answer."""
    link.peer.manners = link.peer.manners.without_window()
    call = link.channel.unary(bytes(300_000))
    request = await link.peer.request_head()
    link.peer.send(link.peer.trailers_only(request.stream_id, status=b"8", message=b"too much"))
    assert (await error_of(call)).code == Code.RESOURCE_EXHAUSTED
    assert await link.peer.reset_of(request.stream_id) == Error.NO_ERROR
    assert len(request.body) < 300_000


async def test_a_large_request_answered_with_success_is_not_sent_to_its_end(link: Link) -> None:
    """G32: nor after OK: the answer counts, and the slot is freed."""
    link.peer.manners = link.peer.manners.without_window()
    call = link.channel.unary(bytes(300_000))
    request = await link.peer.request_head()
    link.peer.reply(request.stream_id, b"enough")
    assert (await call).message == b"enough"
    assert await link.peer.reset_of(request.stream_id) == Error.NO_ERROR
    assert len(request.body) < 300_000


MOMENTS = ["after the head", "inside a message", "after all messages"]


@pytest.mark.parametrize("moment", MOMENTS)
async def test_reset_without_trailers_fails_a_unary_call(link: Link, moment: str) -> None:
    """G33: a message without a status is no success."""
    call = link.channel.unary(b"hello")
    stream_id = (await link.peer.request()).stream_id
    frames = [link.peer.head(stream_id)]
    if moment == "inside a message":
        frames.append(data(stream_id, prefixed(b"wo", length=5)))
    elif moment == "after all messages":
        frames.append(data(stream_id, prefixed(b"world")))
    link.peer.send(*frames, rst_stream(stream_id, Error.INTERNAL_ERROR))
    assert (await error_of(call)).code == Code.INTERNAL


@pytest.mark.parametrize("moment", MOMENTS)
async def test_reset_without_trailers_fails_a_stream(link: Link, moment: str) -> None:
    """G33: messages that came are given out, then the error."""
    call = link.channel.stream()
    call.close_send()
    stream_id = (await link.peer.request()).stream_id
    frames = [link.peer.head(stream_id)]
    expected = []
    if moment == "inside a message":
        frames.append(data(stream_id, prefixed(b"wo", length=5)))
    elif moment == "after all messages":
        frames.append(data(stream_id, prefixed(b"world")))
        expected.append(b"world")
    link.peer.send(*frames, rst_stream(stream_id, Error.INTERNAL_ERROR))
    assert [await call.receive() for _ in expected] == expected
    assert (await error_of(call)).code == Code.INTERNAL


async def test_cancel_by_the_backend_after_our_deadline_is_our_deadline(link: Link) -> None:
    """G34: the wheel may come a tick later than the backend's reset."""
    call = link.channel.unary(b"hello")
    stream_id = (await link.peer.request()).stream_id
    call.deadline_s = link.channel.loop.time()
    link.peer.send(rst_stream(stream_id, Error.CANCEL))
    assert (await error_of(call)).code == Code.DEADLINE_EXCEEDED


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_lost_connection_fails_every_call_once(link: Link, how: str) -> None:
    """G39: unary and streaming calls, at once, each exactly once."""
    ends: list[object] = []
    unary = [link.channel.unary(b"hello") for _ in range(5)]
    streams = [link.channel.stream() for _ in range(5)]
    for stream in streams:
        await stream.send(b"first")
    for _ in range(10):
        await link.peer.request_head()
    done = asyncio.Event()

    def ended(call: object) -> None:
        ends.append(call)
        if len(ends) == 10:
            done.set()

    calls: list[UnaryCall | StreamCall] = [*unary, *streams]
    for call in calls:
        call.on_done(ended)
    link.peer.close() if how == "close" else link.peer.abort()
    await done.wait()
    assert sorted(map(id, ends)) == sorted(map(id, calls))
    for call in calls:
        error = call.exception()
        assert error is not None
        assert (getattr(error, "code", None), getattr(error, "reason", None)) == (
            Code.UNAVAILABLE,
            "UPSTREAM_CONNECTION_LOST",
        )
    assert link.channel.channel.open_streams == 0


async def test_lost_connection_wakes_who_receives_and_who_sends(link: Link) -> None:
    """G39: nobody waits for a stream that is gone."""
    link.peer.manners = link.peer.manners.without_window()
    receiving, sending = link.channel.stream(), link.channel.stream()

    async def send_for_ever() -> None:
        while True:
            await sending.send(bytes(100_000))

    async with asyncio.timeout(20):
        async with asyncio.TaskGroup() as tasks:
            received = tasks.create_task(code_of(receiving.receive()))
            sent = tasks.create_task(code_of(send_for_ever()))
            await link.peer.request_head()
            await link.peer.request_head()
            link.peer.abort()
    assert (received.result(), sent.result()) == (Code.UNAVAILABLE, Code.UNAVAILABLE)
