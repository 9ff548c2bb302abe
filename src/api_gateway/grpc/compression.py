"""Compression of single messages (grpc doc/compression.md). Each message has a context of its own."""

from __future__ import annotations

import zlib
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


def decompress(encoding: bytes, message: bytes, max_message_bytes: int) -> bytes:
    """Return what a compressed message holds.

    Raises FramingError: for broken, cut or trailing data, and as soon as more than `max_message_bytes` have come out. A
    message that grows more than a hundredfold is measured before any of it is kept, so that a bomb takes no memory.
    """
    plain = _inflate(encoding, message, max_message_bytes, keeps_all=False)
    if plain is None:
        # It fits. Reading it twice costs time only where a message is mostly repetition.
        plain = _inflate(encoding, message, max_message_bytes, keeps_all=True)
    return plain or b""


def _inflate(encoding: bytes, message: bytes, max_message_bytes: int, *, keeps_all: bool) -> bytes | None:
    """Return what a message holds; None when it is sound and was only measured, since it may have been a bomb."""
    engine = zlib.decompressobj(_WINDOW_BITS[encoding])
    parts: list[bytes] = []
    size_bytes = 0
    is_kept = True
    try:
        for start in range(0, len(message), _INPUT_SLICE_BYTES):
            # In slices, because what zlib has not read yet it copies for every piece of output.
            rest = message[start : start + _INPUT_SLICE_BYTES]
            while rest:
                part = engine.decompress(rest, _OUTPUT_SLICE_BYTES)
                size_bytes += len(part)
                if size_bytes > max_message_bytes:
                    raise _too_large(max_message_bytes)
                if is_kept:
                    parts.append(part)
                    read_bytes = start + _INPUT_SLICE_BYTES
                    if not keeps_all and size_bytes > max(_TRUSTED_BYTES, _TRUSTED_RATIO * read_bytes):
                        is_kept = False
                        parts.clear()
                if engine.eof:
                    break
                rest = engine.unconsumed_tail
            if engine.eof:
                if engine.unused_data or start + _INPUT_SLICE_BYTES < len(message):
                    raise FramingError(f"a {encoding.decode()} message with something behind its end")
                break
        last = engine.flush()
    except zlib.error as problem:
        raise FramingError(f"a message that is not {encoding.decode()}: {problem}") from None
    if size_bytes + len(last) > max_message_bytes:
        raise _too_large(max_message_bytes)
    if not engine.eof:
        raise FramingError(f"a {encoding.decode()} message without its end")
    if not is_kept:
        return None
    if last:
        parts.append(last)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(max_message_bytes: int) -> FramingError:
    return FramingError(
        f"a compressed message holds more than the limit of {max_message_bytes} bytes", is_too_large=True
    )
