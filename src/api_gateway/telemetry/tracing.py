"""Where the trace of each request begins: its ids, the decision to record it, what backends are told."""

from __future__ import annotations

from time import monotonic

from api_gateway.model.exchange import Exchange
from api_gateway.model.trace import SpanSink, Trace, WorkSpan

from .sampling import Sampling
from .span_recorder import SpanRecorder
from .trace_context import TraceContext, continue_trace, format_traceparent


class Tracing:
    """Begins the traces of a worker. Without a `recorder` nothing is recorded, and ids travel on all the same."""

    def __init__(self, sampling: Sampling, recorder: SpanRecorder | None = None) -> None:
        self._sampling = sampling
        self._recorder = recorder

    def begin(self, exchange: Exchange) -> None:
        """Give the exchange its ids; what is not recorded gets `traceparent` and `tracestate` into its metadata.

        The calls of a recorded one send their own.
        """
        context = continue_trace(exchange.request.headers, self._sampling)
        exchange.trace_id, exchange.span_id = context.trace_id, context.span_id
        exchange.trace_sampled = context.is_sampled
        if self._recorder is not None and exchange.trace_sampled:
            exchange.trace = _trace(context, self._recorder)
            return
        exchange.metadata.append((b"traceparent", format_traceparent(context)))
        if context.tracestate:
            exchange.metadata.append((b"tracestate", context.tracestate.encode()))

    def work_ended(self, span: WorkSpan, trace: Trace | None) -> None:
        """Record work for a request's trace, or in a trace of its own if that is sampled."""
        recorder = self._recorder
        if recorder is None:
            return
        context = continue_trace({}, self._sampling)
        span.span_id = context.span_id
        if trace is not None:
            span.trace_id, span.parent_span_id = trace.trace_id, trace.span_id
        elif context.is_sampled:
            span.trace_id = context.trace_id
        else:
            return
        recorder.work_ended(span)


def note(exchange: Exchange, event: str) -> None:
    """Note an event in a recorded request."""
    if exchange.trace is not None:
        exchange.trace.add_event(event, monotonic())


def _trace(context: TraceContext, sink: SpanSink) -> Trace:
    return Trace(context.trace_id, context.span_id, context.parent_span_id, context.flags, context.tracestate, sink)
