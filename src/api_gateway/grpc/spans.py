"""The spans of a recorded call: one for each attempt that is sent."""

from __future__ import annotations

from time import monotonic
from typing import Protocol

from ..model.message import HeaderList
from ..model.trace import CallSpan, Trace
from ..telemetry.trace_context import new_span_id
from .target import Target


class SpanOwner(Protocol):
    """The channel, as far as spans tell of it."""

    name: str
    target: Target


def begin_span(trace: Trace, owner: SpanOwner, path: bytes, attempt: int, headers: HeaderList) -> CallSpan:
    """Begin the span of an attempt, and tell the backend of it: its `traceparent` and `tracestate` join `headers`."""
    target = owner.target
    span = CallSpan(trace, new_span_id(), path, owner.name, target.host, target.port)
    span.attempt = attempt
    # The loop's clock counts in milliseconds here.
    span.started_s = monotonic()
    headers.append((b"traceparent", f"00-{trace.trace_id}-{span.span_id}-{trace.flags:02x}".encode()))
    if trace.tracestate:
        headers.append((b"tracestate", trace.tracestate.encode()))
    return span


def count_received(span: CallSpan) -> None:
    """Count a message of a stream."""
    span.received += 1
    if span.received == 1:
        span.first_received_s = monotonic()


def end_span(span: CallSpan, grpc_code: int, error_type: str) -> None:
    """End the span of an attempt and hand it over."""
    span.grpc_code = grpc_code
    span.error_type = error_type
    span.ended_s = monotonic()
    span.trace.sink.call_ended(span)
