"""Compression of single messages (grpc doc/compression.md). Each message has a context of its own."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from .framing import FramingError

GZIP: Final = b"gzip"
IDENTITY: Final = b"identity"
ACCEPTED: Final = b"identity,gzip"
"""What `grpc-accept-encoding` says. `deflate` is read too, but nobody is asked for it."""

_WINDOW_BITS: Final = {GZIP: 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
"""How zlib is told the format: deflate means the zlib format, as in HTTP."""
_INPUT_SLICE_BYTES: Final = 16 * 1024
_OUTPUT_SLICE_BYTES: Final = 64 * 1024
_STEP_BYTES: Final = 256 * 1024
"""Read and written in one step. Both count: blocks without content are input that no output comes of."""
_TRUSTED_BYTES: Final = 1024 * 1024
_TRUSTED_RATIO: Final = 100
"""Output that is kept at once: the first MiB, and up to this many times what was read for it."""
_LEVEL: Final = 1
"""The quickest: at 30 kB of JSON half the time of level 6 and 1 % longer; below 5 kB it is 30 us at every level."""


def is_known(encoding: bytes) -> bool:
    """Whether messages of this `grpc-encoding` can be read."""
    return encoding in _WINDOW_BITS


def encode_compressed(message: bytes) -> bytes:
    """Return one message with its prefix, compressed with gzip unless that makes it longer."""
    packed = zlib.compress(message, _LEVEL, _WINDOW_BITS[GZIP])
    if len(packed) >= len(message):
        return b"\0" + len(message).to_bytes(4, "big") + message
    return b"\1" + len(packed).to_bytes(4, "big") + packed


def inflate_at_once(encoding: bytes, message: bytes, max_message_bytes: int) -> bytes | None:
    """Return what a compressed message holds if that is at most 64 KiB; None for longer and for broken ones.

    It takes a fifth of a millisecond, and 2.4 ms for a hostile one of 64 KiB. `inflate` reads what is left.
    """
    if len(message) > _OUTPUT_SLICE_BYTES:
        return None
    if encoding == GZIP and int.from_bytes(message[-4:], "little") > _OUTPUT_SLICE_BYTES:
        # The length stated at the end (RFC 1952, 2.3.1). It decides only who reads the message.
        return None
    engine = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        plain = engine.decompress(message, _OUTPUT_SLICE_BYTES)
    except zlib.error:
        return None
    return plain if engine.eof and not engine.unused_data and len(plain) <= max_message_bytes else None


def inflate(encoding: bytes, message: bytes, max_message_bytes: int) -> Iterator[bytes | None]:
    """Read a compressed message in steps of half a millisecond: None for each, at the end what the message holds.

    Whoever steps gives others a turn in between: 16 MiB take 5 to 70 ms in all.
    Raises FramingError: for broken, cut or trailing data, and as soon as more than `max_message_bytes` have come out. A
    message that grows more than a hundredfold is measured before any of it is kept, so that a bomb takes no memory.
    """
    for keeps_all in (False, True):
        # It fits. Reading it twice costs time only where a message is mostly repetition.
        engine = _Inflation(encoding, message, max_message_bytes, keeps_all=keeps_all)
        while not engine.step():
            yield None
        plain = engine.plain()
        if plain is not None:
            yield plain
            return


class _Inflation:
    """One reading of a compressed message."""

    __slots__ = (
        "_encoding",
        "_engine",
        "_is_kept",
        "_keeps_all",
        "_max_message_bytes",
        "_message",
        "_parts",
        "_read_bytes",
        "_rest",
        "_size_bytes",
    )

    def __init__(self, encoding: bytes, message: bytes, max_message_bytes: int, *, keeps_all: bool) -> None:
        self._encoding = encoding
        self._engine = zlib.decompressobj(_WINDOW_BITS[encoding])
        self._message = message
        self._max_message_bytes = max_message_bytes
        self._keeps_all = keeps_all
        self._is_kept = True
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._read_bytes = 0
        self._rest = b""

    def step(self) -> bool:
        """Read on, as much as a step may; return whether the message is at its end. Raises FramingError."""
        work_bytes = 0
        try:
            while work_bytes < _STEP_BYTES:
                if not self._rest:
                    if self._engine.eof or self._read_bytes >= len(self._message):
                        self._close()
                        return True
                    # In slices, because what zlib has not read yet it copies for every piece of output.
                    self._rest = self._message[self._read_bytes : self._read_bytes + _INPUT_SLICE_BYTES]
                    self._read_bytes += _INPUT_SLICE_BYTES
                    work_bytes += _INPUT_SLICE_BYTES
                part = self._engine.decompress(self._rest, _OUTPUT_SLICE_BYTES)
                self._rest = b"" if self._engine.eof else self._engine.unconsumed_tail
                self._keep(part)
                work_bytes += len(part)
        except zlib.error as problem:
            raise FramingError(f"a message that is not {self._encoding.decode()}: {problem}") from None
        return False

    def plain(self) -> bytes | None:
        """Return what the message holds; None when it is sound and was only measured, since it may have been a bomb."""
        if not self._is_kept:
            return None
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def _keep(self, part: bytes) -> None:
        self._size_bytes += len(part)
        if self._size_bytes > self._max_message_bytes:
            raise FramingError(
                f"a compressed message holds more than the limit of {self._max_message_bytes} bytes", is_too_large=True
            )
        if self._is_kept and part:
            self._parts.append(part)
            if not self._keeps_all and self._size_bytes > max(_TRUSTED_BYTES, _TRUSTED_RATIO * self._read_bytes):
                self._is_kept = False
                self._parts.clear()

    def _close(self) -> None:
        self._keep(self._engine.flush())
        if not self._engine.eof:
            raise FramingError(f"a {self._encoding.decode()} message without its end")
        if self._engine.unused_data or self._read_bytes < len(self._message):
            raise FramingError(f"a {self._encoding.decode()} message with something behind its end")
