"""Header fields as a fuzzer wants them: recorded heads without HPACK's memory, to be changed and moved."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

from tests.support import h2_frames
from tests.support.h2_frames import END_HEADERS, END_STREAM, FrameReader, HeaderCoder, Kind

Field = tuple[bytes, bytes]

VALUES: Final = {
    b":status": (b"100", b"103", b"200", b"204", b"302", b"404", b"429", b"503", b"000", b"99", b"abc", b"1000", b""),
    b"content-type": (b"application/grpc", b"application/grpc+proto", b"application/grpc+json", b"text/html", b""),
    b"grpc-status": (b"0", b"1", b"00", b"16", b"17", b"-1", b"4294967296", b" 0", b"0,0", b"zero", b""),
    b"grpc-message": (b"%", b"%E2%98", b"%zz", b"a%00b", b"\xff\xfe", b"x" * 5_000, b"%0d%0ax: y"),
    b"grpc-encoding": (b"identity", b"gzip", b"deflate", b"snappy", b"gzip,gzip", b""),
    b"grpc-accept-encoding": (b"gzip", b"identity,deflate"),
    b"grpc-status-details-bin": (b"", b"=", b"CAUSBHRleHQ", b"////", b"a,b", b"\x00"),
    b"grpc-retry-pushback-ms": (b"0", b"10", b"-1", b"x", b"99999999999999999999"),
    b"content-length": (b"0", b"5", b"-1", b"99999999999999999999"),
    b"retry-after": (b"1", b"-1", b"x"),
    b"connection": (b"close",),
    b"te": (b"trailers",),
    b"x-long": (b"x" * 20_000, b"x" * 70_000),
    b"x-more-bin": (b"!", b"AP8", b"AP8=", b"AP8,AP8"),
    b"X-Upper": (b"1",),
    b"": (b"",),
}
"""Values at which something changes, by name."""


def literal_block(fields: Sequence[Field]) -> bytes:
    """Return a header block of literals without indexing and without Huffman (RFC 7541 section 6.2.2)."""
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in fields)


def _string(data: bytes) -> bytes:
    size = len(data)
    if size < 127:
        return bytes((size,)) + data
    size -= 127
    head = bytearray((127,))
    while size >= 128:
        head.append(size % 128 | 128)
        size >>= 7
    head.append(size)
    return bytes(head) + data


def without_memory(frames: Sequence[bytes]) -> list[bytes]:
    """Return the same frames with every head as literals; they mean the same in any order and on any connection."""
    return [changed for changed, _ in decoded(frames)]


def decoded(frames: Sequence[bytes]) -> list[tuple[bytes, list[Field] | None]]:
    """Return each frame, heads as literals, with the fields of those that have some. Whole heads only, no padding."""
    coder = HeaderCoder()
    found: list[tuple[bytes, list[Field] | None]] = []
    for each in frames:
        frame = FrameReader().feed(each)[0]
        if frame.kind != Kind.HEADERS or not frame.flags & END_HEADERS:
            found.append((each, None))
            continue
        fields = coder.decode(frame.payload)
        is_end = bool(frame.flags & END_STREAM)
        found.append((h2_frames.headers(frame.stream_id, literal_block(fields), end_stream=is_end), fields))
    return found


def changed_fields(random: Random, fields: Sequence[Field]) -> list[Field]:
    """Return fields with one or some of them changed, added, dropped or moved."""
    found = list(fields)
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.randrange(len(found) or 1)
        what = random.randrange(6)
        if what == 0 and found:
            del found[at]
        elif what == 1 and found:
            found.insert(random.randint(0, len(found)), found[at])
        elif what == 2 and found:
            found[at] = (found[at][0], random.choice(VALUES.get(found[at][0], (b"", b"\0", b"x" * 300))))
        elif what == 3 and found:
            found[at] = (found[at][0], random.randbytes(random.randrange(12)))
        else:
            name = random.choice(tuple(VALUES))
            found.insert(random.randint(0, len(found)), (name, random.choice(VALUES[name])))
    return found
