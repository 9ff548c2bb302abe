"""How spans are sent: in batches, few at once, again when that may help, and never longer than allowed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from api_gateway.model.errors import GatewayError, Source
from api_gateway.model.message import HeaderList
from api_gateway.model.status import Code
from api_gateway.span_export import EXPORT, MAX_EXPORTS, MAX_THROTTLE_S, ExportOptions, SpanExporter
from api_gateway.telemetry.otlp import Envelope
from api_gateway.telemetry.span_recorder import SpanRecorder
from tests.support.auth_upstream import FakeReply, upstream_error
from tests.support.virtual_time import run_in_virtual_time
from tests.unit.telemetry.span_records import encoder, fields, finished, message

BATCH = 4
TIMEOUT_S = 3.0
INTERVAL_S = 1.0


class FakeCollector:
    """Implements `CollectorChannel`: `answer` gets the number of the call, and returns or raises."""

    last_error = "connection refused"

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.metadata: list[HeaderList] = []
        self.deadlines: list[float] = []
        self.open = self.most_open = 0
        self.is_closed = False
        self.answer: Callable[[int], Awaitable[bytes]] = self.take

    async def take(self, number: int) -> bytes:
        return b""

    async def unary_ready(self, path: bytes, data: bytes, *, deadline_s: float, metadata: HeaderList) -> FakeReply:
        assert path == EXPORT
        (group,) = fields(data)[1]
        (scope_spans,) = message(group)[2]
        self.batches.append(len(message(scope_spans)[2]))
        self.metadata.append(metadata)
        self.deadlines.append(deadline_s)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            return FakeReply(await self.answer(len(self.batches)))
        finally:
            self.open -= 1

    async def aclose(self) -> None:
        self.is_closed = True


class Rig:
    """An exporter, its recorder, a fake collector, and what was counted."""

    def __init__(self, *, max_queued_spans: int = 1_000) -> None:
        self.loop = asyncio.get_running_loop()
        self.collector = FakeCollector()
        self.taken = 0
        self.lost: Counter[str] = Counter()
        self.recorder = SpanRecorder(
            encoder(), max_queued_spans=max_queued_spans, call_soon=lambda call: self.loop.call_soon(call)
        )
        self.exporter = SpanExporter(
            self.recorder,
            self.collector,
            Envelope({}, scope="tests", version="1"),
            ExportOptions(
                endpoint="http://c:4317",
                timeout_s=TIMEOUT_S,
                max_batch_spans=BATCH,
                interval_s=INTERVAL_S,
                headers=[(b"x-key", b"k")],
            ),
            self,
            loop=self.loop,
        )
        self.exporter.start()

    def exported(self, spans: int) -> None:
        self.taken += spans

    def dropped(self, spans: int, reason: str) -> None:
        self.lost[reason] += spans

    def end(self, requests: int) -> None:
        """End so many requests."""
        for _ in range(requests):
            self.recorder.request_ended(finished())
        self.recorder.encode()


def unreachable() -> GatewayError:
    return GatewayError(Code.DEADLINE_EXCEEDED, "in vain", source=Source.UPSTREAM, reason="UPSTREAM_TIMEOUT")


def test_full_batches_go_at_once_and_the_rest_by_the_clock() -> None:
    async def scenario() -> None:
        rig = Rig()
        rig.end(2 * BATCH + 1)
        await asyncio.sleep(INTERVAL_S / 2)
        assert rig.collector.batches == [BATCH, BATCH]
        await asyncio.sleep(INTERVAL_S)
        assert rig.collector.batches == [BATCH, BATCH, 1]
        assert rig.taken == 2 * BATCH + 1
        assert rig.collector.metadata[0] == [(b"x-key", b"k")]
        await rig.exporter.aclose(1.0)
        assert rig.collector.is_closed

    run_in_virtual_time(scenario())


def test_few_exports_are_under_way_at_once() -> None:
    """A slow collector: the rest waits in the queue, which is bounded."""

    async def scenario() -> None:
        rig = Rig(max_queued_spans=BATCH)
        release = asyncio.Event()

        async def hold(number: int) -> bytes:
            await release.wait()
            return b""

        rig.collector.answer = hold
        for _ in range(10):
            rig.end(BATCH)
        await asyncio.sleep(INTERVAL_S * 1.5)
        assert rig.collector.most_open == MAX_EXPORTS
        assert rig.lost == {"queue_full": (10 - MAX_EXPORTS - 1) * BATCH}
        release.set()
        await rig.exporter.aclose(1.0)
        assert rig.taken == (MAX_EXPORTS + 1) * BATCH

    run_in_virtual_time(scenario())


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.ABORTED, Code.DATA_LOSS])
def test_what_may_pass_is_tried_again_within_the_timeout(code: Code) -> None:
    """OTLP specification, "Failures": with backoff, and under one deadline."""

    async def scenario() -> None:
        rig = Rig()

        async def hesitate(number: int) -> bytes:
            if number < 4:
                raise upstream_error(code)
            return b""

        rig.collector.answer = hesitate
        rig.end(BATCH)
        began_s = rig.loop.time()
        await rig.exporter.aclose(TIMEOUT_S)
        assert rig.collector.batches == [BATCH] * 4
        assert len(set(rig.collector.deadlines)) == 1
        assert rig.taken == BATCH
        assert 0.5 < rig.loop.time() - began_s < 1.2

    run_in_virtual_time(scenario())


def test_what_fails_for_ever_is_given_up_at_the_timeout() -> None:
    async def scenario() -> None:
        rig = Rig()

        async def refuse(number: int) -> bytes:
            raise upstream_error(Code.UNAVAILABLE)

        rig.collector.answer = refuse
        rig.end(BATCH)
        await asyncio.sleep(TIMEOUT_S + 0.1)
        assert rig.lost == {"failed": BATCH}
        assert 3 < len(rig.collector.batches) < 8
        await rig.exporter.aclose(1.0)

    run_in_virtual_time(scenario())


def busy(code: Code, delay_s: int) -> GatewayError:
    """Return the error of a collector that says when to come again."""
    status = status_pb2.Status(code=code)
    status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=delay_s)))
    return GatewayError(code, "busy", source=Source.UPSTREAM, details=bytes(status.SerializeToString()))


@pytest.mark.parametrize("code", [Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE])
def test_collector_that_is_busy_is_left_alone_as_long_as_it_asks(code: Code) -> None:
    """OTLP specification, "OTLP/gRPC Throttling": RetryInfo says when, for this batch and for all others."""

    async def scenario() -> None:
        rig = Rig()
        times_s: list[float] = []

        async def ask_for_two_seconds(number: int) -> bytes:
            times_s.append(rig.loop.time())
            if number == 1:
                raise busy(code, 2)
            return b""

        rig.collector.answer = ask_for_two_seconds
        rig.end(BATCH)
        await asyncio.sleep(0.1)
        rig.end(BATCH)
        await asyncio.sleep(INTERVAL_S * 4)
        assert rig.taken == 2 * BATCH
        assert all(time_s >= times_s[0] + 2.0 for time_s in times_s[1:])
        await rig.exporter.aclose(1.0)

    run_in_virtual_time(scenario())


def test_delay_beyond_the_timeout_costs_the_batch_and_holds_the_next_ones_for_a_minute_at_most() -> None:
    async def scenario() -> None:
        rig = Rig()

        async def ask_for_an_hour(number: int) -> bytes:
            raise busy(Code.RESOURCE_EXHAUSTED, 3_600)

        rig.collector.answer = ask_for_an_hour
        rig.end(BATCH)
        await asyncio.sleep(0.1)
        assert rig.lost == {"failed": BATCH}
        rig.end(BATCH)
        await asyncio.sleep(MAX_THROTTLE_S - 1)
        assert rig.collector.batches == [BATCH]
        await asyncio.sleep(1 + INTERVAL_S)
        assert rig.collector.batches == [BATCH, BATCH]
        rig.end(BATCH)
        await rig.exporter.aclose(1.0)
        assert rig.collector.batches == [BATCH] * 3, "the end is the last chance"

    run_in_virtual_time(scenario())


@pytest.mark.parametrize(
    "code",
    [Code.UNAUTHENTICATED, Code.UNIMPLEMENTED, Code.INVALID_ARGUMENT, Code.INTERNAL, Code.RESOURCE_EXHAUSTED],
)
def test_what_will_not_pass_is_not_tried_again(code: Code) -> None:
    async def scenario() -> None:
        rig = Rig()

        async def refuse(number: int) -> bytes:
            raise upstream_error(code)

        rig.collector.answer = refuse
        rig.end(BATCH)
        await asyncio.sleep(0.1)
        assert rig.collector.batches == [BATCH]
        assert rig.lost == {"failed": BATCH}
        await rig.exporter.aclose(1.0)

    run_in_virtual_time(scenario())


@pytest.mark.parametrize(
    ("answer", "taken", "lost"),
    [
        pytest.param(b"\x0a\x02\x08\x03", BATCH - 3, {"rejected": 3}, id="some"),
        pytest.param(b"\x0a\x03\x08\xe7\x07", 0, {"rejected": BATCH}, id="more_than_there_were"),
        pytest.param(b"\x0a\x03\x12\x01w", BATCH, {}, id="a_warning"),
        pytest.param(b"\xff", 0, {"failed": BATCH}, id="nonsense"),
    ],
)
def test_partial_success_counts(answer: bytes, taken: int, lost: dict[str, int]) -> None:
    async def scenario() -> None:
        rig = Rig()

        async def take_part(number: int) -> bytes:
            return answer

        rig.collector.answer = take_part
        rig.end(BATCH)
        await rig.exporter.aclose(1.0)
        assert (rig.taken, dict(rig.lost)) == (taken, lost)

    run_in_virtual_time(scenario())


def test_end_waits_for_the_last_spans_but_not_for_ever() -> None:
    """C12: within the time it is given; what is left is counted."""

    async def scenario() -> None:
        rig = Rig()

        async def hang(number: int) -> bytes:
            await asyncio.sleep(3_600)
            return b""

        rig.collector.answer = hang
        rig.end(BATCH * (MAX_EXPORTS + 2))
        began_s = rig.loop.time()
        await rig.exporter.aclose(2.0)
        assert 2.0 <= rig.loop.time() - began_s < 2.5
        assert rig.lost == {"shutdown": BATCH * (MAX_EXPORTS + 2)}
        assert rig.collector.is_closed

    run_in_virtual_time(scenario())


def test_headers_are_not_shown() -> None:
    """They are secrets of hosted collectors."""
    assert "t0p" not in repr(ExportOptions(endpoint="x", headers=[(b"authorization", b"t0p")]))
