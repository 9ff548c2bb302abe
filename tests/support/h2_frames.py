"""HTTP/2 frames made and read by hand (RFC 9113 section 4), so that tests can send what no library would.

Nothing is checked here: lengths, flags and stream ids are written as they are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends first (RFC 9113 section 3.4)."""

Fields = Iterable[tuple[bytes, bytes]]

END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
MAX_STREAM_ID = 2**31 - 1
DEFAULT_WINDOW_BYTES = 65_535
MAX_PAYLOAD_BYTES = 16_384


class Kind(IntEnum):
    """Frame types (RFC 9113 section 6)."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Setting(IntEnum):
    """Settings (RFC 9113 section 6.5.2)."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class Error(IntEnum):
    """Error codes (RFC 9113 section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame as it was read. `kind` is an int: peers may use types nobody knows."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes

    @property
    def number(self) -> int:
        """The 31 or 32 bits that RST_STREAM (error code) and WINDOW_UPDATE (increment) carry."""
        return int.from_bytes(self.payload[:4], "big")

    @property
    def goaway(self) -> tuple[int, int, bytes]:
        """Last stream id, error code and debug data of a GOAWAY."""
        return int.from_bytes(self.payload[:4], "big"), int.from_bytes(self.payload[4:8], "big"), self.payload[8:]

    @property
    def settings(self) -> dict[int, int]:
        """What a SETTINGS frame sets."""
        entries = (self.payload[at : at + 6] for at in range(0, len(self.payload), 6))
        return {int.from_bytes(entry[:2], "big"): int.from_bytes(entry[2:], "big") for entry in entries}


class FrameReader:
    """Takes bytes in any slices and gives whole frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes; return the frames they complete."""
        self._buffer += data
        frames = []
        while len(self._buffer) >= 9:
            end = 9 + int.from_bytes(self._buffer[:3], "big")
            if len(self._buffer) < end:
                break
            frames.append(
                Frame(
                    kind=self._buffer[3],
                    flags=self._buffer[4],
                    stream_id=int.from_bytes(self._buffer[5:9], "big") & MAX_STREAM_ID,
                    payload=bytes(self._buffer[9:end]),
                )
            )
            del self._buffer[:end]
        return frames


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    """Return any frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big") + payload


def data(stream_id: int, payload: bytes, *, end_stream: bool = False, padding: int | None = None) -> bytes:
    """Return DATA; `padding` is the number of bytes added after the payload, None for a frame without padding."""
    flags = END_STREAM if end_stream else 0
    if padding is None:
        return frame(Kind.DATA, flags, stream_id, payload)
    return frame(Kind.DATA, flags | PADDED, stream_id, bytes((padding,)) + payload + bytes(padding))


def headers(stream_id: int, block: bytes, *, end_stream: bool = False, end_headers: bool = True) -> bytes:
    """Return HEADERS with a header block that is encoded already."""
    flags = (END_STREAM if end_stream else 0) | (END_HEADERS if end_headers else 0)
    return frame(Kind.HEADERS, flags, stream_id, block)


def continuation(stream_id: int, block: bytes, *, end_headers: bool = True) -> bytes:
    """Return CONTINUATION."""
    return frame(Kind.CONTINUATION, END_HEADERS if end_headers else 0, stream_id, block)


def rst_stream(stream_id: int, error_code: int) -> bytes:
    """Return RST_STREAM."""
    return frame(Kind.RST_STREAM, 0, stream_id, error_code.to_bytes(4, "big"))


def settings(values: Mapping[Setting, int] | Iterable[tuple[int, int]] = ()) -> bytes:
    """Return SETTINGS; pairs may repeat a setting."""
    pairs = values.items() if isinstance(values, Mapping) else values
    return frame(
        Kind.SETTINGS, 0, 0, b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in pairs)
    )


def settings_ack() -> bytes:
    """Return the acknowledgement of SETTINGS."""
    return frame(Kind.SETTINGS, ACK, 0, b"")


def ping(opaque: bytes, *, ack: bool = False) -> bytes:
    """Return PING."""
    return frame(Kind.PING, ACK if ack else 0, 0, opaque)


def goaway(last_stream_id: int, error_code: int = Error.NO_ERROR, debug_data: bytes = b"") -> bytes:
    """Return GOAWAY."""
    return frame(Kind.GOAWAY, 0, 0, last_stream_id.to_bytes(4, "big") + error_code.to_bytes(4, "big") + debug_data)


def window_update(stream_id: int, increment: int) -> bytes:
    """Return WINDOW_UPDATE; stream 0 is the connection."""
    return frame(Kind.WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def push_promise(stream_id: int, promised_stream_id: int, block: bytes) -> bytes:
    """Return PUSH_PROMISE."""
    return frame(Kind.PUSH_PROMISE, END_HEADERS, stream_id, promised_stream_id.to_bytes(4, "big") + block)


class HeaderCoder:
    """The two HPACK states of one end of a connection."""

    def __init__(self) -> None:
        self._encoder = hpack.Encoder()
        self._decoder = hpack.Decoder()
        self._decoder.max_header_list_size = 2**20

    def encode(self, fields: Fields) -> bytes:
        """Return a header block; it must be sent, or the other end loses step."""
        return self._encoder.encode([(name, value) for name, value in fields])

    def decode(self, block: bytes) -> list[tuple[bytes, bytes]]:
        """Return the fields of a whole header block."""
        return [(bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)]

    @property
    def table_size(self) -> int:
        """Size of the table we encode with; the other end announced how large it may be."""
        return self._encoder.header_table_size

    @table_size.setter
    def table_size(self, size_bytes: int) -> None:
        self._encoder.header_table_size = size_bytes

    def limit_incoming_table(self, size_bytes: int) -> None:
        """Refuse blocks that use a larger table than we announced."""
        self._decoder.max_allowed_table_size = size_bytes
