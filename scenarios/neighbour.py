"""A healthy client of another backend of the same gateway: what happens next door must not reach it.

It is a process of its own, so that a hostile backend in this one does not delay the client instead of the gateway.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import uvloop

from scenarios.load import LoadShape, steady
from scenarios.oracle import PLAIN, Verdict
from scenarios.stage import Stage, WatchedGateway
from tests.support.backends import Backend
from tests.support.processes import ChildProcess, python_command, python_environment
from tests.support.scripted_peer import ScriptedPeer

RATE_PER_S: Final = 50.0
BASELINE_S: Final = 3.0
FLOOR_MS: Final = 10.0
"""A 99th percentile below this is noise of the machine: three times nothing is nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """How the client fared for a while."""

    asked: int
    right: int
    p50_ms: float
    p99_ms: float
    samples: tuple[str, ...]


@dataclass(slots=True)
class Neighbour:
    """How it fared in quiet and during the fault; complete once the context has ended."""

    quiet: Period
    during: Period

    def mark(self, stage: Stage, *, factor: float = 3.0) -> None:
        """Mark no error at all, and a 99th percentile of at most `factor` times that of the quiet time."""
        marks, quiet, during = stage.marks, self.quiet, self.during
        marks.holds("other backend: right answers", during.right, "> 0", is_met=during.right > 0)
        marks.equals("other backend: errors", during.asked - during.right, 0)
        marks.note("other backend: p50 in quiet, during", f"{quiet.p50_ms:.1f} ms, {during.p50_ms:.1f} ms")
        marks.note("other backend: p99 in quiet", f"{quiet.p99_ms:.1f} ms")
        bound_ms = max(factor * quiet.p99_ms, FLOOR_MS)
        marks.at_most("other backend: p99 during", during.p99_ms, bound_ms, " ms")
        for sample in during.samples:
            marks.note("other backend", sample)


@asynccontextmanager
async def neighbour(stage: Stage, gateway: WatchedGateway) -> AsyncIterator[Neighbour]:
    """Measure the echo service in quiet, then while the context lasts."""
    quiet = _start(gateway.port)
    await asyncio.sleep(stage.seconds(BASELINE_S) + 1)
    found = Neighbour(await asyncio.to_thread(_end, quiet), Period(asked=0, right=0, p50_ms=0, p99_ms=0, samples=()))
    client = await asyncio.to_thread(_start, gateway.port)
    try:
        yield found
    finally:
        found.during = await asyncio.to_thread(_end, client)


def beside(backend: Backend, peer: ScriptedPeer, **service: Any) -> dict[str, Any]:
    """Return a configuration with the echo backend and, under settings of its own, a peer."""
    return {"services": {"echo": {"endpoint": backend.endpoint}, "peer": {"endpoint": peer.endpoint, **service}}}


def _start(port: int) -> ChildProcess:
    child = ChildProcess(python_command("scenarios.neighbour", str(port)), environment=python_environment())
    child.wait_until_ready()
    return child


def _end(child: ChildProcess) -> Period:
    child.close_stdin()
    child.wait()
    fields = json.loads(child.stdout.lines[-1])
    return Period(**{**fields, "samples": tuple(fields["samples"])})


async def _serve(port: int) -> None:
    """Send load until the end of standard input, then print how it went."""
    loop = asyncio.get_running_loop()
    async with steady(port, LoadShape(rate_per_s=RATE_PER_S, template=PLAIN)) as load:
        print(json.dumps({"event": "ready"}), flush=True)
        await loop.run_in_executor(None, sys.stdin.read)
    tally = load.tally
    found = {
        "asked": tally.asked,
        "right": tally.count(Verdict.OK),
        "p50_ms": tally.quantile_ms(0.5),
        "p99_ms": tally.quantile_ms(0.99),
        "samples": tally.samples,
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Send 50 requests a second until the end of standard input.")
    parser.add_argument("port", type=int)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(parser.parse_args().port))
