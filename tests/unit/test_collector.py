"""What the settings make of traces. That they arrive is shown by tests/e2e/test_gateway_traces.py."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from api_gateway.collector import Collector
from api_gateway.config.settings import ObservabilitySettings
from api_gateway.deadlines import DeadlineWheel
from api_gateway.telemetry.metrics import Metrics, prepare_metrics_directory
from tests.unit.telemetry.span_records import finished


def collector(directory: Path, **settings: Any) -> Collector:
    prepare_metrics_directory(directory)
    loop = asyncio.get_running_loop()
    metrics = Metrics(directory, version="1")
    return Collector(ObservabilitySettings(**settings), metrics, loop=loop, wheel=DeadlineWheel(loop))


async def test_without_an_endpoint_nothing_is_recorded(tmp_path: Path) -> None:
    """And nothing begins to be sampled either: nobody would see the first span."""
    made = collector(tmp_path)
    made.start()
    exchange = finished()
    exchange.trace = None
    made.tracing.begin(exchange)
    assert made.recorder is None
    assert exchange.trace is None
    assert not exchange.trace_sampled
    await made.aclose(0.1)


async def test_unreachable_collector_does_not_hold_the_end(tmp_path: Path) -> None:
    """What one export may take is far longer than this test."""
    made = collector(tmp_path, tempo_endpoint="http://127.0.0.1:1", otlp_timeout_secs=3_600)
    made.start()
    assert made.recorder is not None
    made.recorder.request_ended(finished())
    async with asyncio.timeout(60):
        await made.aclose(0.05)
