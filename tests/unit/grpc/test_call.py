"""One call without sockets: what a status, a reset, a deadline or a lost connection makes of it.

Frame by frame, over sockets, the same is in `tests/wire`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import ngh2
import pytest

from api_gateway.grpc.call import Call
from api_gateway.grpc.stream_call import StreamCall
from api_gateway.model.errors import GatewayError
from api_gateway.model.status import Code
from api_gateway.waiting import Runner
from tests.support.h2_frames import MAX_STREAM_ID, Error, Kind, Setting, data, goaway, rst_stream, settings
from tests.support.memory_link import HEAD, MemoryLink
from tests.support.scripted_peer import prefixed


@pytest.fixture
def link() -> MemoryLink:
    made = MemoryLink()
    made.greet()
    return made


def error_of(call: Call[Any]) -> GatewayError:
    """Return the error of a call that has ended."""
    error = call.exception()
    assert isinstance(error, GatewayError)
    return error


def code_of(call: Call[Any]) -> int:
    return error_of(call).code


def nothing_left(link: MemoryLink) -> None:
    """No deadline, no stream."""
    link.frames()
    assert (len(link.owner.wheel), link.connection.streams) == (0, {})


class Ended:
    """Runs a coroutine as requests are run, and keeps how it ended."""

    def __init__(self, coroutine: Coroutine[Any, None, Any]) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.is_done = False
        Runner(coroutine, self._end).start()

    def _end(self, value: Any, error: BaseException | None) -> None:
        assert not self.is_done
        self.value, self.error, self.is_done = value, error, True


# Ends


@pytest.mark.parametrize("kind", ["unary", "stream"])
def test_a_good_answer(link: MemoryLink, kind: str) -> None:
    """G15: the end is told inside the call that read it, before the loop turns."""
    call: Call[Any] = link.unary() if kind == "unary" else link.stream()
    link.feed(link.head(1), data(1, prefixed(b"abc")), link.trailers(1))
    assert call.done()
    assert call.exception() is None
    nothing_left(link)


ENDS: dict[str, tuple[Callable[[MemoryLink], object], int]] = {
    "status": (lambda link: link.feed(link.head(1), link.trailers(1, b"5")), Code.NOT_FOUND),
    "reset": (lambda link: link.feed(rst_stream(1, Error.INTERNAL_ERROR)), Code.INTERNAL),
    "lost": (lambda link: link.connection.connection_lost(None), Code.UNAVAILABLE),
    "closed": (lambda link: link.connection.close("because"), Code.UNAVAILABLE),
    "deadline": (lambda link: link.loop.advance(6), Code.DEADLINE_EXCEEDED),
    "bad flag": (lambda link: link.feed(link.head(1), data(1, b"\x07") + data(1, bytes(4))), Code.INTERNAL),
    "too large": (lambda link: link.feed(link.head(1), data(1, b"\0\xff\xff\xff\xff")), Code.RESOURCE_EXHAUSTED),
    "encoding": (
        lambda link: link.feed(link.head(1, (b"grpc-encoding", b"snappy"))),
        Code.INTERNAL,
    ),
}


@pytest.mark.parametrize("kind", ["unary", "stream"])
@pytest.mark.parametrize("end", ENDS)
def test_every_end_comes_once_and_leaves_nothing(link: MemoryLink, kind: str, end: str) -> None:
    """G39, G41: deadline and stream are given up with the end; what comes later changes nothing."""
    call: Call[Any] = link.unary() if kind == "unary" else link.stream()
    ends: list[object] = []
    call.on_done(ends.append)
    link.frames()
    cause, code = ENDS[end]
    cause(link)
    assert ends == [call]
    assert code_of(call) == code
    assert len(link.owner.wheel) == 0
    link.loop.advance(60)
    call.stream_closed(Error.CANCEL, "")
    call.trailers_received([(b"grpc-status", b"0")])
    call.expire(link.loop.time())
    assert not call.cancel()
    assert (len(ends), code_of(call)) == (1, code)
    nothing_left(link)


@pytest.mark.parametrize("kind", ["unary", "stream"])
def test_cancel_leaves_nothing(link: MemoryLink, kind: str) -> None:
    """G42: RST_STREAM CANCEL in the same turn."""
    call: Call[Any] = link.unary() if kind == "unary" else link.stream()
    link.frames()
    assert call.cancel()
    assert [each.number for each in link.frames(Kind.RST_STREAM)] == [Error.CANCEL]
    nothing_left(link)


def test_a_call_whose_time_is_up_is_not_sent(link: MemoryLink) -> None:
    """G43."""
    call = link.unary(timeout_s=0)
    assert code_of(call) == Code.DEADLINE_EXCEEDED
    assert link.frames() == []
    nothing_left(link)


# Placed again


def test_refused_once(link: MemoryLink) -> None:
    """G63: given back to the channel once; refused again it fails."""
    call = link.unary()
    link.feed(rst_stream(1, Error.REFUSED_STREAM))
    assert (link.owner.retried, call.done(), len(link.owner.wheel)) == ([call], False, 1)
    call.start(link.connection)
    link.frames()
    link.feed(rst_stream(3, Error.REFUSED_STREAM))
    assert (link.owner.retried, code_of(call)) == ([call], Code.UNAVAILABLE)
    nothing_left(link)


@pytest.mark.parametrize("kind", ["unary", "stream"])
def test_never_sent_is_no_retry(link: MemoryLink, kind: str) -> None:
    """G63: as often as it takes, for streams too, and the one retry for REFUSED_STREAM stays."""
    first = link.unary()
    link.frames()
    call: Call[Any] = link.unary() if kind == "unary" else link.stream()
    link.feed(goaway(MAX_STREAM_ID))
    assert link.frames(Kind.HEADERS) == []
    assert link.owner.retried == [call]
    for count in (2, 3):
        call.start(link.connection)
        assert len(link.owner.retried) == count
    assert [told for told in link.owner.told if told.startswith("retired")]
    other = MemoryLink(loop=link.loop)
    other.greet()
    call.start(other.connection)
    other.frames()
    other.feed(rst_stream(1, Error.REFUSED_STREAM))
    assert (len(link.owner.retried), call.done()) == (4, False)
    call.cancel()
    first.cancel()
    nothing_left(link)


def test_a_stream_keeps_its_first_message_until_it_is_sent(link: MemoryLink) -> None:
    """G63: what waited with a stream that was not sent goes with it to the next connection."""
    call = StreamCall(link.owner, HEAD, deadline_s=link.loop.time() + 5, metadata=[])
    assert Ended(call.send(b"first")).is_done
    waiting = Ended(call.send(b"second"))
    drained = MemoryLink(loop=link.loop)
    drained.greet()
    drained.feed(goaway(0))
    call.start(drained.connection)
    assert link.owner.retried == [call]
    call.start(link.connection)
    assert (waiting.is_done, waiting.error) == (True, None)
    body = b"".join(each.payload for each in link.frames(Kind.DATA))
    assert body == prefixed(b"first") + prefixed(b"second")
    call.cancel()
    nothing_left(link)


def test_out_of_stream_ids(link: MemoryLink) -> None:
    """After 2^30 streams a connection takes no more: it is retired, and the call goes elsewhere."""

    class Exhausted:
        def send_request(self, *_: object, **__: object) -> int:
            raise ngh2.NoAvailableStreamIDError("no stream id is left")

    engine = link.connection._h2
    link.connection._h2 = Exhausted()  # type: ignore[assignment]  # the engine cannot be brought there in a test
    call = link.unary()
    link.connection._h2 = engine
    assert link.owner.retried == [call]
    assert link.owner.told[-1] == "retired: no stream id is left"
    call.cancel()
    nothing_left(link)


@pytest.mark.parametrize("is_idempotent", [True, False])
@pytest.mark.parametrize("kind", ["unary", "stream"])
def test_a_refusal_before_the_request_could_be_sent(link: MemoryLink, kind: str, is_idempotent: bool) -> None:
    """The backend opens no window and states an error: its stream is given up, and does not lie there for ever."""
    link.feed(settings({Setting.INITIAL_WINDOW_SIZE: 0}))
    call: Call[Any]
    if kind == "unary":
        call = link.unary(b"question", is_idempotent=is_idempotent)
    else:
        call = stream = link.stream(is_idempotent=is_idempotent)
        assert Ended(stream.send(b"question")).is_done
        stream.close_send()
    link.frames()
    link.feed(link.head(1, (b"grpc-status", b"14"), end_stream=True))
    assert [each.number for each in link.frames(Kind.RST_STREAM)] == [Error.NO_ERROR]
    assert (link.connection.streams, call.is_waiting, call.done()) == ({}, is_idempotent, not is_idempotent)
    call.cancel()
    nothing_left(link)


# Limits


def test_metadata_over_the_peers_limit_leaves_no_deadline(link: MemoryLink) -> None:
    """G14: neither in the wheel nor on the wire."""
    link.feed(settings({Setting.MAX_HEADER_LIST_SIZE: 100}))
    link.frames()
    for call in (link.unary(), link.stream()):
        assert error_of(call).reason == "METADATA_TOO_LARGE"
    assert link.frames(Kind.HEADERS) == []
    nothing_left(link)


@pytest.mark.parametrize("spare_bytes", [0, -1], ids=["at the limit", "a byte over it"])
def test_the_peers_limit_is_counted_as_the_rfc_has_it(link: MemoryLink, spare_bytes: int) -> None:
    """G14: names, values and 32 bytes a field (RFC 9113 section 6.5.2); the limit itself is allowed."""
    first = link.unary()
    link.frames()
    head_bytes = sum(len(name) + len(value) + 32 for name, value in link.heads[1])
    link.feed(settings({Setting.MAX_HEADER_LIST_SIZE: head_bytes + spare_bytes}))
    link.frames()
    call = link.unary()
    assert len(link.frames(Kind.HEADERS)) == (1 if spare_bytes == 0 else 0)
    assert (first.done(), call.done()) == (False, spare_bytes < 0)


@pytest.mark.parametrize("slices", [1, 7, 16_384])
def test_the_short_way_equals_the_long_one(slices: int) -> None:
    """One message in one frame takes a short cut; any slices give the same."""
    for message in (b"", b"x", bytes(10_000)):
        link = MemoryLink()
        link.greet()
        call = link.unary()
        link.feed(link.head(1))
        body = prefixed(message)
        for at in range(0, len(body), slices):
            link.feed(data(1, body[at : at + slices]))
        link.feed(link.trailers(1))
        assert call.result().message == message
