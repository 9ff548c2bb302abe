"""Spans in the bytes of OTLP (opentelemetry/proto/trace/v1/trace.proto, proto 1.x), written without message objects.

Message objects of protobuf would cost several times as much; docs/tracing.md has the figures.
Parts are handed in as bytes that are made once where they are the same for many spans.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from api_gateway.model.errors import GatewayError
from api_gateway.model.status import Code

KIND_SERVER: Final = b"\x30\x02"
KIND_CLIENT: Final = b"\x30\x03"
STATUS_UNSET: Final = b""
STATUS_ERROR: Final = b"\x7a\x02\x18\x02"
SAMPLED: Final = 0x01
HAS_IS_REMOTE: Final = 0x100
"""The next bit says whether the parent is in another process."""
IS_REMOTE: Final = 0x200

_TIMES: Final = Struct("<BQBQ")
_TIME: Final = Struct("<BQ")
_FLAGS: Final = Struct("<BBI")


def varint(number: int) -> bytes:
    """Return a number from 0 on as a varint; negative ones as 64 bits in two's complement."""
    if 0 <= number < 0x80:
        return number.to_bytes(1, "little")
    if number < 0:
        number += 1 << 64
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def field(tag: bytes, content: bytes) -> bytes:
    """Return a length-delimited field."""
    return tag + varint(len(content)) + content


def utf8(value: bytes) -> bytes:
    """Return a text as receivers take it: with one byte that is not UTF-8 they would refuse the whole batch."""
    return value if value.isascii() else value.decode("utf-8", "replace").encode()


def key(name: str) -> bytes:
    """Return the key of an attribute as the functions below want it."""
    return field(b"\x0a", name.encode())


def text_value(name: bytes, text: bytes) -> bytes:
    """Return a KeyValue whose value is a text; `name` comes from `key`."""
    return name + field(b"\x12", field(b"\x0a", text))


def int_value(name: bytes, number: int) -> bytes:
    """Return a KeyValue whose value is a number."""
    return name + field(b"\x12", b"\x18" + varint(number))


def text_attribute(name: bytes, text: bytes) -> bytes:
    """Return an attribute of a span that is a text."""
    return field(b"\x4a", text_value(name, text))


def int_attribute(name: bytes, number: int) -> bytes:
    """Return an attribute of a span that is a number."""
    return field(b"\x4a", int_value(name, number))


def name_field(name: str) -> bytes:
    """Return the name of a span."""
    return field(b"\x2a", name.encode("utf-8", "replace"))


def event(name: str, at_ns: int) -> bytes:
    """Return an event of a span."""
    return field(b"\x5a", _TIME.pack(0x09, at_ns) + field(b"\x12", name.encode()))


def span(
    trace_id: str,
    span_id: str,
    parent_span_id: str,
    tracestate: str,
    head: bytes,
    start_ns: int,
    end_ns: int,
    parts: list[bytes],
    flags: int,
) -> bytes:
    """Return one span as a field of ScopeSpans.

    `head` is its name and kind, `parts` are attributes, dropped counts, events and status. Times are since 1970.
    """
    content = b"".join(
        (
            b"\x0a\x10",
            bytes.fromhex(trace_id),
            b"\x12\x08",
            bytes.fromhex(span_id),
            field(b"\x1a", tracestate.encode()) if tracestate else b"",
            b"\x22\x08" + bytes.fromhex(parent_span_id) if parent_span_id else b"",
            head,
            _TIMES.pack(0x39, start_ns, 0x41, end_ns if end_ns > start_ns else start_ns),
            *parts,
            _FLAGS.pack(0x85, 0x01, flags),
        )
    )
    return field(b"\x12", content)


def dropped_attributes(count: int) -> bytes:
    """Return how many attributes a span lost."""
    return b"\x50" + varint(count)


def dropped_events(count: int) -> bytes:
    """Return how many events a span lost."""
    return b"\x60" + varint(count)


class Envelope:
    """What every export of a worker has around its spans: who they are of."""

    __slots__ = ("_resource", "_scope")

    def __init__(self, attributes: dict[str, str | int], *, scope: str, version: str) -> None:
        """Prepare; `attributes` are those of the resource, `scope` names the code that makes the spans."""
        values = b"".join(field(b"\x0a", _value(name, value)) for name, value in attributes.items())
        self._resource = field(b"\x0a", values)
        self._scope = field(b"\x0a", field(b"\x0a", scope.encode()) + field(b"\x12", version.encode()))

    def wrap(self, spans: list[bytes]) -> bytes:
        """Return an ExportTraceServiceRequest."""
        scope_spans = field(b"\x12", self._scope + b"".join(spans))
        return field(b"\x0a", self._resource + scope_spans)


def _value(name: str, value: str | int) -> bytes:
    return int_value(key(name), value) if isinstance(value, int) else text_value(key(name), value.encode())


def read_rejected(answer: bytes) -> tuple[int, str]:
    """Return how many spans the receiver of a batch refused, and why, from an ExportTraceServiceResponse.

    Raises GatewayError when it is none.
    """
    rejected, reason = 0, ""
    try:
        for number, content in _fields(answer):
            if number != 1 or isinstance(content, int):
                continue
            for inner, value in _fields(content):
                if inner == 1 and isinstance(value, int):
                    rejected = value if value < 1 << 63 else 0
                elif inner == 2 and isinstance(value, bytes):
                    reason = value.decode("utf-8", "replace")
    except ValueError as error:
        raise GatewayError(Code.INTERNAL, str(error), reason="BAD_EXPORT_ANSWER") from None
    return rejected, reason


def _fields(data: bytes) -> list[tuple[int, bytes | int]]:
    found: list[tuple[int, bytes | int]] = []
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        value, at = _read_varint(data, at) if tag & 7 in (0, 2) else (-1, at)
        if value < 0:
            raise ValueError("unexpected field in the answer")
        if tag & 7 == 2:
            if at + value > len(data):
                raise ValueError("the answer is cut short")
            found.append((tag >> 3, data[at : at + value]))
            at += value
        else:
            found.append((tag >> 3, value))
    return found


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError("the answer is cut short")
