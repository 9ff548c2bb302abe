"""Compressed messages: what they hold, and what a hostile one may cost."""

from __future__ import annotations

import contextlib
import gzip
import os
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.grpc.compression import ACCEPTED, encode_compressed, inflate, inflate_at_once, is_known
from api_gateway.grpc.framing import FramingError

LIMIT_BYTES = 1_000_000


def packed(message: bytes, encoding: bytes) -> bytes:
    """Compress, with other code than ours."""
    return gzip.compress(message) if encoding == b"gzip" else zlib.compress(message)


def decompress(encoding: bytes, message: bytes, max_message_bytes: int) -> bytes:
    """Read a whole message, as calls do."""
    plain = inflate_at_once(encoding, message, max_message_bytes)
    if plain is not None:
        return plain
    *steps, plain = inflate(encoding, message, max_message_bytes)
    assert not any(steps)
    assert plain is not None
    return plain


ENCODINGS = [b"gzip", b"deflate"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "message",
    [b"", b"x", bytes(65_536), bytes(65_537), bytes(LIMIT_BYTES), os.urandom(50_000), b"abc" * 100_000],
    ids=["empty", "one", "a slice", "a slice and one", "as much as allowed", "random", "text"],
)
def test_round_trip(encoding: bytes, message: bytes) -> None:
    assert decompress(encoding, packed(message, encoding), LIMIT_BYTES) == message


@given(message=st.binary(max_size=3_000), repeats=st.integers(1, 300))
def test_any_message_comes_back(message: bytes, repeats: int) -> None:
    """Ours read by others' code and by ours, whatever its prefix says."""
    message *= repeats
    sent = encode_compressed(message)
    flag, length, content = sent[0], int.from_bytes(sent[1:5], "big"), sent[5:]
    assert length == len(content) <= len(message)
    assert (gzip.decompress(content) if flag else content) == message
    assert not flag or decompress(b"gzip", content, len(message)) == message


def test_what_does_not_shrink_goes_as_it_is() -> None:
    noise = os.urandom(2_000)
    assert encode_compressed(noise) == b"\0" + (2_000).to_bytes(4, "big") + noise


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("size_bytes", [LIMIT_BYTES + 1, LIMIT_BYTES + 70_000, 100 * LIMIT_BYTES])
def test_a_bomb_takes_no_more_than_the_limit(encoding: bytes, size_bytes: int) -> None:
    """G64: 100 MB in 100 kB are refused while they are inflated, within the limit and a small rest."""
    bomb = packed(bytes(size_bytes), encoding)
    tracemalloc.start()
    try:
        with pytest.raises(FramingError, match="more than the limit of 1000000 bytes") as caught:
            decompress(encoding, bomb, LIMIT_BYTES)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.is_too_large
    assert peak_bytes < LIMIT_BYTES + 300_000


GOOD = gzip.compress(b"hello" * 100)
SLICE_LONG = gzip.compress(bytes(range(256)) * 63 + bytes(233), 0)
"""Not compressed at all, so that it ends where a slice of input does."""
BROKEN = {
    "nothing": b"",
    "not gzip": b"hello",
    "cut in the header": GOOD[:8],
    "cut in the data": GOOD[:20],
    "cut in the checksum": GOOD[:-1],
    "bad checksum": GOOD[:-8] + bytes(4) + GOOD[-4:],
    "bad length": GOOD[:-4] + bytes(4),
    "a length beyond all": GOOD[:-4] + b"\xff" * 4,
    "something behind": GOOD + b"x",
    "another member": GOOD + GOOD,
    "something far behind": GOOD + bytes(20_000),
    "something behind a whole slice": SLICE_LONG + b"x",
    "zlib format": zlib.compress(b"hello"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_gzip(case: str) -> None:
    """G64: bad checksum, cut, something else: never what came until then."""
    with pytest.raises(FramingError) as caught:
        decompress(b"gzip", BROKEN[case], LIMIT_BYTES)
    assert not caught.value.is_too_large


@given(st.binary(max_size=200), st.integers(0, 200), st.binary(max_size=3))
def test_damaged_gzip_is_a_message_or_a_framing_error(message: bytes, at: int, damage: bytes) -> None:
    good = gzip.compress(message)
    bad = good[:at] + damage + good[at + len(damage) :]
    with contextlib.suppress(FramingError):
        assert len(decompress(b"gzip", bad, 500)) <= 500


def test_a_message_that_ends_with_a_slice() -> None:
    """G64: nothing behind it, nothing wrong."""
    assert len(SLICE_LONG) == 16_384
    assert decompress(b"gzip", SLICE_LONG, LIMIT_BYTES) == gzip.decompress(SLICE_LONG)


def test_names() -> None:
    assert [is_known(name) for name in (b"gzip", b"deflate", b"snappy", b"GZIP", b"")] == [True, True] + [False] * 3
    assert all(name == b"identity" or is_known(name) for name in ACCEPTED.split(b","))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_bomb_is_measured_before_it_is_kept(encoding: bytes) -> None:
    """B14, G64: what grows a thousandfold beyond a high limit takes a tenth of the limit, not all of it."""
    limit_bytes = 16 * LIMIT_BYTES
    bomb = packed(bytes(100 * LIMIT_BYTES), encoding)
    tracemalloc.start()
    try:
        with pytest.raises(FramingError):
            decompress(encoding, bomb, limit_bytes)
        assert tracemalloc.get_traced_memory()[1] < limit_bytes // 5
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_honest_repetition_is_read(encoding: bytes) -> None:
    message = bytes(10 * LIMIT_BYTES)
    assert decompress(encoding, packed(message, encoding), len(message)) == message


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("size_bytes", [0, 1, 65_536, 65_537, 1_000_000])
def test_short_messages_are_read_at_once(encoding: bytes, size_bytes: int) -> None:
    """Nearly all; they cost no more than one call of zlib's."""
    message = bytes(size_bytes)
    plain = inflate_at_once(encoding, packed(message, encoding), LIMIT_BYTES)
    assert plain == (message if size_bytes <= 65_536 else None)


@pytest.mark.parametrize("case", BROKEN)
def test_broken_messages_are_not_read_at_once(case: str) -> None:
    """G64: who reads them in steps learns what is wrong with them."""
    assert inflate_at_once(b"gzip", BROKEN[case], LIMIT_BYTES) is None
    assert inflate_at_once(b"gzip", GOOD, 499) is None


@pytest.mark.parametrize(
    ("message", "fewest"),
    [
        pytest.param(bytes(4_000_000), 24, id="repetition, read twice"),
        pytest.param(os.urandom(4_000_000), 24, id="random"),
        pytest.param(b"0123456789abcdef" * 250_000, 12, id="text"),
    ],
)
def test_long_messages_are_read_in_small_steps(message: bytes, fewest: int) -> None:
    """Others have a turn after each step, which reads and writes 256 KiB and a slice at most."""
    *steps, plain = inflate(b"gzip", gzip.compress(message), len(message))
    assert plain == message
    assert len(steps) >= fewest


def test_input_without_output_is_work_too() -> None:
    """Empty blocks: 16 MiB of them hold nothing, and are not read in one go."""
    engine = zlib.compressobj(wbits=31)
    empty = engine.flush(zlib.Z_FULL_FLUSH) + b"\x00\x00\x00\xff\xff" * 400_000 + engine.flush()
    *steps, plain = inflate(b"gzip", empty, LIMIT_BYTES)
    assert plain == b""
    assert len(steps) >= 7
