"""One client connection: forms of answers, answers in parts, answers that fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from api_gateway.model.errors import GatewayError, bad_request
from api_gateway.model.message import Request, Response
from api_gateway.waiting import Pending
from tests.support.http_application import SmallApplication
from tests.support.http_rig import Rig
from tests.support.raw_http import get, parse_answer, request


@pytest.fixture
def application() -> SmallApplication:
    return SmallApplication()


@pytest.fixture
def rig(application: SmallApplication) -> Rig:
    return Rig(application)


# Forms of answers


def test_head_has_the_length_and_no_body(rig: Rig) -> None:
    """Semantics 8."""
    rig.receive(request("HEAD", "/sized?1000") + get("/echo"))
    parsed = parse_answer(bytes(rig.transport.written), is_head=True)
    assert parsed is not None
    head, rest = parsed
    assert (head.status, head.header(b"content-length")) == (200, b"1000")
    following = parse_answer(rest)
    assert following is not None
    assert following[0].json()["method"] == "GET"


@pytest.mark.parametrize("status", [204, 304])
def test_answers_that_must_not_have_a_body_have_none(status: int) -> None:
    async def answer(request: Request) -> Response:
        return Response(status, [], b"not to be sent")

    rig = Rig(SmallApplication({"/": answer}))
    rig.receive(get("/") + get("/"))
    assert [(each.status, each.body, each.header(b"content-length")) for each in rig.answers()] == [
        (status, b"", None),
        (status, b"", None),
    ]


# Streams


class Stream:
    """An answer in parts, each sent when the test says so."""

    def __init__(self, *, error: BaseException | None = None) -> None:
        self.turns: list[Pending[bytes | None]] = [Pending()]
        self.is_ended = False
        self.error = error

    async def answer(self, request: Request) -> Response:
        """Answer with it."""
        return Response(200, [(b"content-type", b"application/x-ndjson")], stream=self._parts())

    async def _parts(self) -> AsyncIterator[bytes]:
        try:
            while (part := await self.turns[-1]) is not None:
                self.turns.append(Pending())
                yield part
            if self.error is not None:
                raise self.error
        finally:
            self.is_ended = True

    def send(self, part: bytes | None) -> None:
        """Send a part; None ends it."""
        self.turns[-1].resolve(part)


def streaming(stream: Stream, *lines: str, method: str = "GET", version: str = "HTTP/1.1") -> Rig:
    rig = Rig(SmallApplication({"/stream": stream.answer}))
    rig.receive(request(method, "/stream", *lines, version=version))
    return rig


def test_parts_are_sent_one_by_one() -> None:
    """Semantics 23: one flush a message."""
    stream = Stream()
    rig = streaming(stream)
    assert b"transfer-encoding: chunked\r\n" in rig.transport.written, "the head does not wait for the first part"
    for part in (b"one", b"two" * 100):
        before = len(rig.transport.written)
        stream.send(part)
        assert rig.transport.written[before:] == b"%x\r\n%b\r\n" % (len(part), part)
    stream.send(None)
    (answer,) = rig.answers()
    assert answer.body == b"one" + b"two" * 100
    assert stream.is_ended


def test_empty_part_is_no_end() -> None:
    stream = Stream()
    rig = streaming(stream)
    for part in (b"one", b"", b"two", None):
        stream.send(part)
    assert [answer.body for answer in rig.answers()] == [b"onetwo"]


def test_connection_goes_on_after_a_stream() -> None:
    stream = Stream()
    rig = streaming(stream)
    rig.receive(get("/echo"))
    stream.send(b"part")
    stream.send(None)
    assert rig.statuses() == [200, 200]


@pytest.mark.parametrize("error", [bad_request("cut"), RuntimeError("bug")], ids=["error", "bug"])
def test_broken_stream_is_cut(error: Exception) -> None:
    """Semantics 24: never a clean end."""
    stream = Stream(error=error)
    rig = streaming(stream)
    stream.send(b"part")
    stream.send(None)
    assert not rig.transport.written.endswith(b"0\r\n\r\n")
    assert rig.transport.is_aborted
    assert rig.loop.mistakes == ([] if isinstance(error, GatewayError) else [error])


def test_slow_client_holds_the_stream_back() -> None:
    """Semantics 23: bounded buffers."""
    stream = Stream()
    rig = streaming(stream)
    rig.stall()
    stream.send(b"one")
    turns = len(stream.turns)
    stream.send(b"two")
    assert len(stream.turns) == turns, "nobody asks for another part"
    rig.unstall()
    stream.send(None)
    assert [answer.body for answer in rig.answers()] == [b"onetwo"]


@pytest.mark.parametrize("is_stalled", [True, False], ids=["while_the_client_is_slow", "while_waiting_for_a_part"])
def test_gone_client_ends_the_stream(is_stalled: bool) -> None:
    """Semantics 26: the call behind it is cancelled at once, not when the collector finds it."""
    stream = Stream()
    rig = streaming(stream)
    if is_stalled:
        rig.stall()
        stream.send(b"one")
    rig.lose()
    assert stream.is_ended


def test_stream_to_http_1_0_ends_with_the_connection() -> None:
    stream = Stream()
    rig = streaming(stream, "Connection: keep-alive", version="HTTP/1.0")
    stream.send(b"part")
    stream.send(None)
    parsed = parse_answer(bytes(rig.transport.written), is_ended=True)
    assert parsed is not None
    assert (parsed[0].body, parsed[0].is_last, parsed[0].header(b"transfer-encoding")) == (b"part", True, None)
    assert rig.transport.is_closing() or rig.transport.is_half_closed


def test_head_of_a_stream_has_no_parts() -> None:
    stream = Stream()
    rig = streaming(stream, method="HEAD")
    parsed = parse_answer(bytes(rig.transport.written), is_head=True)
    assert parsed is not None
    assert parsed[1] == b""
    rig.transport.written.clear()
    rig.receive(get("/echo"))
    assert rig.statuses() == [200]


def test_stream_may_read_the_body_while_it_is_sent() -> None:
    """Semantics 25: both directions at once."""

    async def parts(request: Request) -> AsyncIterator[bytes]:
        assert request.body is not None
        async for part in request.body.chunks(1_000):
            yield part.upper()

    async def shout(request: Request) -> Response:
        return Response(200, [], stream=parts(request))

    rig = Rig(SmallApplication({"/shout": shout}))
    rig.receive(request("POST", "/shout", "Transfer-Encoding: chunked", "Expect: 100-continue"))
    assert b"100 Continue" not in rig.transport.written, "the final answer has begun"
    rig.receive(b"3\r\none\r\n")
    assert rig.transport.written.endswith(b"3\r\nONE\r\n")
    rig.receive(b"3\r\ntwo\r\n0\r\n\r\n")
    (answer,) = rig.answers()
    assert (answer.body, answer.is_last) == (b"ONETWO", True)


# Mistakes of ours


def test_request_that_raises_is_reported_and_cut_off() -> None:
    """The application never raises; if it does, somebody must hear of it."""
    mistake = RuntimeError("bug")

    async def broken(request: Request) -> Response:
        raise mistake

    rig = Rig(SmallApplication({"/": broken}))
    rig.receive(get("/"))
    assert rig.loop.mistakes == [mistake]
    assert rig.transport.is_aborted
    assert not rig.transport.written


def test_answer_that_cannot_be_written_is_reported_and_cut_off(application: SmallApplication) -> None:
    """It must not be raised into the connection to the backend, whose data resumed the request."""

    async def broken(request: Request) -> Response:
        await application._hold(request)
        return Response(200, [(b"x", None)], b"")  # type: ignore[list-item]  # the mistake

    rig = Rig(SmallApplication({"/": broken}))
    rig.receive(get("/"))
    application.release()
    assert [type(mistake) for mistake in rig.loop.mistakes] == [TypeError]
    assert rig.transport.is_aborted


def test_stream_that_comes_too_late_is_closed() -> None:
    """A call to a backend is behind it."""
    gate: Pending[None] = Pending()
    closed: list[bool] = []

    class Late:
        def __aiter__(self) -> Late:
            return self

        async def __anext__(self) -> bytes:
            raise AssertionError("nobody reads it")

        async def aclose(self) -> None:
            closed.append(True)

    async def stubborn(request: Request) -> Response:
        try:
            await Pending[None]()
        except asyncio.CancelledError:
            await gate
        return Response(200, [], stream=Late())

    rig = Rig(SmallApplication({"/": stubborn}))
    rig.receive(get("/"))
    rig.lose()
    gate.resolve(None)
    assert closed == [True]


def test_request_that_does_not_mind_being_cancelled_answers_nobody() -> None:
    gate: Pending[None] = Pending()

    async def stubborn(request: Request) -> Response:
        try:
            await Pending[None]()
        except asyncio.CancelledError:
            await gate
        return Response(200, [], b"late")

    rig = Rig(SmallApplication({"/": stubborn}))
    rig.receive(get("/"))
    rig.lose()
    gate.resolve(None)
    assert not rig.transport.written
