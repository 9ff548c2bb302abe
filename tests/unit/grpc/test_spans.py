"""One span for each attempt that was sent, whatever its end."""

from __future__ import annotations

from api_gateway.grpc.stream_call import StreamCall
from api_gateway.grpc.unary_call import UnaryCall
from api_gateway.model.status import Code
from api_gateway.model.trace import CallSpan, Trace
from tests.support import h2_frames
from tests.support.h2_frames import Error
from tests.support.memory_link import HEAD, MemoryLink

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
MESSAGE = b"\0\0\0\0\x01m"


class Recorded:
    """A connection whose calls are recorded. Implements `SpanSink`."""

    def __init__(self) -> None:
        self.link = MemoryLink()
        self.link.greet()
        self.ended: list[CallSpan] = []
        self.trace = Trace(TRACE, "00f067aa0ba902b7", "", 1, "a=b", self)

    def call_ended(self, span: CallSpan) -> None:
        self.ended.append(span)

    def unary(self, *, is_idempotent: bool = False) -> UnaryCall:
        deadline_s = self.link.loop.time() + 5
        call = UnaryCall(
            self.link.owner,
            HEAD,
            b"q",
            deadline_s=deadline_s,
            metadata=[],
            is_idempotent=is_idempotent,
            trace=self.trace,
        )
        call.start(self.link.connection)
        return call

    def stream(self) -> StreamCall:
        call = StreamCall(self.link.owner, HEAD, deadline_s=self.link.loop.time() + 5, metadata=[], trace=self.trace)
        call.start(self.link.connection)
        return call

    def head_of(self, stream_id: int) -> dict[bytes, bytes]:
        self.link.frames()
        return dict(self.link.heads[stream_id])

    @property
    def codes(self) -> list[tuple[int, str]]:
        return [(span.grpc_code, span.error_type) for span in self.ended]


def test_attempt_that_ends_well() -> None:
    """C9: the backend's parent is the attempt, and the span lasts from its head to its status."""
    made = Recorded()
    call = made.unary()
    head = made.head_of(1)
    assert made.ended == []
    made.link.feed(made.link.head(1), h2_frames.data(1, MESSAGE), made.link.trailers(1))
    assert call.done()
    (span,) = made.ended
    assert head[b"traceparent"] == f"00-{TRACE}-{span.span_id}-01".encode()
    assert head[b"tracestate"] == b"a=b"
    assert (span.path, span.service, span.host, span.port) == (b"/test.Service/Method", "tested", "test", 1)
    assert (span.grpc_code, span.error_type, span.attempt, span.sent) == (0, "", 1, -1)
    assert 0 < span.started_s <= span.ended_s


def test_unrecorded_calls_send_no_header_of_their_own() -> None:
    made = Recorded()
    call = made.link.unary()
    assert b"traceparent" not in made.head_of(1)
    call.cancel()
    assert made.ended == []


def test_stated_failure_cancel_and_deadline() -> None:
    """Every end is one: a status, giving up, the clock."""
    made = Recorded()
    stated = made.unary()
    made.link.feed(made.link.head(1), made.link.trailers(1, b"5"))
    made.unary().cancel()
    late = made.unary()
    made.link.loop.advance(6)
    assert stated.done() and late.done()
    codes = [span.grpc_code for span in made.ended]
    assert codes == [Code.NOT_FOUND, Code.CANCELLED, Code.DEADLINE_EXCEEDED]
    assert made.ended[0].error_type == ""
    assert made.ended[1].error_type == "CANCELLED"


def test_refused_stream_is_an_attempt_and_so_is_the_next_one() -> None:
    """G63: what was sent and refused was sent; two spans, two ids."""
    made = Recorded()
    call = made.unary()
    made.link.feed(h2_frames.rst_stream(1, Error.REFUSED_STREAM))
    call.start(made.link.connection)
    second = made.head_of(3)
    made.link.feed(made.link.head(3), h2_frames.data(3, MESSAGE), made.link.trailers(3))
    assert made.codes == [(Code.UNAVAILABLE, "REFUSED_STREAM"), (0, "")]
    assert made.ended[0].span_id != made.ended[1].span_id
    assert second[b"traceparent"] == f"00-{TRACE}-{made.ended[1].span_id}-01".encode()


def test_configured_retry_numbers_its_attempts() -> None:
    """gRFC A6: a client span for each attempt."""
    made = Recorded()
    call = made.unary(is_idempotent=True)
    made.link.feed(made.link.head(1, (b"grpc-status", b"14"), end_stream=True))
    assert not call.done()
    assert made.ended[-1].grpc_code == Code.UNAVAILABLE
    made.link.loop.advance(1)
    (again,) = made.link.owner.retried
    assert again is call
    call.start(made.link.connection)
    made.link.feed(made.link.head(3), h2_frames.data(3, MESSAGE), made.link.trailers(3))
    assert [(span.attempt, span.grpc_code) for span in made.ended[-2:]] == [(1, Code.UNAVAILABLE), (2, 0)]


def test_call_that_was_never_sent_has_no_span() -> None:
    """G63: GOAWAY was faster than its head."""
    made = Recorded()
    first = made.unary()
    made.link.frames()
    second = made.unary()
    made.link.feed(h2_frames.goaway(2**31 - 1))
    assert made.link.owner.retried == [second]
    second.cancel()
    assert made.ended == []
    first.cancel()
    assert made.codes == [(Code.CANCELLED, "CANCELLED")]


async def test_stream_counts_its_messages() -> None:
    made = Recorded()
    call = made.stream()
    await call.send(b"a")
    await call.send(b"b")
    call.close_send()
    made.link.feed(made.link.head(1), h2_frames.data(1, MESSAGE * 3), made.link.trailers(1))
    (span,) = made.ended
    assert (span.sent, span.received) == (2, 3)
    assert span.started_s <= span.first_received_s <= span.ended_s


async def test_stream_that_is_given_up_ends_its_span() -> None:
    made = Recorded()
    call = made.stream()
    await call.send(b"a")
    call.cancel()
    assert made.codes == [(Code.CANCELLED, "CANCELLED")]
