"""A body that holds many JSON texts, cut into them while it arrives: lines, an array, or one value after the other.

Performs no I/O and parses nothing: it finds the ends. Whoever reads the texts checks them.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from ..model.errors import GatewayError, Source, bad_request
from ..model.status import Code
from .strict_json import too_deep

MAX_LEVELS: Final = 128
"""Brackets inside each other in one text: more than a message may have, so that whoever reads it says where."""
_BLANKS: Final = b" \t\r\n"
_BLANK_RUN: Final = re.compile(rb"[ \t\r\n]+")
_OUTSIDE: Final = re.compile(rb'["\[\]{},]')
_IN_STRING: Final = re.compile(rb'["\\]')


class Splitter(Protocol):
    """Cuts a body into JSON texts."""

    @property
    def offset(self) -> int:
        """Where in the body the text that is arriving begins."""

    @property
    def count(self) -> int:
        """Texts completed so far."""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take a part of the body; return the texts it completes, each with its offset in the body.

        Raises GatewayError 400 where no text can begin, 413 for a text over the limit. Nothing may be fed after that.
        """

    def finish(self) -> list[tuple[int, bytes]]:
        """Take the end of the body; return the last text if only the end completes it. Raises GatewayError 400."""


class LineSplitter:
    """NDJSON: one text a line; empty lines count for nothing, and the last line may lack its end."""

    __slots__ = ("_buffer", "_limit_bytes", "count", "offset")

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()
        self.count = 0
        self.offset = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """See `Splitter.feed`."""
        *ends, rest = data.split(b"\n")
        texts = []
        for end in ends:
            text = bytes(self._buffer) + end if self._buffer else end
            self._buffer.clear()
            self._check(len(text))
            if text.strip(_BLANKS):
                self.count += 1
                texts.append((self.offset, text))
            self.offset += len(text) + 1
        self._buffer += rest
        self._check(len(self._buffer))
        return texts

    def finish(self) -> list[tuple[int, bytes]]:
        """See `Splitter.finish`."""
        text = bytes(self._buffer)
        self._buffer.clear()
        return [(self.offset, text)] if text.strip(_BLANKS) else []

    def _check(self, size_bytes: int) -> None:
        if size_bytes > self._limit_bytes:
            raise message_too_large(self._limit_bytes)


class ValueSplitter:
    """`application/json`: the elements of one array, or objects one after the other.

    ::

        body    = ws [ array / *( object ws ) ]
        array   = "[" ws [ element *( "," element ) ] "]" ws
    """

    __slots__ = (
        "_buffer",
        "_depth",
        "_is_array",
        "_is_element_due",
        "_is_in_string",
        "_is_over",
        "_limit_bytes",
        "_scanned",
        "count",
        "offset",
    )

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()
        """The text that is arriving, from its first byte that is not blank."""
        self._scanned = 0
        self._depth = 0
        """Open brackets within the text."""
        self._is_in_string = False
        self._is_array: bool | None = None
        self._is_element_due = False
        """Whether a comma came that an element must follow."""
        self._is_over = False
        self.count = 0
        self.offset = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """See `Splitter.feed`."""
        self._buffer += data
        texts: list[tuple[int, bytes]] = []
        while self._take_next(texts):
            pass
        if len(self._buffer) > self._limit_bytes:
            raise message_too_large(self._limit_bytes)
        return texts

    def finish(self) -> list[tuple[int, bytes]]:
        """See `Splitter.finish`."""
        if self._is_array and not self._is_over:
            raise bad_request("the JSON array is not closed", "INVALID_JSON")
        if self._buffer:
            raise bad_request("the JSON is cut off", "INVALID_JSON")
        return []

    def _take_next(self, texts: list[tuple[int, bytes]]) -> bool:
        """Take one text or bracket off the buffer; False when more must come first."""
        buffer = self._buffer
        if not self._scanned:
            self._skip_blanks()
            if not buffer:
                return False
            if self._is_over:
                raise bad_request("something follows the JSON array", "INVALID_JSON")
            if self._is_array is None:
                self._is_array = buffer.startswith(b"[")
                if self._is_array:
                    self._drop(1)
                    return True
            if not self._is_array and not buffer.startswith(b"{"):
                raise bad_request("expected a JSON array, or objects one after the other", "INVALID_JSON")
            if buffer.startswith(b"]") and not self._is_element_due:
                self._is_over = True
                self._drop(1)
                return True
        end = self._find_end()
        if end < 0:
            return False
        self._emit(end, texts)
        return True

    def _find_end(self) -> int:
        """Return where the text ends: behind an object's bracket, or before what follows an element. -1: not here."""
        buffer, position = self._buffer, self._scanned
        while True:
            pattern = _IN_STRING if self._is_in_string else _OUTSIDE
            match = pattern.search(buffer, position)
            if match is None:
                self._scanned = max(position, len(buffer))
                return -1
            position = match.end()
            mark = buffer[position - 1]
            if mark == 0x5C:  # a backslash: the byte behind it is no quote that ends
                position += 1
            elif mark == 0x22:
                self._is_in_string = not self._is_in_string
            elif mark in b"[{":
                self._depth += 1
                if self._depth > MAX_LEVELS:
                    raise too_deep()
            elif self._depth == 0 and mark in b",]}":
                return position - 1
            elif mark != 0x2C:
                self._depth -= 1
                if not self._depth and not self._is_array:
                    return position

    def _emit(self, end: int, texts: list[tuple[int, bytes]]) -> None:
        buffer = self._buffer
        text = bytes(buffer[:end])
        if len(text) > self._limit_bytes:
            raise message_too_large(self._limit_bytes)
        if self._is_array:
            mark = buffer[end]
            if not text.strip(_BLANKS):
                raise bad_request(f'expected a value before "{chr(mark)}"', "INVALID_JSON")
            if mark == 0x7D:
                raise bad_request('a "}" that nothing opened', "INVALID_JSON")
            self._is_over = mark == 0x5D
            end += 1
            self._is_element_due = mark == 0x2C
        self.count += 1
        texts.append((self.offset, text))
        self._drop(end)

    def _skip_blanks(self) -> None:
        blanks = _BLANK_RUN.match(self._buffer)
        if blanks is not None:
            self._drop(blanks.end())

    def _drop(self, size_bytes: int) -> None:
        del self._buffer[:size_bytes]
        self.offset += size_bytes
        self._scanned = 0


def message_too_large(limit_bytes: int) -> GatewayError:
    """Make the error for one message of a stream over the limit of the route (413); the connection is closed."""
    return GatewayError(
        Code.OUT_OF_RANGE,
        f"a message of the stream is larger than {limit_bytes} bytes",
        reason="MESSAGE_TOO_LARGE",
        source=Source.CLIENT,
        http=413,
        metadata={"limit_bytes": str(limit_bytes)},
        close=True,
    )
