"""A healthy client of another backend of the same gateway: what happens next door must not reach it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from scenarios.load import LoadShape, steady
from scenarios.oracle import PLAIN, Tally, Verdict
from scenarios.stage import Stage, WatchedGateway
from tests.support.backends import Backend
from tests.support.scripted_peer import ScriptedPeer

RATE_PER_S: Final = 50.0
BASELINE_S: Final = 3.0
FLOOR_MS: Final = 10.0
"""A 99th percentile below this is noise of the machine: three times nothing is nothing."""


@dataclass(slots=True)
class Neighbour:
    """How it fared."""

    baseline: Tally
    during: Tally = field(default_factory=Tally)

    def mark(self, stage: Stage, *, factor: float = 3.0) -> None:
        """Mark no error at all, and a 99th percentile of at most `factor` times that of the quiet time."""
        marks, during = stage.marks, self.during
        quiet_ms, busy_ms = self.baseline.quantile_ms(0.99), during.quantile_ms(0.99)
        marks.holds("other backend: right answers", during.count(Verdict.OK), "all", is_met=self._is_unharmed())
        marks.equals("other backend: errors", during.asked - during.count(Verdict.OK), 0)
        marks.note("other backend: p99 in quiet", f"{quiet_ms:.1f} ms")
        marks.at_most("other backend: p99 during", busy_ms, max(factor * quiet_ms, FLOOR_MS), " ms")
        for sample in during.samples:
            marks.note("other backend", sample)

    def _is_unharmed(self) -> bool:
        return 0 < self.during.asked == self.during.count(Verdict.OK)


@asynccontextmanager
async def neighbour(stage: Stage, gateway: WatchedGateway) -> AsyncIterator[Neighbour]:
    """Measure the echo service in quiet, then while the context lasts."""
    shape = LoadShape(rate_per_s=RATE_PER_S, template=PLAIN)
    async with steady(gateway.port, shape) as quiet:
        await asyncio.sleep(stage.seconds(BASELINE_S))
    found = Neighbour(quiet.tally)
    async with steady(gateway.port, shape, found.during):
        yield found


def beside(backend: Backend, peer: ScriptedPeer, **service: Any) -> dict[str, Any]:
    """Return a configuration with the echo backend and, under settings of its own, a peer."""
    return {"services": {"echo": {"endpoint": backend.endpoint}, "peer": {"endpoint": peer.endpoint, **service}}}
