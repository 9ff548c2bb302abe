"""Whatever bytes a backend sends: nothing is raised, nothing outlives its deadline, nothing is left behind.

Answers of a good server are mutated frame by frame and byte by byte, and frames are invented.
"""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from api_gateway.grpc.stream_call import StreamCall
from api_gateway.grpc.unary_call import UnaryCall
from tests.support import h2_frames
from tests.support.h2_frames import Setting
from tests.support.memory_link import MemoryLink
from tests.support.scripted_peer import prefixed

CASES = int(os.environ.get("FUZZ_CASES", "300"))
"""Invented cases of each kind; `FUZZ_CASES=100000` makes a long run of it."""


def good_frames(link: MemoryLink) -> list[bytes]:
    """Return everything a server does with three streams, a frame each."""
    return [
        h2_frames.settings({Setting.MAX_CONCURRENT_STREAMS: 100, Setting.INITIAL_WINDOW_SIZE: 1_000_000}),
        h2_frames.settings_ack(),
        link.head(1),
        h2_frames.data(1, prefixed(b"answer")),
        h2_frames.ping(b"01234567"),
        link.head(3, (b"x-custom", b"value")),
        h2_frames.headers(5, link.coder.encode([(b":status", b"103")])),
        h2_frames.data(3, prefixed(b"first") + b"\0\0\0"),
        h2_frames.data(3, b"\0\3two", padding=7),
        h2_frames.window_update(0, 1_000),
        h2_frames.window_update(5, 1_000),
        link.trailers(1),
        link.head(5),
        h2_frames.settings({Setting.INITIAL_WINDOW_SIZE: 10, Setting.HEADER_TABLE_SIZE: 0}),
        h2_frames.rst_stream(3, h2_frames.Error.REFUSED_STREAM),
        h2_frames.goaway(5, h2_frames.Error.NO_ERROR, b"bye"),
        link.trailers(5, b"5"),
    ]


invented_frame = st.builds(
    h2_frames.frame,
    st.integers(0, 14) | st.integers(0, 255),
    st.integers(0, 255),
    st.sampled_from([0, 1, 2, 3, 5, 7, 2**31 - 1]),
    st.binary(max_size=40),
)

mutation = st.one_of(
    st.tuples(st.just("drop"), st.integers(0, 30), st.none()),
    st.tuples(st.just("repeat"), st.integers(0, 30), st.none()),
    st.tuples(st.just("swap"), st.integers(0, 30), st.integers(0, 30)),
    st.tuples(st.just("insert"), st.integers(0, 30), invented_frame),
    st.tuples(st.just("byte"), st.integers(0, 1_000), st.integers(0, 255)),
    st.tuples(st.just("cut"), st.integers(0, 1_000), st.none()),
    st.tuples(st.just("junk"), st.integers(0, 1_000), st.binary(min_size=1, max_size=20)),
)


def mutated(frames: list[bytes], mutations: list[tuple[str, int, object]]) -> bytes:
    """Apply mutations of frames first, then those of bytes."""
    frames = list(frames)
    for what, where, how in mutations:
        at = where % len(frames)
        match what, how:
            case "drop", _ if len(frames) > 1:
                del frames[at]
            case "repeat", _:
                frames.insert(at, frames[at])
            case "swap", int():
                other = how % len(frames)
                frames[at], frames[other] = frames[other], frames[at]
            case "insert", bytes():
                frames.insert(at, how)
    wire = bytearray(b"".join(frames))
    for what, where, how in mutations:
        at = where % (len(wire) or 1)
        match what, how:
            case "byte", int() if wire:
                wire[at] = how
            case "cut", _:
                del wire[at:]
            case "junk", bytes():
                wire[at:at] = how
    return bytes(wire)


def play(
    wire: bytes, slice_bytes: int, *, full_at: int | None = None
) -> tuple[MemoryLink, list[UnaryCall | StreamCall]]:
    """Feed bytes to a connection with three calls, in slices; then let their deadlines pass."""
    link = MemoryLink()
    calls: list[UnaryCall | StreamCall] = [link.unary(b"one"), link.stream(), link.stream()]
    ends: list[object] = []
    for call in calls:
        call.on_done(ends.append)
    link.loop.turn()
    for at in range(0, len(wire), slice_bytes):
        if at == full_at:
            link.connection.pause_writing()
        link.feed(wire[at : at + slice_bytes])
        link.loop.turn()
    link.loop.advance(5.02)
    assert sorted(map(id, ends)) == sorted(map(id, calls))
    assert len(link.owner.wheel) == 0
    if link.connection._is_write_paused:
        link.connection.resume_writing()
    link.loop.turn()
    assert link.connection.is_closed or not link.connection.streams
    return link, calls


@settings(max_examples=CASES)
@given(st.lists(mutation, max_size=6), st.sampled_from([1, 3, 64, 10_000]), st.none() | st.just(0))
def test_mutated_answers(mutations: list[tuple[str, int, object]], slice_bytes: int, full_at: int | None) -> None:
    """Issue 3: also while the transport is full."""
    wire = mutated(good_frames(MemoryLink()), mutations)
    link, _ = play(wire, slice_bytes, full_at=full_at)
    link.connection.close("the end")
    assert link.transport.is_closed


@settings(max_examples=CASES)
@given(st.lists(invented_frame, max_size=12), st.booleans())
def test_invented_frames(frames: list[bytes], begins_well: bool) -> None:
    """Frames of any kind, with any flags, on any stream."""
    beginning = h2_frames.settings() if begins_well else b""
    link, _ = play(beginning + b"".join(frames), 10_000)
    link.connection.abort("the end")
    assert link.transport.is_closed


@settings(max_examples=CASES // 4)
@given(st.binary(max_size=200))
def test_any_bytes(wire: bytes) -> None:
    """No HTTP/2 at all."""
    play(wire, 7)
    play(h2_frames.settings() + wire, 7)


def test_the_unmutated_answer() -> None:
    """What is mutated is good: one success, one refusal, one status."""
    link, calls = play(b"".join(good_frames(MemoryLink())), 10_000)
    assert [getattr(call.exception(), "code", None) for call in calls] == [None, 14, 5]
    assert link.transport.is_closed
