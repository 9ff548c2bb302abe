"""What is recorded of a traced request: plain records on the hot path, made into spans after the answer is out.

An untraced request has none of these. Times are monotonic, in seconds.
"""

from __future__ import annotations

from typing import Protocol


class CallSpan:
    """One attempt of a call, from the moment it is sent to its status."""

    __slots__ = (
        "attempt",
        "ended_s",
        "error_type",
        "first_received_s",
        "grpc_code",
        "host",
        "path",
        "port",
        "received",
        "sent",
        "service",
        "span_id",
        "started_s",
        "trace",
    )

    def __init__(self, trace: Trace, span_id: str, path: bytes, service: str, host: str, port: int) -> None:
        self.trace = trace
        self.span_id = span_id
        self.path = path
        """`/package.Service/Method`."""
        self.service = service
        """Name of the service in logs and metrics."""
        self.host = host
        """As it was configured; of several endpoints, the first."""
        self.port = port
        self.attempt = 1
        self.started_s = 0.0
        self.ended_s = 0.0
        self.grpc_code = 0
        self.error_type = ""
        """Reason of an error that the gateway found; empty when the backend stated its status."""
        self.sent = -1
        """Messages sent; -1 for unary calls, where it would tell nothing."""
        self.received = 0
        self.first_received_s = 0.0
        """When the first message of a stream came, 0 before."""


class WorkSpan:
    """Work that is neither a request nor a gRPC call, such as a fetch of keys over HTTP."""

    __slots__ = ("attributes", "ended_s", "error_type", "name", "parent_span_id", "span_id", "started_s", "trace_id")

    def __init__(
        self, name: str, started_s: float, ended_s: float, attributes: list[tuple[str, str | int]], error_type: str
    ) -> None:
        self.name = name
        self.started_s = started_s
        self.ended_s = ended_s
        self.attributes = attributes
        self.error_type = error_type
        """Empty when it went well."""
        self.trace_id = ""
        self.span_id = ""
        self.parent_span_id = ""


class SpanSink(Protocol):
    """Where spans go when they end."""

    def call_ended(self, span: CallSpan) -> None:
        """Take an attempt that ended. Never waits, never raises."""


class Trace:
    """One recorded request: whose child its span is, and where the spans of its calls go.

    Calls may outlive it: a question asked for many requests is a child of the first that asked.
    """

    __slots__ = ("events", "flags", "parent_span_id", "sink", "span_id", "trace_id", "tracestate")

    def __init__(
        self, trace_id: str, span_id: str, parent_span_id: str, flags: int, tracestate: str, sink: SpanSink
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        """Of the request's own span."""
        self.parent_span_id = parent_span_id
        """Empty when the trace begins here."""
        self.flags = flags
        self.tracestate = tracestate
        self.sink = sink
        self.events: list[tuple[str, float]] | None = None
        """Names and times; None while there are none. Few: every author of an event bounds their number."""

    def add_event(self, name: str, at_s: float) -> None:
        """Note that something happened in the request."""
        if self.events is None:
            self.events = []
        self.events.append((name, at_s))
