"""What a scenario works with: a gateway that is watched, marks, and durations that a smoke run shortens."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scenarios.figures import Marks
from scenarios.load import LoadShape, steady
from scenarios.oracle import PLAIN, Tally, Verdict
from scenarios.patience import until_told
from scenarios.process_state import open_sockets, rss_bytes, socket_addresses
from tests.support.gateway import RunningGateway, start_gateway

QUIESCE_S: Final = 30.0
"""How long after a load everything may take to be given back."""
CLOSES_S: Final = 0.05
WARM_UP_S: Final = 4.0
WARM_RATE_PER_S: Final = 300.0
RSS_SHARE: Final = 1.10
BEHIND_S: Final = 1.3
"""A worker's page shows the others as they were up to a second ago, the request for its own last page included."""
_MIB: Final = 1024 * 1024
_COMPLAINTS: Final = ("Traceback", "unexpected error", "Task was destroyed", "never retrieved", "never awaited")


@dataclass(slots=True)
class WatchedGateway:
    """A gateway that serves, and what it held when it was warm."""

    running: RunningGateway
    warm_rss_bytes: int = 0
    idle_sockets: int = 0
    """Sockets that are neither a client's nor a backend's."""

    @property
    def port(self) -> int:
        """Where it serves."""
        return self.running.port

    @property
    def pids(self) -> list[int]:
        """Processes that serve."""
        return self.running.worker_pids() or [self.running.process.pid]

    def rss_bytes(self) -> int:
        """Resident memory of all processes that serve."""
        return rss_bytes(self.pids)

    async def metric(self, name: str, labels: Mapping[str, str] | None = None) -> float:
        """Return a metric's sum; see `RunningGateway.metric`."""
        return await asyncio.to_thread(self.running.metric, name, labels)

    async def health(self, service: str) -> dict[str, Any]:
        """Return one service as `/health` shows it."""
        answer = await asyncio.to_thread(self.running.get, "/health")
        found: dict[str, Any] = answer.json()["services"][service]
        return found

    async def client_sockets(self) -> int:
        """Return the sockets that belong to no backend connection that the gateway knows of."""
        known = await self.metric("api_gateway_active_connections_total")
        # The connection of that very question is closed a moment later at the other end.
        await asyncio.sleep(CLOSES_S)
        return open_sockets(self.pids) - int(known)

    def events(self, message: str) -> list[dict[str, Any]]:
        """Return the log events of a name so far."""
        return self.running.log(message)


@dataclass(slots=True)
class Stage:
    """One run of one scenario."""

    folder: Path
    """For files of the run."""
    scale: float = 1.0
    """Share of the full duration and number of requests; below 1 in a smoke run."""
    marks: Marks = field(default_factory=Marks)
    """What the scenario's own line asks for."""
    universal: Marks = field(default_factory=Marks)
    """What every scenario must leave behind."""

    @property
    def is_full(self) -> bool:
        """Whether the durations are those of the line."""
        return self.scale >= 1

    def seconds(self, full_s: float, *, at_least_s: float = 1.0) -> float:
        """Return a duration, shortened in a smoke run."""
        return full_s if self.is_full else max(at_least_s, full_s * self.scale)

    def number(self, full: int, *, at_least: int = 1) -> int:
        """Return a number of things, smaller in a smoke run."""
        return full if self.is_full else max(at_least, round(full * self.scale))

    @property
    def journal(self) -> Path:
        """Where backends write what they executed."""
        return self.folder / "journal"

    def executions(self) -> Counter[str]:
        """Return how often each request was executed, by all backends together, those killed included."""
        if not self.journal.exists():
            return Counter()
        lines = (line.partition(" ") for line in self.journal.read_text().splitlines())
        return Counter(request_id for event, _, request_id in lines if event == "STARTED" and request_id)

    @asynccontextmanager
    async def gateway(
        self, config: Mapping[str, Any], *, workers: int = 2, prefixes: Sequence[str] = ("echo",)
    ) -> AsyncIterator[WatchedGateway]:
        """Run a gateway, warm it up over these services, and hold it to the universal marks in the end."""
        sections = {"log": {"requests": False}, **config}
        started = start_gateway(sections, "--workers", str(workers))
        running = await asyncio.to_thread(started.__enter__)
        gateway = WatchedGateway(running)
        try:
            await self._warm_up(gateway, workers, prefixes)
            yield gateway
            await self._quiesce(gateway)
        finally:
            await asyncio.to_thread(started.__exit__, None, None, None)
        self._listen_to_log(gateway)

    def judge(self, tally: Tally, name: str = "", *, errors_at_most: int | None = None) -> None:
        """Mark what must hold for every load: nothing wrong, lost or late; with a bound also errors."""
        marks = self.marks
        label = f"{name}: " if name else ""
        marks.note(f"{label}requests", tally.asked)
        marks.holds(f"{label}right answers", tally.count(Verdict.OK), "> 0", is_met=tally.count(Verdict.OK) > 0)
        for verdict in (Verdict.WRONG, Verdict.LOST):
            marks.equals(f"{label}{verdict.name}", tally.count(verdict), 0)
        marks.equals(f"{label}LATE", tally.late, 0)
        errors = tally.count(Verdict.ERROR)
        if errors_at_most is not None:
            marks.at_most(f"{label}errors", errors, errors_at_most)
        else:
            marks.note(f"{label}errors", f"{errors} {dict(tally.statuses)}")
        if errors:
            marks.note(f"{label}reasons", dict(tally.reasons))
        for sample in tally.samples:
            marks.note(f"{label}sample", sample)

    async def _warm_up(self, gateway: WatchedGateway, workers: int, prefixes: Sequence[str]) -> None:

        async def is_complete() -> bool:
            return await gateway.metric("api_gateway_workers") == workers

        await until_told(is_complete, "all workers serve")
        for prefix in prefixes:
            await asyncio.to_thread(gateway.running.wait_until_routed, f"/{prefix}/v1/echo", method="POST")
            shape = LoadShape(rate_per_s=WARM_RATE_PER_S, prefix=prefix, template=PLAIN)
            async with steady(gateway.port, shape) as load:
                await asyncio.sleep(self.seconds(WARM_UP_S, at_least_s=0.5))
            if load.tally.count(Verdict.OK) != load.tally.asked:
                raise RuntimeError(f"the warm-up over {prefix} failed: {load.tally.verdicts} {load.tally.samples}")
        gateway.warm_rss_bytes = gateway.rss_bytes()
        gateway.idle_sockets = await self._least_client_sockets(gateway)

    async def _least_client_sockets(self, gateway: WatchedGateway) -> int:
        """Return the sockets left once clients have gone: the number no longer falls."""
        before = await gateway.client_sockets()
        while True:
            await asyncio.sleep(BEHIND_S)
            now = await gateway.client_sockets()
            if now >= before:
                return before
            before = now

    async def _quiesce(self, gateway: WatchedGateway) -> None:
        """Wait until everything was given back, and mark what was not."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        while True:
            in_flight = await gateway.metric("api_gateway_requests_in_flight") - 1
            leaked = await gateway.client_sockets() - gateway.idle_sockets
            rss_share = gateway.rss_bytes() / gateway.warm_rss_bytes
            is_still = in_flight <= 0 and leaked <= 0 and rss_share <= RSS_SHARE
            if is_still or loop.time() - started_s > QUIESCE_S:
                break
            await asyncio.sleep(BEHIND_S)
        marks = self.universal
        marks.at_most("requests in flight afterwards", in_flight, 0)
        marks.at_most("sockets leaked", leaked, 0)
        if leaked > 0:
            marks.note("sockets", "; ".join(socket_addresses(gateway.pids)))
        marks.note("RSS warm", f"{gateway.warm_rss_bytes / _MIB:.1f} MiB")
        marks.at_most("RSS afterwards / warm", rss_share, RSS_SHARE)

    def _listen_to_log(self, gateway: WatchedGateway) -> None:
        """Mark complaints, those of the very end included."""
        process = gateway.running.process
        complaints = [
            line
            for line in [*process.stdout.lines, *process.stderr.lines]
            if any(each in line for each in _COMPLAINTS) or '"level":"ERROR"' in line.replace(" ", "")
        ]
        self.universal.equals("exceptions and lost tasks in the log", len(complaints), 0)
        for line in complaints[:3]:
            self.universal.note("log", line[:300])
        self.universal.equals("exit code", process.exit_code if process.exit_code is not None else -1, 0)


@asynccontextmanager
async def new_stage(scale: float = 1.0) -> AsyncIterator[Stage]:
    """Return a stage whose files go when the context ends."""
    with tempfile.TemporaryDirectory(prefix="scenario-") as folder:
        yield Stage(folder=Path(folder), scale=scale)
