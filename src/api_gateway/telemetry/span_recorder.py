"""Ended spans on their way to the exporter: a bounded queue, and nothing that a request waits for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from api_gateway.model.exchange import Exchange
from api_gateway.model.trace import CallSpan, WorkSpan

from .span_encoding import SpanEncoder

ENCODE_AT: Final = 16
"""Records after which they are made into bytes, in a turn of the loop of their own: well under a millisecond."""


class SpanRecorder:
    """Keeps what ended until the exporter takes it. Implements `model.trace.SpanSink`. For the loop's thread only.

    When `max_queued_spans` wait, further ones are dropped and counted.
    """

    def __init__(
        self, encoder: SpanEncoder, *, max_queued_spans: int, call_soon: Callable[[Callable[[], None]], object]
    ) -> None:
        """Prepare; `call_soon` runs something in the loop's next turn."""
        self._encoder = encoder
        self._max_queued_spans = max_queued_spans
        self._call_soon = call_soon
        self._requests: list[Exchange] = []
        self._calls: list[CallSpan] = []
        self._is_due = False
        self._queue: deque[bytes] = deque()
        self.dropped_spans = 0
        """Those that found the queue full, so far."""
        self.on_queued: Callable[[int], None] | None = None
        """Told how many spans wait, each time there are more."""

    def __len__(self) -> int:
        return len(self._queue)

    def request_ended(self, exchange: Exchange) -> None:
        """Take a finished request; nothing happens to one that is not recorded."""
        if exchange.trace is not None:
            self._requests.append(exchange)
            if not self._is_due and len(self._requests) >= ENCODE_AT:
                self._is_due = True
                self._call_soon(self.encode)

    def call_ended(self, span: CallSpan) -> None:
        """Take an attempt of a call."""
        self._calls.append(span)
        if not self._is_due and len(self._calls) >= ENCODE_AT:
            self._is_due = True
            self._call_soon(self.encode)

    def work_ended(self, span: WorkSpan) -> None:
        """Take other work; it is rare."""
        self._encoder.look_at_clock()
        self._append(self._encoder.work(span))
        self._tell()

    def encode(self) -> None:
        """Make bytes of the records taken so far."""
        self._is_due = False
        requests, self._requests = self._requests, []
        calls, self._calls = self._calls, []
        if not requests and not calls:
            return
        encoder = self._encoder
        encoder.look_at_clock()
        for exchange in requests:
            trace = exchange.trace
            if trace is not None:
                self._append(encoder.request(exchange, trace))
        for span in calls:
            self._append(encoder.call(span))
        self._tell()

    def take(self, max_spans: int) -> list[bytes]:
        """Take up to so many encoded spans out of the queue, the oldest first."""
        queue = self._queue
        return [queue.popleft() for _ in range(min(max_spans, len(queue)))]

    def _append(self, span: bytes) -> None:
        if len(self._queue) < self._max_queued_spans:
            self._queue.append(span)
        else:
            self.dropped_spans += 1

    def _tell(self) -> None:
        if self.on_queued is not None:
            self.on_queued(len(self._queue))
