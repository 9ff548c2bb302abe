"""The shell around the engine, without sockets: what it feeds, tells and writes, in which order."""

from __future__ import annotations

from collections.abc import Callable

import ngh2
import pytest

from api_gateway.http2.connection import MAX_STREAMS, STREAM_WINDOW_BYTES
from api_gateway.http2.handlers import Headers
from tests.support import h2_frames
from tests.support.h2_frames import ACK, MAX_STREAM_ID, Error, Kind, Setting, data, goaway, ping, rst_stream, settings
from tests.support.memory_link import MemoryLink

REQUEST = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"test")]


class Told:
    """Implements `StreamHandler`: keeps what it is told, and does on the way what a test wants."""

    def __init__(self, on_data: Callable[[bytes], object] | None = None) -> None:
        self.told: list[object] = []
        self._on_data = on_data

    def informational_received(self, headers: Headers) -> None:
        self.told.append(("informational", dict(headers)[b":status"]))

    def headers_received(self, headers: Headers, end_stream: bool) -> None:
        self.told.append(("head", end_stream))

    def data_received(self, data: bytes, end_stream: bool) -> None:
        self.told.append((data, end_stream))
        if self._on_data is not None:
            self._on_data(data)

    def trailers_received(self, headers: Headers) -> None:
        self.told.append("trailers")

    def reset_received(self, error_code: int) -> None:
        self.told.append(("reset", error_code))

    def sendable(self) -> None:
        self.told.append("sendable")

    def not_sent(self, error: ngh2.NGH2Error) -> None:
        self.told.append(("not sent", type(error)))

    def stream_closed(self, error_code: int, reason: str) -> None:
        self.told.append(("closed", error_code, reason))


@pytest.fixture
def link() -> MemoryLink:
    made = MemoryLink()
    made.greet()
    return made


def opened(link: MemoryLink, *, body: bytes | None = b"abc", end: bool = True) -> tuple[int, Told]:
    handler = Told()
    return link.connection.open_stream(REQUEST, handler, body=body, end=end), handler


# The beginning


def test_preface_and_settings() -> None:
    """Push is off, our windows and list size are announced, and nothing is ready before the peer's SETTINGS."""
    link = MemoryLink()
    first, update = link.frames()
    assert link.transport.output.startswith(h2_frames.PREFACE)
    assert first.settings == {
        Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW_BYTES,
        Setting.MAX_HEADER_LIST_SIZE: 65_536,
        Setting.ENABLE_PUSH: 0,
    }
    assert (update.kind, update.stream_id) == (Kind.WINDOW_UPDATE, 0)
    assert (link.connection.is_ready, link.connection.can_open_stream, link.owner.told) == (False, False, [])
    link.feed(settings())
    assert (link.connection.is_ready, link.connection.can_open_stream, link.owner.told) == (True, True, ["ready"])
    assert link.frames()[-1].flags == ACK


@pytest.mark.parametrize(
    ("sent", "limit"), [([], MAX_STREAMS), ([7], 7), ([7, 0], 0), ([0, 9], 9), ([7, None], 7)], ids=str
)
def test_the_peers_stream_limit(sent: list[int | None], limit: int) -> None:
    """G49: the last one said; silence in later SETTINGS changes nothing, in the first means our assumption."""
    link = MemoryLink()
    frames = [settings({} if each is None else {Setting.MAX_CONCURRENT_STREAMS: each}) for each in sent or [None]]
    link.feed(*frames)
    assert link.connection.max_streams == limit
    assert link.connection.can_open_stream is (limit > 0)
    assert link.owner.told == ["ready", *["settings"] * (len(frames) - 1)]


# Streams


def answer_of(link: MemoryLink, stream_id: int) -> bytes:
    informational = link.coder.encode([(b":status", b"103")])
    return b"".join(
        [
            h2_frames.headers(stream_id, informational),
            link.head(stream_id),
            data(stream_id, b"one"),
            data(stream_id, b""),
            data(stream_id, b"two", padding=3),
            link.trailers(stream_id),
        ]
    )


@pytest.mark.parametrize("slice_bytes", [1, 2, 9, 10, 1_000])
def test_any_slices_tell_the_same(link: MemoryLink, slice_bytes: int) -> None:
    """Events come in the order of the wire, `stream_closed` last and once."""
    stream_id, handler = opened(link)
    answer = answer_of(link, stream_id)
    for at in range(0, len(answer), slice_bytes):
        link.feed(answer[at : at + slice_bytes])
    assert handler.told == [
        ("informational", b"103"),
        ("head", False),
        (b"one", False),
        (b"", False),
        (b"two", False),
        "trailers",
        ("closed", 0, ""),
    ]
    assert link.connection.streams == {}
    assert link.owner.told == ["ready", "freed"]


def test_the_first_stream_is_written_at_once_and_others_together(link: MemoryLink) -> None:
    """One at a time there is nothing to wait for; under load one write serves all streams of a turn."""
    opened(link)
    size = len(link.transport.output)
    opened(link)
    opened(link)
    assert len(link.transport.output) == size
    assert [each.stream_id for each in link.frames(Kind.HEADERS)] == [1, 3, 5]


def test_a_reset_by_the_peer(link: MemoryLink) -> None:
    """The code, then the end."""
    stream_id, handler = opened(link)
    link.feed(rst_stream(stream_id, Error.CANCEL))
    assert handler.told == [("reset", Error.CANCEL), ("closed", Error.CANCEL, "")]


def test_a_reset_by_us(link: MemoryLink) -> None:
    """The handler hears the end when the reset went out; once more is no error."""
    stream_id, handler = opened(link)
    link.connection.reset_stream(stream_id, Error.CANCEL)
    link.connection.reset_stream(stream_id, Error.CANCEL)
    assert [each.number for each in link.frames(Kind.RST_STREAM)] == [Error.CANCEL]
    assert handler.told == [("closed", Error.CANCEL, "")]
    link.connection.reset_stream(stream_id)
    link.feed(link.head(stream_id), data(stream_id, b"late"), rst_stream(stream_id, Error.CANCEL))
    assert len(handler.told) == 1
    assert link.frames(Kind.GOAWAY) == []


def test_a_reset_before_the_head_went_out(link: MemoryLink) -> None:
    """While the transport takes nothing: the stream never shows on the wire, and ends all the same."""
    link.connection.pause_writing()
    stream_id, handler = opened(link)
    link.connection.reset_stream(stream_id)
    assert (link.frames(), handler.told) == ([], [])
    link.connection.resume_writing()
    assert link.frames(Kind.HEADERS) == []
    assert [each[0] for each in handler.told if isinstance(each, tuple)] == ["closed"]
    assert link.connection.streams == {}


def test_goaway_before_the_head_went_out(link: MemoryLink) -> None:
    """G35: a stream whose head was still here when GOAWAY came was never sent."""
    opened(link)
    link.frames()
    stream_id, handler = opened(link)
    assert stream_id == 3
    link.feed(goaway(MAX_STREAM_ID))
    assert link.frames(Kind.HEADERS) == []
    assert handler.told == [("not sent", ngh2.ConnectionClosingError)]


def test_a_head_too_long_for_the_engine(link: MemoryLink) -> None:
    """G14: told by the stream, while the connection lives."""
    handler = Told()
    link.connection.open_stream([*REQUEST, (b"x-long", b"v" * 300_000)], handler)
    assert handler.told == [("not sent", ngh2.StreamProtocolError)]
    assert link.connection.streams == {}
    opened(link)
    assert len(link.frames(Kind.HEADERS)) == 1


# The body


def test_the_body_waits_for_window(link: MemoryLink) -> None:
    """`send_data` says when to wait, `sendable` when to go on; once for each wait."""
    stream_id, handler = opened(link, body=None, end=False)
    assert link.connection.send_data(stream_id, bytes(65_535))
    link.frames()
    assert link.connection.send_data(stream_id, bytes(STREAM_WINDOW_BYTES))
    assert not link.connection.send_data(stream_id, b"one too many")
    link.frames()
    assert handler.told == []
    link.feed(h2_frames.window_update(0, 2**20), h2_frames.window_update(stream_id, STREAM_WINDOW_BYTES))
    link.frames()
    assert handler.told == []
    link.feed(h2_frames.window_update(stream_id, 2**20))
    link.frames()
    assert handler.told == ["sendable"]


def test_sending_on_a_stream_that_is_gone(link: MemoryLink) -> None:
    """Nothing happens; the handler has heard of the end."""
    stream_id, _ = opened(link, body=None, end=False)
    link.feed(rst_stream(stream_id, Error.CANCEL))
    assert not link.connection.send_data(stream_id, b"late")
    link.connection.consume(stream_id, 0)
    link.connection.close("done")
    assert not link.connection.send_data(stream_id, b"later")


def test_answering_a_message_on_a_stream_that_ended_with_it(link: MemoryLink) -> None:
    """The engine knows of the end before the handler does: sending from inside `data_received` must not raise."""
    sent: list[bool] = []
    handler = Told(on_data=lambda _: sent.append(link.connection.send_data(stream_id, b"answer")))
    stream_id = link.connection.open_stream(REQUEST, handler, end=False)
    link.feed(link.head(stream_id), data(stream_id, b"question"), rst_stream(stream_id, Error.NO_ERROR))
    assert sent == [False]
    assert handler.told[-1] == ("closed", Error.NO_ERROR, "")


def test_giving_back_window_on_a_connection_that_ended_with_the_data(link: MemoryLink) -> None:
    """G35: after GOAWAY the last stream's end is the engine's end; its data is told afterwards."""
    handler = Told(on_data=lambda data: link.connection.consume(stream_id, len(data)))
    stream_id = link.connection.open_stream(REQUEST, handler)
    link.feed(goaway(stream_id))
    link.feed(link.head(stream_id), data(stream_id, b"answer"), link.trailers(stream_id))
    assert handler.told == [("head", False), (b"answer", False), "trailers", ("closed", 0, "")]
    assert link.transport.is_closed


@pytest.mark.parametrize("how", ["handler", "without handler"])
def test_window_comes_back(link: MemoryLink, how: str) -> None:
    """Half a window consumed is told; data of streams nobody holds is given back by the connection."""
    stream_id, _ = opened(link)
    link.feed(link.head(stream_id), *[data(stream_id, bytes(16_384)) for _ in range(STREAM_WINDOW_BYTES // 32_768)])
    assert link.frames(Kind.WINDOW_UPDATE) == []
    if how == "handler":
        link.connection.consume(stream_id, STREAM_WINDOW_BYTES // 2)
        assert [each.number for each in link.frames(Kind.WINDOW_UPDATE)] == [STREAM_WINDOW_BYTES // 2]
    else:
        del link.connection.streams[stream_id]
        link.feed(data(stream_id, bytes(16_384)))
        link.connection.consume(stream_id, STREAM_WINDOW_BYTES // 2)
        assert [each.number for each in link.frames(Kind.WINDOW_UPDATE)] == [STREAM_WINDOW_BYTES // 2 + 16_384]


# Writing


def test_nothing_is_pulled_while_the_transport_is_full(link: MemoryLink) -> None:
    """What is owed stays in the engine, which bounds it."""
    link.connection.pause_writing()
    link.feed(ping(b"01234567"))
    opened(link)
    assert link.frames() == []
    link.connection.resume_writing()
    assert [each.kind for each in link.frames()] == [Kind.PING, Kind.HEADERS, Kind.DATA]


def test_a_flood_of_pings_while_the_transport_is_full(link: MemoryLink) -> None:
    """More than a thousand acknowledgements owed end the connection."""
    _, handler = opened(link)
    link.connection.pause_writing()
    link.feed(ping(bytes(8)) * 1_500)
    assert link.transport.is_aborted
    assert [each[0] for each in handler.told if isinstance(each, tuple)] == ["closed"]
    assert [each.split(":")[0] for each in link.owner.told] == ["ready", "lost"]


def test_pings_are_acknowledged_in_the_same_call(link: MemoryLink) -> None:
    """G50: with their bytes."""
    link.feed(ping(b"01234567"), ping(b"abcdefgh"))
    assert link.transport.output.endswith(ping(b"01234567", ack=True) + ping(b"abcdefgh", ack=True))


def test_our_ping_shows_in_the_time_of_the_last_read(link: MemoryLink) -> None:
    """What keepalive will look at."""
    link.connection.ping()
    assert len(link.frames(Kind.PING)) == 1
    before_s = link.connection.last_read_s
    link.loop.advance(3)
    assert link.connection.last_read_s == before_s
    link.feed(ping(bytes(8), ack=True))
    assert link.connection.last_read_s == before_s + 3


# The end


def end_of_file(link: MemoryLink) -> None:
    """As a transport does it: told to close, it closes."""
    assert not link.connection.eof_received()
    link.connection.connection_lost(None)


ENDS: dict[str, Callable[[MemoryLink], object]] = {
    "close": lambda link: link.connection.close("told to"),
    "abort": lambda link: link.connection.abort("told to"),
    "eof": end_of_file,
    "lost": lambda link: link.connection.connection_lost(ConnectionResetError("reset")),
    "protocol error": lambda link: link.feed(h2_frames.frame(Kind.PING, 0, 1, bytes(8))),
    "garbage": lambda link: link.feed(b"\0\0\0" + b"\xff" * 100),
    "header bomb": lambda link: link.feed(h2_frames.headers(1, b"\x00\x01a\x7f\xff\xff\xff\xff\x0f")),
}


@pytest.mark.parametrize("end", ENDS)
def test_every_end_is_told_once(link: MemoryLink, end: str) -> None:
    """G39: each stream once with a reason, the owner once, whatever comes afterwards."""
    handlers = [opened(link)[1] for _ in range(3)]
    link.frames()
    ENDS[end](link)
    for _ in range(2):
        link.connection.close("again")
        link.connection.abort("again")
        link.connection.connection_lost(None)
        link.feed(ping(bytes(8)))
        link.connection.ping()
        link.connection.drain()
        link.connection.resume_writing()
        link.frames()
    for handler in handlers:
        ((kind, code, reason),) = [each for each in handler.told if isinstance(each, tuple)]
        assert (kind, code) == ("closed", 0)
        assert reason
        assert reason != "again"
    assert [each for each in link.owner.told if each.startswith("lost")] == [f"lost: {reason}" for reason in {reason}]
    assert (link.connection.streams, link.connection.can_open_stream) == ({}, False)
    assert link.transport.is_closed


def test_close_says_goaway_and_abort_does_not() -> None:
    """And neither writes to a full transport, which is aborted: what it holds is of no use to anybody."""
    for end, is_full, frames in (("close", False, 1), ("abort", False, 0), ("close", True, 0)):
        link = MemoryLink()
        link.greet()
        if is_full:
            link.connection.pause_writing()
        getattr(link.connection, end)("told to")
        assert len(link.frames(Kind.GOAWAY)) == frames
        assert link.transport.is_closed
        assert link.transport.is_aborted is (end == "abort" or is_full)


def test_draining_waits_for_the_last_stream(link: MemoryLink) -> None:
    """No new stream, and the connection closes by itself."""
    stream_id, handler = opened(link)
    link.connection.drain()
    assert (link.connection.can_open_stream, link.transport.is_closed) == (False, False)
    link.feed(link.head(stream_id), link.trailers(stream_id))
    assert handler.told[-1] == ("closed", 0, "")
    assert link.transport.is_closed
    assert link.owner.told == ["ready", "lost: drained"]


def test_draining_an_idle_connection_closes_it(link: MemoryLink) -> None:
    """At once."""
    link.connection.drain()
    assert link.owner.told == ["ready", "lost: drained"]


@pytest.mark.parametrize("when", ["before", "while flushing"])
def test_an_engine_that_failed(link: MemoryLink, when: str) -> None:
    """A stream that cannot be opened raises NGH2Error; the shell does not."""
    link.feed(goaway(0))
    with pytest.raises(ngh2.NGH2Error):
        link.connection.open_stream(REQUEST, Told())
    if when == "while flushing":
        link.connection._flush()
    assert link.transport.is_closed


# The server's role


def served(link: MemoryLink, fields: Headers = REQUEST, *, end_stream: bool = True) -> None:
    link.feed(h2_frames.PREFACE, settings(), h2_frames.headers(1, link.coder.encode(fields), end_stream=end_stream))


def test_serving_a_request() -> None:
    """Head, body, trailers; the limit of streams is announced."""
    link = MemoryLink(ngh2.Role.SERVER)
    link.owner.handler = handler = Told()
    assert link.frames(Kind.SETTINGS)[0].settings[Setting.MAX_CONCURRENT_STREAMS] == MAX_STREAMS
    served(link, end_stream=False)
    link.feed(data(1, b"question", end_stream=True))
    assert link.owner.requests == [(1, tuple(REQUEST), False)]
    assert handler.told == [(b"question", True)]
    link.connection.send_response(1, [(b":status", b"200")])
    assert link.connection.send_data(1, b"answer")
    link.connection.send_trailers(1, [(b"x-end", b"1")])
    frames = [each for each in link.frames() if each.stream_id == 1]
    assert [each.kind for each in frames] == [Kind.HEADERS, Kind.DATA, Kind.HEADERS]
    assert handler.told[-1] == ("closed", 0, "")


@pytest.mark.parametrize("why", ["no handler", "draining"])
def test_refusing_a_request(why: str) -> None:
    """REFUSED_STREAM tells the client that it may try elsewhere."""
    link = MemoryLink(ngh2.Role.SERVER)
    link.feed(h2_frames.PREFACE, settings())
    if why == "draining":
        link.owner.handler = Told()
        link.connection.is_draining = True
    link.feed(h2_frames.headers(1, link.coder.encode(REQUEST), end_stream=True))
    assert [each.number for each in link.frames(Kind.RST_STREAM)] == [Error.REFUSED_STREAM]
    assert link.connection.streams == {}
