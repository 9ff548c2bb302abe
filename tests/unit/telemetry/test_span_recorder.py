"""The queue between requests and exporter: bounded, in order, and filled off the request's turn."""

from __future__ import annotations

from collections.abc import Callable

from api_gateway.model.trace import WorkSpan
from api_gateway.telemetry.span_recorder import ENCODE_AT, SpanRecorder
from tests.unit.telemetry.span_records import SPAN, TRACE, call_span, encoder, finished, span_fields


class Turns:
    """What was put off."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def turn(self) -> None:
        due, self.due = self.due, []
        for each in due:
            each()


def recorder(turns: Turns, *, max_queued_spans: int = 1_000) -> SpanRecorder:
    return SpanRecorder(encoder(), max_queued_spans=max_queued_spans, call_soon=lambda call: turns.due.append(call))


def test_nothing_is_encoded_in_the_requests_turn() -> None:
    turns = Turns()
    made = recorder(turns)
    for _ in range(ENCODE_AT):
        made.request_ended(finished())
        made.call_ended(call_span())
    assert len(made) == 0
    assert len(turns.due) == 1
    turns.turn()
    assert len(made) == 2 * ENCODE_AT


def test_few_spans_wait_for_the_exporters_clock() -> None:
    turns = Turns()
    made = recorder(turns)
    made.request_ended(finished())
    assert not turns.due
    made.encode()
    (span,) = made.take(10)
    assert span_fields(span)[5] == [b"GET /api/users/:id"]
    assert made.take(10) == []


def test_unrecorded_requests_leave_nothing() -> None:
    made = recorder(Turns())
    exchange = finished()
    exchange.trace = None
    made.request_ended(exchange)
    made.encode()
    assert len(made) == 0


def test_full_queue_drops_the_newest_and_counts() -> None:
    """C13, "a dead collector costs nothing but dropped spans"."""
    made = recorder(Turns(), max_queued_spans=3)
    for number in range(5):
        made.request_ended(finished(f"/p/{number}"))
    made.encode()
    assert made.dropped_spans == 2
    assert [b"/p/0" in each for each in made.take(2)] == [True, False]
    assert len(made) == 1


def test_listener_hears_how_many_wait() -> None:
    made = recorder(Turns())
    heard: list[int] = []
    made.on_queued = heard.append
    made.request_ended(finished())
    made.encode()
    span = WorkSpan("GET key set", 1.0, 1.5, [], "")
    span.trace_id, span.span_id = TRACE, SPAN
    made.work_ended(span)
    made.encode()
    assert heard == [1, 2]
