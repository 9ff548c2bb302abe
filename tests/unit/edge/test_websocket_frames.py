"""Frames of a WebSocket, byte by byte: the cases of the Autobahn suite that a server for text has (RFC 6455)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.edge.websocket_frames import (
    MAX_EMPTY_FRAGMENTS,
    Close,
    CloseCode,
    Event,
    FrameError,
    FrameReader,
    Ping,
    Text,
    encode_close,
    encode_ping,
    encode_pong,
    encode_text,
)
from tests.support.websocket_client import CLOSE, PING, PONG, TEXT, close_frame, frame, parse_frame

LIMIT_BYTES = 70_000
EURO = "€".encode()


def read(*segments: bytes, limit_bytes: int = LIMIT_BYTES) -> list[Event]:
    reader = FrameReader(limit_bytes)
    return [event for segment in segments for event in reader.feed(segment)]


ACCEPTED = [
    pytest.param(frame(TEXT), [Text(b"")], id="1.1.1_empty"),
    *(
        pytest.param(frame(TEXT, b"*" * size), [Text(b"*" * size)], id=f"1.1_text_of_{size}")
        for size in (125, 126, 127, 128, 65_535, 65_536)
    ),
    pytest.param(frame(PING), [Ping(b"")], id="2.1_empty_ping"),
    pytest.param(frame(PING, b"\0\xff" * 62), [Ping(b"\0\xff" * 62)], id="2.3_binary_ping"),
    pytest.param(frame(PONG, b"unasked"), [], id="2.7_unsolicited_pong"),
    pytest.param(frame(TEXT, b"a", is_final=False) + frame(0, b"b"), [Text(b"ab")], id="5.3_two_fragments"),
    pytest.param(
        frame(TEXT, b"a", is_final=False) + frame(PING, b"p") + frame(0, b"b"), [Ping(b"p"), Text(b"ab")], id="5.6_ping"
    ),
    pytest.param(frame(TEXT, EURO[:1], is_final=False) + frame(0, EURO[1:]), [Text(EURO)], id="6.2_split_character"),
    pytest.param(frame(CLOSE), [Close(CloseCode.NO_STATUS)], id="7.3.1_close_without_code"),
    pytest.param(close_frame(1000, "x" * 123), [Close(1000)], id="7.3.5_longest_reason"),
    *(pytest.param(close_frame(code), [Close(code)], id=f"7.7_{code}") for code in (1000, 1003, 1007, 3000, 4999)),
    pytest.param(close_frame(1000) + b"anything", [Close(1000)], id="7.1_nothing_counts_behind_close"),
]


@pytest.mark.parametrize(("data", "events"), ACCEPTED)
def test_frames_are_read_wherever_they_are_cut(data: bytes, events: list[Event]) -> None:
    assert read(data) == events
    if len(data) < 1_000 and not data.endswith(b"anything"):
        assert read(*(data[i : i + 1] for i in range(len(data)))) == events


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(frame(PING, b"x" * 126), 1002, id="2.5_long_ping"),
        *(pytest.param(bytes((0x81 | bit, 0x80)) + bytes(4), 1002, id=f"3_rsv_{bit:x}") for bit in (0x40, 0x20, 0x10)),
        *(pytest.param(frame(opcode), 1002, id=f"4_opcode_{opcode}") for opcode in (3, 7, 11, 15)),
        pytest.param(frame(PING, is_final=False), 1002, id="5.1_fragmented_ping"),
        pytest.param(frame(0, b"x"), 1002, id="5.9_continuation_of_nothing"),
        pytest.param(frame(TEXT, b"a", is_final=False) + frame(TEXT, b"b"), 1002, id="5.18_text_in_a_message"),
        pytest.param(frame(TEXT, b"\xce\xba\xe1\xbd\xb9\xf4\x90\x80\x80"), 1007, id="6.4_beyond_unicode"),
        pytest.param(frame(TEXT, b"\xed\xa0\x80"), 1007, id="6.3_surrogate"),
        pytest.param(frame(TEXT, b"\xc0\xaf"), 1007, id="6.3_overlong"),
        pytest.param(frame(TEXT, EURO[:2]), 1007, id="6.3_cut_character"),
        pytest.param(frame(CLOSE, b"\x03"), 1002, id="7.3.2_half_a_code"),
        pytest.param(frame(CLOSE, b"\x03\xe8" + b"x" * 124), 1002, id="7.3.6_reason_too_long"),
        pytest.param(frame(CLOSE, b"\x03\xe8\xff"), 1007, id="7.5.1_reason_not_utf8"),
        *(
            pytest.param(close_frame(code), 1002, id=f"7.9_{code}")
            for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000)
        ),
        pytest.param(b"\x81\x00", 1002, id="not_masked"),
        pytest.param(b"\x81\xfe\x00\x7d", 1002, id="16_bits_for_a_short_length"),
        pytest.param(b"\x81\xff" + (65_535).to_bytes(8, "big"), 1002, id="64_bits_for_a_short_length"),
        pytest.param(b"\x81\xff\x80" + bytes(7), 1002, id="length_with_its_top_bit"),
        pytest.param(b"\x82", None, id="half_a_head"),
        pytest.param(b"\x82\x80", 1003, id="binary_is_refused_in_its_head"),
        pytest.param(b"\x81\xff" + (70_001).to_bytes(8, "big"), 1009, id="too_big_is_refused_in_its_head"),
        pytest.param(frame(TEXT, b"x" * 40_000, is_final=False) + frame(0, b"x" * 40_000), 1009, id="too_big_in_parts"),
        pytest.param(
            frame(TEXT, is_final=False) + frame(0, is_final=False) * MAX_EMPTY_FRAGMENTS, 1008, id="empty_fragments"
        ),
    ],
)
def test_what_is_wrong_ends_with_its_code(data: bytes, code: int | None) -> None:
    if code is None:
        assert read(data) == []
        return
    with pytest.raises(FrameError) as caught:
        read(data)
    assert caught.value.code == code


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_pings_come_back_as_they_were_masked(payload: bytes, mask: bytes) -> None:
    assert read(frame(PING, payload[:125], mask=mask)) == [Ping(payload[:125])]


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_random_bytes_raise_nothing_else(segments: list[bytes]) -> None:
    try:
        read(*segments)
    except FrameError as error:
        assert error.code in CloseCode


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_messages_are_written_as_one_frame(size: int) -> None:
    assert parse_frame(encode_text(b"x" * size)) == ((TEXT, b"x" * size), b"")


def test_control_frames_are_written() -> None:
    assert parse_frame(encode_ping()) == ((PING, b""), b"")
    assert parse_frame(encode_pong(b"data")) == ((PONG, b"data"), b"")
    assert parse_frame(encode_close(CloseCode.NO_STATUS)) == ((CLOSE, b""), b"")
    assert parse_frame(encode_close(4005, "not found")) == ((CLOSE, b"\x0f\xa5not found"), b"")


def test_long_reason_is_cut_between_characters() -> None:
    parsed = parse_frame(encode_close(1011, "€" * 60))
    assert parsed is not None
    assert parsed[0][1][2:].decode() == "€" * 41
