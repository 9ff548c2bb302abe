"""What a hostile backend may pour over a connection (B14): each flood is an endless or long row of pieces of bytes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from scenarios.peer import PeerCall
from tests.support import h2_frames
from tests.support.h2_frames import Kind, Setting
from tests.support.scripted_peer import prefixed

MANY: Final = 100_000
MILLION: Final = 1_000_000
_PIECE_FRAMES: Final = 1_000
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """One kind of flood."""

    name: str
    pieces: Callable[[PeerCall], Iterator[bytes]]
    reads_on: bool = True
    """Whether the backend goes on reading, or leaves the answers to pile up."""
    body: Callable[[], bytes] | None = None
    """DATA to be sent after the pieces, as the window allows."""


def _repeated(frame: bytes, count: int) -> Iterator[bytes]:
    piece = frame * _PIECE_FRAMES
    for _ in range(count // _PIECE_FRAMES):
        yield piece


def _pings(call: PeerCall) -> Iterator[bytes]:
    return _repeated(h2_frames.ping(b"are you?"), MANY)


def _settings(call: PeerCall) -> Iterator[bytes]:
    return _repeated(h2_frames.settings({Setting.MAX_CONCURRENT_STREAMS: 100}), MANY)


def _empty_data(call: PeerCall) -> Iterator[bytes]:
    yield call.connection.head(call.stream_id)
    yield from _repeated(h2_frames.data(call.stream_id, b""), MANY)


def _window_updates(call: PeerCall) -> Iterator[bytes]:
    return _repeated(h2_frames.window_update(0, 1), MANY)


def _priorities(call: PeerCall) -> Iterator[bytes]:
    return _repeated(h2_frames.frame(Kind.PRIORITY, 0, call.stream_id, bytes(5)), MANY)


def _continuations(call: PeerCall) -> Iterator[bytes]:
    yield h2_frames.headers(call.stream_id, call.connection.coder.encode([(b":status", b"200")]), end_headers=False)
    yield from _repeated(h2_frames.continuation(call.stream_id, b"\x00\x01a\x01b", end_headers=False), MANY)


def _hpack_bomb(call: PeerCall) -> Iterator[bytes]:
    """One entry of 3,900 bytes in the dynamic table, referred to by one byte each, again and again."""
    entry = b"\x40\x01a\x7f" + _hpack_integer(3_900 - 127) + bytes(b"v" * 3_900)
    status = b"\x88"  # static index 8: `:status: 200`
    block = status + entry + b"\xbe" * 12_000
    yield h2_frames.headers(call.stream_id, block[:16_000], end_headers=False)
    yield h2_frames.continuation(call.stream_id, block[16_000:])


def _hpack_integer(rest: int) -> bytes:
    """Return the bytes that follow a full prefix (RFC 7541 section 5.1)."""
    found = bytearray()
    while rest >= 128:
        found.append(rest % 128 + 128)
        rest //= 128
    found.append(rest)
    return bytes(found)


def _informational(call: PeerCall) -> Iterator[bytes]:
    # A literal without indexing, so that every head is the same: `:status: 103`.
    return _repeated(h2_frames.headers(call.stream_id, b"\x08\x03103"), MILLION)


def _long_head(call: PeerCall) -> Iterator[bytes]:
    """A list of 10 MiB: literal fields of 16 KiB, one a frame."""
    value = b"v" * 16_000
    literal = b"\x00\x01a\x7f" + _hpack_integer(len(value) - 127) + value
    yield h2_frames.headers(call.stream_id, b"\x88", end_headers=False)
    for _ in range(10 * _MIB // len(literal)):
        yield h2_frames.continuation(call.stream_id, literal, end_headers=False)
    yield h2_frames.continuation(call.stream_id, b"")


def _endless_message(call: PeerCall) -> Iterator[bytes]:
    yield call.connection.head(call.stream_id)
    yield h2_frames.data(call.stream_id, prefixed(b"x" * 10_000, length=0xFFFF_FFFF))


def gzip_bomb() -> bytes:
    """Return 4 GiB of zeros as gzip, about 1:1000. One MiB, flushed, is repeated: a decoder cannot tell."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    unit = deflate.compress(bytes(_MIB)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + unit * 4096 + b"\x03\x00" + bytes(8)


def _gzip_head(call: PeerCall) -> Iterator[bytes]:
    yield call.connection.head(call.stream_id, (b"grpc-encoding", b"gzip"))


def _gzip_message() -> bytes:
    return prefixed(gzip_bomb(), flag=1)


FLOODS: Final = (
    Flood(name="PING x 100,000, unread answers", pieces=_pings, reads_on=False),
    Flood(name="SETTINGS x 100,000, unread answers", pieces=_settings, reads_on=False),
    Flood(name="PING x 100,000", pieces=_pings),
    Flood(name="SETTINGS x 100,000", pieces=_settings),
    Flood(name="empty DATA x 100,000", pieces=_empty_data),
    Flood(name="WINDOW_UPDATE x 100,000", pieces=_window_updates),
    Flood(name="PRIORITY x 100,000", pieces=_priorities),
    Flood(name="CONTINUATION without end", pieces=_continuations),
    Flood(name="HPACK bomb, 47 MB from 16 kB", pieces=_hpack_bomb),
    Flood(name="1xx heads x 1,000,000", pieces=_informational),
    Flood(name="head of 10 MiB", pieces=_long_head),
    Flood(name="message of 4 GiB - 1 announced", pieces=_endless_message),
    Flood(name="gzip bomb of 4 GiB", pieces=_gzip_head, body=_gzip_message),
)
