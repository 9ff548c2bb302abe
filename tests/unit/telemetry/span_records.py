"""Records as requests leave them, and a plain reader of the spans made of them."""

from __future__ import annotations

from api_gateway.model.exchange import Exchange
from api_gateway.model.message import Request
from api_gateway.model.trace import CallSpan, Trace
from api_gateway.telemetry.span_encoding import SpanEncoder

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = "53995c3f42cd8ad8"
OFFSET_NS = 1_700_000_000_000_000_000

Fields = dict[int, list[bytes | int]]


class Sink:
    """Implements `model.trace.SpanSink`: keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[CallSpan] = []

    def call_ended(self, span: CallSpan) -> None:
        self.calls.append(span)


def encoder(*, max_attributes: int = 16, max_events: int = 64) -> SpanEncoder:
    """Return an encoder with a wall clock that is OFFSET_NS ahead of the monotonic one."""
    made = SpanEncoder(max_attributes=max_attributes, max_events=max_events, wall_clock_offset_ns=lambda: OFFSET_NS)
    made.look_at_clock()
    return made


def finished(path: str = "/api/users/1", *, method: str = "GET", headers: dict[bytes, bytes] | None = None) -> Exchange:
    """Return a recorded exchange that began at 1.0 s, took 0.25 s and was answered with 200."""
    request = Request(
        method=method,
        path=path,
        query="token=secret",
        headers=headers or {},
        repeated=frozenset(),
        body=None,
        peer="192.0.2.7",
        started_s=1.0,
    )
    made = Exchange(request)
    made.status, made.duration_s, made.route = 200, 0.25, "/api/users/:id"
    made.request_id = made.trace_id = TRACE
    made.trace = Trace(TRACE, SPAN, PARENT, 1, "a=b", Sink())
    return made


def call_span(*, code: int = 0, error_type: str = "") -> CallSpan:
    """Return an attempt from 1.1 s to 1.2 s."""
    made = CallSpan(Trace(TRACE, SPAN, PARENT, 1, "", Sink()), "b" * 16, b"/a.B/Get", "users", "users.internal", 50051)
    made.started_s, made.ended_s, made.grpc_code, made.error_type = 1.1, 1.2, code, error_type
    return made


def fields(data: bytes) -> Fields:
    """Read one message: values by field number, fixed ones as their bytes."""
    found: Fields = {}
    at = 0

    def varint() -> int:
        nonlocal at
        number = shift = 0
        while True:
            byte = data[at]
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while at < len(data):
        tag = varint()
        value: bytes | int
        if tag & 7 == 0:
            value = varint()
        else:
            size = {1: 8, 5: 4}.get(tag & 7) or varint()
            value, at = data[at : at + size], at + size
            assert len(value) == size
        found.setdefault(tag >> 3, []).append(value)
    return found


def message(value: bytes | int) -> Fields:
    """Read a message inside another."""
    assert isinstance(value, bytes)
    return fields(value)


def span_fields(data: bytes) -> Fields:
    """Read a span as a field of ScopeSpans."""
    ((number, (span,)),) = fields(data).items()
    assert number == 2
    return message(span)


def attributes(span: Fields) -> dict[str, str | int]:
    """Return the attributes of a span; fails when a key is there twice."""
    found: dict[str, str | int] = {}
    for each in span.get(9, []):
        pair = message(each)
        (key,), (value,) = pair[1], pair[2]
        assert isinstance(key, bytes)
        ((kind, (content,)),) = message(value).items()
        assert kind == (1 if isinstance(content, bytes) else 3)
        assert key.decode() not in found
        found[key.decode()] = content.decode() if isinstance(content, bytes) else content
    return found
