"""Server streams as one HTTP answer."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest

from api_gateway.model.errors import GatewayError
from api_gateway.model.message import HeaderList
from api_gateway.model.status import Code
from api_gateway.transcoding.streaming import (
    ARRAY,
    EVENT_STREAM,
    KEEP_ALIVE_S,
    NDJSON,
    RAW,
    Framing,
    StreamedAnswer,
    choose_framing,
)
from api_gateway.waiting import Runner
from tests.support.h2_frames import data
from tests.support.memory_link import MemoryLink
from tests.support.scripted_peer import prefixed


class FakeStream:
    """A server stream whose messages and end the test writes down."""

    def __init__(self, *messages: bytes | Exception | None) -> None:
        self.attempts = 1
        self.headers: HeaderList = []
        self.trailers: HeaderList = []
        self.messages = list(messages)
        self.is_cancelled = False
        self.timeouts_s: list[float | None] = []

    async def send(self, message: bytes) -> None:
        """Nobody sends here."""

    def close_send(self) -> None:
        """Nobody sends here."""

    async def receive(self, timeout_s: float | None = None) -> bytes | None:
        """Return the next message, or raise it."""
        self.timeouts_s.append(timeout_s)
        message = self.messages.pop(0)
        if isinstance(message, Exception):
            raise message
        return message

    def cancel(self) -> bool:
        """Remember it."""
        self.is_cancelled = True
        return True


class Ends(list[tuple[GatewayError | None, bool]]):
    """What `on_end` was told."""

    def __call__(self, error: GatewayError | None, is_complete: bool) -> None:
        self.append((error, is_complete))


def answer(stream: FakeStream, framing: Framing, first: bytes | None = b"1") -> tuple[StreamedAnswer, Ends]:
    """Return an answer whose messages are their own JSON."""
    ends = Ends()
    parts = StreamedAnswer(
        stream,
        first,
        framing,
        encode=lambda message: message,
        explain=lambda error: b'{"error":%d}' % error.code,
        on_end=ends,
    )
    return parts, ends


def result_of(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits."""
    ends: list[tuple[Any, BaseException | None]] = []
    Runner(coroutine, lambda value, error: ends.append((value, error))).start()
    value, error = ends[0]
    if error is not None:
        raise error
    return value


async def join(parts: StreamedAnswer) -> bytes:
    """Return all parts together."""
    return b"".join([part async for part in parts])


BROKEN = GatewayError(Code.DATA_LOSS, "lost")


@pytest.mark.parametrize(
    ("framing", "first", "more", "expected"),
    [
        pytest.param(NDJSON, b"1", [b"2", None], b"1\n2\n", id="ndjson"),
        pytest.param(NDJSON, None, [], b"", id="ndjson without messages"),
        pytest.param(EVENT_STREAM, b"1", [b"2", None], b"data: 1\n\ndata: 2\n\n", id="event stream"),
        pytest.param(ARRAY, b"1", [b"2", None], b"[1,2]", id="array"),
        pytest.param(ARRAY, b"1", [None], b"[1]", id="array of one"),
        pytest.param(ARRAY, None, [], b"[]", id="array of none"),
        pytest.param(RAW, b"ab", [b"cd", None], b"abcd", id="raw bytes"),
    ],
)
def test_framings(framing: Framing, first: bytes | None, more: list[bytes | None], expected: bytes) -> None:
    """semantics 23: NDJSON, SSE and a JSON array."""
    parts, ends = answer(FakeStream(*more), framing, first)
    assert result_of(join(parts)) == expected
    assert ends == [(None, True)]


@pytest.mark.parametrize(
    ("framing", "expected"),
    [
        pytest.param(NDJSON, b'1\n{"error":15}\n', id="ndjson: a last line"),
        pytest.param(EVENT_STREAM, b'data: 1\n\nevent: error\ndata: {"error":15}\n\n', id="event stream: an event"),
    ],
)
def test_an_error_after_the_first_message_is_shown(framing: Framing, expected: bytes) -> None:
    """semantics 24: the client sees that it is not all."""
    stream = FakeStream(BROKEN)
    parts, ends = answer(stream, framing)
    assert result_of(join(parts)) == expected
    assert ends == [(BROKEN, True)]


@pytest.mark.parametrize("framing", [ARRAY, RAW], ids=["array", "raw"])
def test_an_error_that_cannot_be_shown_cuts_the_answer(framing: Framing) -> None:
    """semantics 24: never a clean end."""
    parts, ends = answer(FakeStream(BROKEN), framing)
    with pytest.raises(GatewayError):
        result_of(join(parts))
    assert ends == [(BROKEN, True)]


def test_a_message_that_cannot_be_written_ends_the_call() -> None:
    """A backend that sends junk is not listened to any longer."""
    stream = FakeStream(b"2", None)

    def encode(message: bytes) -> bytes:
        if message == b"2":
            raise BROKEN
        return message

    ends = Ends()
    parts = StreamedAnswer(stream, b"1", NDJSON, encode=encode, explain=lambda error: b"E", on_end=ends)
    assert result_of(join(parts)) == b"1\nE\n"
    assert stream.is_cancelled
    assert ends == [(BROKEN, True)]


def test_silence_is_filled_in_event_streams() -> None:
    """semantics 23: keep-alive comments every 15 s."""
    stream = FakeStream(TimeoutError(), b"2", None)
    parts, _ = answer(stream, EVENT_STREAM)
    assert result_of(join(parts)) == b"data: 1\n\n: keep-alive\n\ndata: 2\n\n"
    assert stream.timeouts_s == [KEEP_ALIVE_S] * 3


def test_semantics_23_silence_is_filled_every_15_seconds() -> None:
    """Over a real call, whose clock the test turns."""
    link = MemoryLink()
    link.greet()
    call = link.stream(timeout_s=100.0)
    link.feed(link.head(1))
    parts: list[bytes] = []
    answer = StreamedAnswer(
        call, b"1", EVENT_STREAM, encode=lambda message: message, explain=lambda error: b"", on_end=Ends()
    )

    async def collect() -> None:
        while True:
            parts.append(await anext(answer))

    Runner(collect(), lambda value, error: None).start()
    counts = []
    for seconds in (14.9, 0.2, 14.9, 0.2, 14.0):
        link.loop.advance(seconds)
        counts.append(parts.count(b": keep-alive\n\n"))
    assert counts == [0, 1, 1, 2, 2]
    link.feed(data(1, prefixed(b"2")))
    link.loop.advance(14.0)
    assert parts == [b"data: 1\n\n", *[b": keep-alive\n\n"] * 2, b"data: 2\n\n"]
    call.cancel()


def test_other_framings_wait_without_a_limit() -> None:
    """Nothing may stand between the lines of NDJSON."""
    stream = FakeStream(b"2", None)
    parts, _ = answer(stream, NDJSON)
    result_of(join(parts))
    assert stream.timeouts_s == [None, None]


def test_closing_cancels_the_call_once() -> None:
    """semantics 26: a client that goes away cancels the call."""
    stream = FakeStream(b"2")
    parts, ends = answer(stream, NDJSON)
    result_of(parts.aclose())
    result_of(parts.aclose())
    assert stream.is_cancelled
    assert ends == [(None, False)]
    with pytest.raises(StopAsyncIteration):
        result_of(parts.__anext__())


def test_closing_after_the_end_changes_nothing() -> None:
    """A stream that went well was not given up."""
    stream = FakeStream(None)
    parts, ends = answer(stream, NDJSON)
    result_of(join(parts))
    result_of(parts.aclose())
    assert not stream.is_cancelled
    assert ends == [(None, True)]


@pytest.mark.parametrize(
    ("accept", "framing"),
    [
        pytest.param(b"", NDJSON, id="nothing"),
        pytest.param(b"*/*", NDJSON, id="anything"),
        pytest.param(b"text/event-stream", EVENT_STREAM, id="event stream"),
        pytest.param(b"Text/Event-Stream; charset=utf-8", EVENT_STREAM, id="case and parameters"),
        pytest.param(b"application/json", ARRAY, id="json"),
        pytest.param(b"application/json, text/plain, */*", ARRAY, id="what axios sends"),
        pytest.param(b"application/x-ndjson", NDJSON, id="ndjson"),
        pytest.param(b"application/json;q=0.1, text/event-stream;q=0.9", EVENT_STREAM, id="by quality"),
        pytest.param(b"application/json;q=0, */*", NDJSON, id="not wanted"),
        pytest.param(b"application/json;q=x", NDJSON, id="malformed quality"),
        pytest.param(b";;,,=", NDJSON, id="junk"),
        pytest.param(b"text/html", NDJSON, id="unknown"),
    ],
)
def test_the_accept_header_chooses(accept: bytes, framing: Framing) -> None:
    """semantics 23: `text/event-stream`, `application/json`, anything else NDJSON."""
    assert choose_framing(accept) is framing
