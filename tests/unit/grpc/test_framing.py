"""Length-prefixed messages in any slices."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.grpc.framing import FramingError, MessageReader, encode_message


def read_all(reader: MessageReader, slices: list[bytes]) -> list[bytes]:
    """Feed slices and return the messages."""
    return [message for data in slices for _, message in reader.feed(data)]


@given(st.lists(st.binary(max_size=50), max_size=5), st.data())
def test_any_slicing_gives_the_same_messages(messages: list[bytes], data: st.DataObject) -> None:
    """G4: a message may be split anywhere, and one slice may carry many."""
    wire = b"".join(encode_message(message) for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    slices = [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    reader = MessageReader(1000)
    assert read_all(reader, slices) == messages
    assert reader.is_empty


def test_byte_by_byte() -> None:
    """G4: 1-byte slices work."""
    wire = encode_message(b"hello") + encode_message(b"")
    assert read_all(MessageReader(5), [bytes([byte]) for byte in wire]) == [b"hello", b""]


def test_an_empty_message_is_a_message() -> None:
    """G6: five bytes on the wire."""
    assert encode_message(b"") == b"\0\0\0\0\0"
    assert MessageReader(5).feed(b"\0\0\0\0\0") == [(False, b"")]


@pytest.mark.parametrize("flag", [2, 3, 128, 255])
def test_other_flags_are_refused(flag: int) -> None:
    """G3: the compressed flag is 0 or 1."""
    with pytest.raises(FramingError, match="compressed flag"):
        MessageReader(10).feed(bytes([flag]) + b"\0\0\0\1a")


def test_the_flag_is_reported() -> None:
    """Compressed messages are told apart."""
    assert MessageReader(10).feed(b"\1\0\0\0\1a\0\0\0\0\1b") == [(True, b"a"), (False, b"b")]


@pytest.mark.parametrize("wire", [b"\0\0\0\0\x0bxxxxxxxxxxx", b"\0\xff\xff\xff\xff"], ids=["whole", "prefix only"])
def test_too_long_is_decided_from_the_prefix(wire: bytes) -> None:
    """G28: before it is buffered."""
    with pytest.raises(FramingError) as caught:
        MessageReader(10).feed(wire)
    assert caught.value.is_too_large


def test_the_limit_itself_is_allowed() -> None:
    """G28: ten bytes fit a limit of ten, whole and in parts."""
    wire = encode_message(b"x" * 10)
    assert MessageReader(10).feed(wire) == [(False, b"x" * 10)]
    assert read_all(MessageReader(10), [wire[:7], wire[7:]]) == [b"x" * 10]


def test_only_the_message_that_has_begun_is_kept() -> None:
    """B16: whole messages leave nothing behind, and a part takes hardly more than its own size."""
    whole, begun = encode_message(bytes(1_000)) * 15, encode_message(bytes(100_000))
    reader = MessageReader(100_000)
    assert len(reader.feed(whole + begun[:1_000])) == 15
    assert sys.getsizeof(reader._part) < 1_200
    assert reader.feed(begun[1_000:-1]) == []
    assert sys.getsizeof(reader._part) < 1.2 * len(begun)
    assert read_all(reader, [begun[-1:] + whole]) == [bytes(100_000), *[bytes(1_000)] * 15]
    assert reader.is_empty
    assert sys.getsizeof(reader._part) < 100


def test_a_cut_message_is_noticed() -> None:
    """G27: what is left over at the end is not a message."""
    reader = MessageReader(10)
    assert reader.feed(b"\0\0\0\0\5hel") == []
    assert not reader.is_empty
