"""A stream of messages without sockets: what is held, what is given back, who is woken.

How streams end is asked in `test_call.py`, together with unary calls.
"""

from __future__ import annotations

import asyncio
import gzip

import pytest

from api_gateway.grpc.stream_call import MAX_KEPT_BYTES
from api_gateway.http2.connection import STREAM_WINDOW_BYTES
from api_gateway.model.errors import GatewayError
from api_gateway.model.status import Code
from tests.support.h2_frames import MAX_STREAM_ID, Error, Kind, data, goaway, rst_stream
from tests.support.memory_link import MemoryLink
from tests.support.scripted_peer import prefixed
from tests.unit.grpc.test_call import Ended, nothing_left


@pytest.fixture
def link() -> MemoryLink:
    made = MemoryLink()
    made.greet()
    return made


def test_received_messages_hold_their_window(link: MemoryLink) -> None:
    """B16: what is not received is not given back, nor what is still worked on; at the latest with the end all is."""
    call = link.stream()
    link.feed(link.head(1), data(1, prefixed(b"one") + prefixed(b"two")))
    assert call._unconsumed_bytes == 16
    assert Ended(call.receive()).value == b"one"
    assert call._unconsumed_bytes == 16
    assert Ended(call.receive()).value == b"two"
    assert call._unconsumed_bytes == 16
    third = Ended(call.receive())
    assert call._unconsumed_bytes == 0
    link.feed(data(1, prefixed(b"three")), link.trailers(1))
    assert call._unconsumed_bytes == 0
    assert third.value == b"three"
    assert Ended(call.receive()).value is None
    nothing_left(link)


def test_part_of_a_message_holds_its_window_until_it_is_waited_for(link: MemoryLink) -> None:
    """B16: while somebody works on the message before it, it counts; G4: who waits gets it, however long it is."""
    link.owner.max_message_bytes = 4 * STREAM_WINDOW_BYTES
    call = link.stream()
    long = prefixed(bytes(3 * STREAM_WINDOW_BYTES))
    link.feed(link.head(1), data(1, prefixed(b"one") + long[:1_000]))
    assert Ended(call.receive()).value == b"one"
    link.feed(data(1, long[1_000:2_000]))
    assert call._unconsumed_bytes == 2_008
    waiting = Ended(call.receive())
    assert call._unconsumed_bytes == 0
    for start in range(2_000, len(long), 16_000):
        link.feed(data(1, long[start : start + 16_000]))
        assert call._unconsumed_bytes == 0 or waiting.is_done
        link.frames()
    assert waiting.value == long[5:]
    link.feed(link.trailers(1))
    assert Ended(call.receive()).value is None
    nothing_left(link)


def test_messages_come_before_the_error(link: MemoryLink) -> None:
    """G33: in the order of the wire."""
    call = link.stream()
    link.feed(link.head(1), data(1, prefixed(b"one")), link.trailers(1, b"9"))
    assert Ended(call.receive()).value == b"one"
    for _ in range(2):
        error = Ended(call.receive()).error
        assert isinstance(error, GatewayError)
        assert error.code == Code.FAILED_PRECONDITION


def test_a_waiting_receiver_is_resumed_by_the_message(link: MemoryLink) -> None:
    """Inside the read; and by the end."""
    call = link.stream()
    one = Ended(call.receive())
    link.feed(link.head(1), data(1, prefixed(b"one")))
    assert one.value == b"one"
    two = Ended(call.receive())
    link.feed(link.trailers(1))
    assert (two.is_done, two.value, two.error) == (True, None, None)


def test_a_receiver_that_answers_at_once(link: MemoryLink) -> None:
    """Ping-pong, resumed inside the read; the last answer meets a stream that the backend has ended."""
    call = link.stream()

    async def answer() -> int:
        count = 0
        while await call.receive() is not None:
            count += 1
            await call.send(b"pong")
        return count

    ended = Ended(answer())
    link.feed(link.head(1), data(1, prefixed(b"ping")))
    assert [each.payload for each in link.frames(Kind.DATA)] == [prefixed(b"pong")]
    link.feed(data(1, prefixed(b"ping")), link.trailers(1), rst_stream(1, Error.NO_ERROR))
    assert ended.is_done
    assert ended.error is None or isinstance(ended.error, GatewayError)
    nothing_left(link)


def test_sending_after_the_end(link: MemoryLink) -> None:
    """The error of the call, CANCELLED after status OK."""
    for status, code in ((b"0", Code.CANCELLED), (b"7", Code.PERMISSION_DENIED)):
        made = MemoryLink()
        made.greet()
        call = made.stream()
        made.feed(made.head(1), made.trailers(1, status))
        error = Ended(call.send(b"late")).error
        assert isinstance(error, GatewayError)
        assert error.code == code
        call.close_send()


def test_half_close_after_the_end_of_the_stream(link: MemoryLink) -> None:
    """Nothing is written for a stream that is gone."""
    call = link.stream()
    link.feed(rst_stream(1, Error.CANCEL))
    call.close_send()
    assert link.frames(Kind.DATA) == []


def test_silence_is_told_and_the_call_goes_on(link: MemoryLink) -> None:
    """semantics 23: what keeps event streams alive; the message that comes later is not lost."""
    call = link.stream()
    silent = Ended(call.receive(0.5))
    link.loop.advance(0.6)
    assert isinstance(silent.error, TimeoutError)
    waiting = Ended(call.receive(0.5))
    link.feed(link.head(1), data(1, prefixed(b"one")))
    assert waiting.value == b"one"
    link.loop.advance(1.0)
    assert not call.done()
    call.cancel()
    nothing_left(link)


# Placed again


@pytest.mark.parametrize("size_bytes", [0, 10, MAX_KEPT_BYTES - 5, MAX_KEPT_BYTES])
def test_a_refused_stream(link: MemoryLink, size_bytes: int) -> None:
    """G61, G63: placed again as long as all it sent is kept; what is too much commits it."""
    call = link.stream()
    if size_bytes:
        assert Ended(call.send(bytes(size_bytes))).is_done
    link.frames()
    link.feed(rst_stream(1, Error.REFUSED_STREAM))
    is_kept = size_bytes + 5 <= MAX_KEPT_BYTES
    assert link.owner.retried == ([call] if is_kept else [])
    assert call.done() is not is_kept
    call.cancel()
    nothing_left(link)


def test_a_stream_that_was_overtaken_by_goaway(link: MemoryLink) -> None:
    """G63: its messages went with the head that was not sent, and go again with the next one."""
    first = link.unary()
    link.frames()
    call = link.stream()
    assert Ended(call.send(b"first")).is_done
    link.feed(goaway(MAX_STREAM_ID))
    assert link.frames(Kind.HEADERS) == []
    assert (link.owner.retried, call.done()) == ([call], False)
    other = MemoryLink(loop=link.loop)
    other.greet()
    call.start(other.connection)
    assert b"".join(each.payload for each in other.frames(Kind.DATA)) == prefixed(b"first")
    call.cancel()
    first.cancel()
    nothing_left(link)


def test_an_answer_ends_the_keeping(link: MemoryLink) -> None:
    """G61: a response head commits the call; nothing more is kept."""
    call = link.stream()
    assert Ended(call.send(b"first")).is_done
    assert call._kept
    link.feed(link.head(1))
    assert call._kept == []
    assert Ended(call.send(b"second")).is_done
    assert call._kept == []
    call.cancel()
    nothing_left(link)


def test_a_long_request_that_was_answered_early_is_given_up(link: MemoryLink) -> None:
    """The backend's answer ends the call; what it has not read of a closed request is reset, not left lying."""
    call = link.stream()
    assert Ended(call.send(bytes(200_000))).is_done
    call.close_send()
    link.frames()
    link.feed(link.head(1), link.trailers(1))
    assert call.done()
    assert [each.number for each in link.frames(Kind.RST_STREAM)] == [Error.NO_ERROR]
    nothing_left(link)


async def test_a_call_given_up_while_its_message_is_read(link: MemoryLink) -> None:
    """G64: who receives is told, and nothing more is read."""
    link.owner.max_message_bytes = 4_000_000
    call = link.stream()
    link.feed(link.head(1, (b"grpc-encoding", b"gzip")), data(1, prefixed(gzip.compress(bytes(4_000_000)), flag=1)))
    receiver = asyncio.get_running_loop().create_task(call.receive())
    await asyncio.sleep(0)
    assert not receiver.done()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await receiver
    nothing_left(link)
