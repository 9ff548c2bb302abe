"""WebSocket frames of a server (RFC 6455 section 5): bytes to messages, messages to bytes. Performs no I/O.

::

    frame = FIN RSV1-3 opcode(4) / MASK length(7) / [length(16) | length(64)] / [key(32)] / payload

Text only, no extensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

MAX_REASON_BYTES: Final = 123
MAX_EMPTY_FRAGMENTS: Final = 100
"""Frames without content in one message; more of them mean nothing but work."""
_CONTINUATION: Final = 0x0
_TEXT: Final = 0x1
_BINARY: Final = 0x2
_CLOSE: Final = 0x8
_PING: Final = 0x9
_PONG: Final = 0xA
_OPCODES: Final = frozenset((_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG))
_MAX_CONTROL_BYTES: Final = 125


class CloseCode(IntEnum):
    """Codes of close frames (RFC 6455 section 7.4.1)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS = 1005
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011


class FrameError(Exception):
    """Bytes that end the connection with a close code."""

    def __init__(self, code: CloseCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Text:
    """A whole text message: valid UTF-8."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """To be answered by a pong with the same data."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The client's close frame. `NO_STATUS` when it had no code."""

    code: int


Event = Text | Ping | Close


class FrameReader:
    """Takes a client's bytes in any slices. Of no use after FrameError, or after `Close`."""

    __slots__ = ("_buffer", "_empty_count", "_is_in_message", "_max_message_bytes", "_parts")

    def __init__(self, max_message_bytes: int) -> None:
        self._max_message_bytes = max_message_bytes
        self._buffer = bytearray()
        self._parts = bytearray()
        self._is_in_message = False
        self._empty_count = 0

    def feed(self, data: bytes) -> list[Event]:
        """Return what these bytes complete; pongs tell nothing.

        Raises FrameError: 1002, 1003 for binary frames, 1007 for text that is not UTF-8, 1009 for a message over the
        limit, which is seen in its head. What came before it in the same bytes is lost.
        """
        buffer = self._buffer
        buffer += data
        events: list[Event] = []
        start = 0
        while (head := self._read_head(start)) is not None:
            opcode, is_final, payload_start, size_bytes = head
            end = payload_start + size_bytes
            if len(buffer) < end:
                break
            payload = _unmask(bytes(buffer[payload_start:end]), bytes(buffer[payload_start - 4 : payload_start]))
            start = end
            event = self._take(opcode, is_final, payload)
            if event is not None:
                events.append(event)
                if isinstance(event, Close):
                    break
        if start:
            del buffer[:start]
        return events

    def _read_head(self, start: int) -> tuple[int, bool, int, int] | None:
        """Return opcode, FIN, where the payload begins and its length; None while the head is incomplete."""
        buffer = self._buffer
        if len(buffer) - start < 2:
            return None
        first, second = buffer[start], buffer[start + 1]
        opcode, size_bytes, position = first & 0x0F, second & 0x7F, start + 2
        if first & 0x70 or opcode not in _OPCODES:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "reserved bits or an unknown opcode")
        if not second & 0x80:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "a frame that is not masked")
        if opcode & 0x8 and (size_bytes > _MAX_CONTROL_BYTES or not first & 0x80):
            raise FrameError(CloseCode.PROTOCOL_ERROR, "a control frame that is long or fragmented")
        if size_bytes > _MAX_CONTROL_BYTES:
            width = 2 if size_bytes == 126 else 8
            if len(buffer) - position < width:
                return None
            size_bytes = int.from_bytes(buffer[position : position + width], "big")
            position += width
            if size_bytes <= (_MAX_CONTROL_BYTES if width == 2 else 0xFFFF) or size_bytes >> 63:
                raise FrameError(CloseCode.PROTOCOL_ERROR, "a length in the wrong form")
        if not opcode & 0x8:
            self._check_data(opcode, size_bytes)
        if len(buffer) - position < 4:
            return None
        return opcode, bool(first & 0x80), position + 4, size_bytes

    def _check_data(self, opcode: int, size_bytes: int) -> None:
        if opcode == _BINARY:
            raise FrameError(CloseCode.UNSUPPORTED_DATA, "messages are JSON in text frames")
        if (opcode == _CONTINUATION) != self._is_in_message:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "fragments out of order")
        if len(self._parts) + size_bytes > self._max_message_bytes:
            raise FrameError(CloseCode.TOO_BIG, f"a message is larger than {self._max_message_bytes} bytes")

    def _take(self, opcode: int, is_final: bool, payload: bytes) -> Event | None:
        if opcode == _PING:
            return Ping(payload)
        if opcode == _PONG:
            return None
        if opcode == _CLOSE:
            return Close(_close_code(payload))
        self._is_in_message = not is_final
        if not is_final and not payload:
            self._empty_count += 1
            if self._empty_count > MAX_EMPTY_FRAGMENTS:
                raise FrameError(CloseCode.POLICY_VIOLATION, "too many empty fragments")
        self._parts += payload
        if not is_final:
            return None
        text = bytes(self._parts)
        self._parts.clear()
        self._empty_count = 0
        _check_utf8(text)
        return Text(text)


def encode_text(text: bytes) -> bytes:
    """Return one message as one frame."""
    return _frame(_TEXT, text)


def encode_ping(data: bytes = b"") -> bytes:
    """Return a ping."""
    return _frame(_PING, data)


def encode_pong(data: bytes) -> bytes:
    """Return the answer to a ping."""
    return _frame(_PONG, data)


def encode_close(code: int, reason: str = "") -> bytes:
    """Return a close frame; a reason that is too long is cut between two characters. NO_STATUS sends no code."""
    if code == CloseCode.NO_STATUS:
        return _frame(_CLOSE, b"")
    text = reason.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode("utf-8", "ignore").encode()
    return _frame(_CLOSE, code.to_bytes(2, "big") + text)


def _frame(opcode: int, payload: bytes) -> bytes:
    size_bytes = len(payload)
    if size_bytes <= _MAX_CONTROL_BYTES:
        return bytes((0x80 | opcode, size_bytes)) + payload
    if size_bytes <= 0xFFFF:
        return bytes((0x80 | opcode, 126)) + size_bytes.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size_bytes.to_bytes(8, "big") + payload


def _unmask(payload: bytes, key: bytes) -> bytes:
    size_bytes = len(payload)
    # As two long integers, at the speed of C.
    mask = int.from_bytes((key * (size_bytes // 4 + 1))[:size_bytes], "little")
    return (int.from_bytes(payload, "little") ^ mask).to_bytes(size_bytes, "little")


def _close_code(payload: bytes) -> int:
    if not payload:
        return CloseCode.NO_STATUS
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
        raise FrameError(CloseCode.PROTOCOL_ERROR, "a close code that may not be sent")
    _check_utf8(payload[2:])
    return code


def _check_utf8(text: bytes) -> None:
    try:
        text.decode()
    except UnicodeDecodeError:
        raise FrameError(CloseCode.INVALID_DATA, "text that is not UTF-8") from None
