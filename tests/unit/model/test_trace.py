"""The records of a traced request."""

from __future__ import annotations

from api_gateway.model.trace import CallSpan, Trace


class Sink:
    """Implements `SpanSink`."""

    def call_ended(self, span: CallSpan) -> None:
        raise AssertionError("nothing ended")


def test_events_are_kept_in_order() -> None:
    trace = Trace("a" * 32, "b" * 16, "", 1, "", Sink())
    assert trace.events is None
    trace.add_event("first", 1.0)
    trace.add_event("second", 2.0)
    assert trace.events == [("first", 1.0), ("second", 2.0)]
