"""Where traces begin: what is recorded, and what backends are told of what is not."""

from __future__ import annotations

import pytest

from api_gateway.model.exchange import Exchange
from api_gateway.model.trace import Trace, WorkSpan
from api_gateway.telemetry.sampling import Sampling
from api_gateway.telemetry.span_recorder import SpanRecorder
from api_gateway.telemetry.tracing import Tracing, note
from tests.unit.telemetry.span_records import PARENT, SPAN, TRACE, Sink, encoder, finished, span_fields


def recorder() -> SpanRecorder:
    return SpanRecorder(encoder(), max_queued_spans=10, call_soon=lambda call: None)


def begun(tracing: Tracing, flags: str = "") -> Exchange:
    """Return an exchange whose caller has a trace with these flags; empty: none."""
    parent = f"00-{TRACE}-{PARENT}-{flags}".encode()
    exchange = finished(headers={b"traceparent": parent, b"tracestate": b"a=b"} if flags else {})
    exchange.trace = None
    tracing.begin(exchange)
    return exchange


def test_recorded_request_leaves_the_header_to_its_calls() -> None:
    exchange = begun(Tracing(Sampling(0.0), recorder()), "01")
    trace = exchange.trace
    assert trace is not None
    assert (trace.trace_id, trace.parent_span_id, trace.flags, trace.tracestate) == (TRACE, PARENT, 1, "a=b")
    assert (exchange.trace_id, exchange.span_id, exchange.trace_sampled) == (TRACE, trace.span_id, True)
    assert exchange.metadata == []


@pytest.mark.parametrize(
    ("tracing", "flags"),
    [
        pytest.param(Tracing(Sampling(1.0), recorder()), "00", id="caller_does_not_record"),
        pytest.param(Tracing(Sampling(0.0)), "01", id="nothing_is_exported"),
    ],
)
def test_unrecorded_request_passes_the_trace_on(tracing: Tracing, flags: str) -> None:
    exchange = begun(tracing, flags)
    assert exchange.trace is None
    assert exchange.metadata == [
        (b"traceparent", f"00-{TRACE}-{exchange.span_id}-{flags}".encode()),
        (b"tracestate", b"a=b"),
    ]


@pytest.mark.parametrize(("ratio", "flags", "is_recorded"), [(1.0, "00", True), (0.0, "01", False)])
def test_callers_decision_may_be_ignored(ratio: float, flags: str, is_recorded: bool) -> None:
    """`follow_parent: false`: the trace goes on, the ratio decides, and the backend hears that decision."""
    exchange = begun(Tracing(Sampling(ratio, follows_parent=False), recorder()), flags)
    assert (exchange.trace is not None) is is_recorded
    assert exchange.trace_id == TRACE
    assert exchange.trace_sampled is is_recorded


def test_work_of_a_request_is_its_child() -> None:
    queue = recorder()
    span = WorkSpan("GET key set", 1.0, 2.0, [], "")
    Tracing(Sampling(0.0), queue).work_ended(span, Trace(TRACE, SPAN, "", 1, "", Sink()))
    (data,) = queue.take(9)
    assert span_fields(data)[1] == [bytes.fromhex(TRACE)]
    assert span_fields(data)[4] == [bytes.fromhex(SPAN)]


@pytest.mark.parametrize(("ratio", "count"), [(1.0, 1), (0.0, 0)])
def test_work_by_itself_is_a_trace_if_it_is_picked(ratio: float, count: int) -> None:
    queue = recorder()
    Tracing(Sampling(ratio), queue).work_ended(WorkSpan("GET key set", 1.0, 2.0, [], ""), None)
    assert len(queue) == count


def test_events_go_to_recorded_requests_only() -> None:
    exchange = finished()
    note(exchange, "first message")
    assert exchange.trace is not None
    assert exchange.trace.events is not None
    assert [name for name, _ in exchange.trace.events] == ["first message"]
    exchange.trace = None
    note(exchange, "nobody hears")
