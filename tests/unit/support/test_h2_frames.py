"""Frames written by hand are what the h2 project's own libraries read, and the other way round."""

from __future__ import annotations

import hyperframe.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import h2_frames
from tests.support.h2_frames import END_HEADERS, END_STREAM, Frame, FrameReader, HeaderCoder, Kind, Setting


def parsed(wire: bytes) -> hyperframe.frame.Frame:
    """Read one frame with hyperframe."""
    found, length = hyperframe.frame.Frame.parse_frame_header(memoryview(wire[:9]))
    assert length == len(wire) - 9
    found.parse_body(memoryview(wire[9:]))
    return found


def test_data() -> None:
    frame = parsed(h2_frames.data(3, b"abc", end_stream=True, padding=4))
    assert isinstance(frame, hyperframe.frame.DataFrame)
    assert (frame.stream_id, frame.data, frame.pad_length, set(frame.flags)) == (3, b"abc", 4, {"END_STREAM", "PADDED"})


def test_heads() -> None:
    frame = parsed(h2_frames.headers(5, b"block", end_headers=False))
    assert isinstance(frame, hyperframe.frame.HeadersFrame)
    assert (frame.stream_id, frame.data, set(frame.flags)) == (5, b"block", set())
    more = parsed(h2_frames.continuation(5, b"more"))
    assert isinstance(more, hyperframe.frame.ContinuationFrame)
    assert (more.data, set(more.flags)) == (b"more", {"END_HEADERS"})
    promise = parsed(h2_frames.push_promise(5, 2, b"block"))
    assert isinstance(promise, hyperframe.frame.PushPromiseFrame)
    assert (promise.promised_stream_id, promise.data) == (2, b"block")


def test_what_carries_numbers() -> None:
    reset = parsed(h2_frames.rst_stream(7, 8))
    assert isinstance(reset, hyperframe.frame.RstStreamFrame)
    assert (reset.stream_id, reset.error_code) == (7, 8)
    update = parsed(h2_frames.window_update(0, 1_000))
    assert isinstance(update, hyperframe.frame.WindowUpdateFrame)
    assert update.window_increment == 1_000
    goaway = parsed(h2_frames.goaway(9, 11, b"why"))
    assert isinstance(goaway, hyperframe.frame.GoAwayFrame)
    assert (goaway.last_stream_id, goaway.error_code, goaway.additional_data) == (9, 11, b"why")


def test_settings_and_ping() -> None:
    found = parsed(h2_frames.settings({Setting.MAX_FRAME_SIZE: 20_000}))
    assert isinstance(found, hyperframe.frame.SettingsFrame)
    assert found.settings == {5: 20_000}
    assert set(parsed(h2_frames.settings_ack()).flags) == {"ACK"}
    ping = parsed(h2_frames.ping(b"01234567", ack=True))
    assert isinstance(ping, hyperframe.frame.PingFrame)
    assert (ping.opaque_data, set(ping.flags)) == (b"01234567", {"ACK"})


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**31 - 1), st.binary(max_size=30))),
    st.integers(1, 50),
)
def test_frames_are_read_as_they_were_written(frames: list[tuple[int, int, int, bytes]], slice_bytes: int) -> None:
    wire = b"".join(h2_frames.frame(*each) for each in frames)
    reader = FrameReader()
    found = [each for at in range(0, len(wire), slice_bytes) for each in reader.feed(wire[at : at + slice_bytes])]
    assert found == [Frame(kind=kind, flags=flags, stream_id=at, payload=data) for kind, flags, at, data in frames]


def test_fields_of_a_frame() -> None:
    (goaway, update, settings) = FrameReader().feed(
        h2_frames.goaway(9, 11, b"why") + h2_frames.window_update(1, 5) + h2_frames.settings([(3, 7), (0xFFFF, 1)])
    )
    assert (goaway.goaway, update.number, settings.settings) == ((9, 11, b"why"), 5, {3: 7, 0xFFFF: 1})


@pytest.mark.parametrize("table_bytes", [0, 4_096])
def test_header_blocks(table_bytes: int) -> None:
    coder, other = HeaderCoder(), HeaderCoder()
    coder.table_size = table_bytes
    for _ in range(2):
        fields = [(b":status", b"200"), (b"x-a", b"\xff\0"), (b"x-a", b"")]
        assert other.decode(coder.encode(fields)) == fields
    assert (END_STREAM, END_HEADERS, Kind.HEADERS) == (1, 4, 1)
