"""Case after case until the time is up, and what came of it: faults, speed, overruns, memory."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType
from typing import Final

import uvloop

from api_gateway.grpc.call import Call
from api_gateway.grpc.channel import Channel
from api_gateway.http2.connection import Connection
from tests.fuzz import plays
from tests.fuzz.loopback import judge_on_sockets
from tests.fuzz.plays import Case, draw_case
from tests.fuzz.recordings import Recording, load
from tests.fuzz.verdict import Verdict, judge
from tests.fuzz.virtual_link import VirtualLoop

STAGES: Final = ("virtual", "loopback")
HANG_S: Final = 30.0
"""Real time after which a case without real time counts as an endless loop."""
ROUND_CASES: Final = {"virtual": 2_000, "loopback": 10}
"""Cases of each stage in turn: about a tenth of the time goes to sockets."""
WARM_UP_SHARE: Final = 0.2
"""Part of the time before memory is watched: caches fill, the allocator finds its size."""
MAX_FAULTS: Final = 20
MIB: Final = 2**20

Judge = Callable[[Case], Verdict]


@dataclass(slots=True)
class Findings:
    """What a campaign came to."""

    seed: str
    cases: Counter[str] = field(default_factory=Counter)
    """By stage."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Connections by how their bytes were made."""
    codes: Counter[int] = field(default_factory=Counter)
    """Calls by how they ended."""
    faults: list[str] = field(default_factory=list)
    """Each with how to see it again."""
    overrun_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, -math.inf))
    memory: list[tuple[float, int]] = field(default_factory=list)
    """Seconds since the start and resident bytes, after the warm-up."""
    elapsed_s: float = 0.0
    left_objects: int = 0
    """Channels, connections and calls that outlived the campaign."""

    @property
    def growth_bytes_per_s(self) -> float:
        """Slope of the straight line that fits memory best; 0 with too few samples."""
        if len(self.memory) < 3:
            return 0.0
        mean_s = sum(at_s for at_s, _ in self.memory) / len(self.memory)
        mean_bytes = sum(size for _, size in self.memory) / len(self.memory)
        spread = sum((at_s - mean_s) ** 2 for at_s, _ in self.memory)
        return sum((at_s - mean_s) * (size - mean_bytes) for at_s, size in self.memory) / (spread or 1.0)


class Campaign:
    """Runs cases. The seed and the inputs decide all of them; time decides only how many there are."""

    def __init__(self, seed: str, inputs: Sequence[bytes] = (), recordings: Sequence[Recording] = ()) -> None:
        self.findings = Findings(seed=seed)
        self._seed = seed
        self._inputs = inputs
        self._recordings = tuple(recordings) or load()
        self._current = ""

    def draw(self, stage: str, index: int) -> Case:
        """Return a case by its stage and number."""
        return draw_case(Random(f"{self._seed}:{stage}:{index}"), self._recordings, self._inputs)

    def run(self, seconds: float, *, on_round: Callable[[Findings, float], None] | None = None) -> Findings:
        """Run rounds until the time is up, then the rest of the last one."""
        findings = self.findings
        started_s = time.monotonic()
        with self.runners() as judges:
            while findings.elapsed_s < seconds and len(findings.faults) < MAX_FAULTS:
                self._round(ROUND_CASES, judges)
                findings.elapsed_s = time.monotonic() - started_s
                if findings.elapsed_s > WARM_UP_SHARE * seconds:
                    findings.memory.append((findings.elapsed_s, resident_bytes()))
                if on_round is not None:
                    on_round(findings, findings.elapsed_s)
        findings.left_objects = live_objects()
        if findings.left_objects:
            findings.faults.append(f"{findings.left_objects} channels, connections or calls are still in memory")
        return findings

    def run_once(self, counts: Mapping[str, int]) -> Findings:
        """Run so many cases of each stage."""
        with self.runners() as judges:
            self._round(counts, judges)
        return self.findings

    def _round(self, counts: Mapping[str, int], judges: Mapping[str, Judge]) -> None:
        for stage, count in counts.items():
            for _ in range(count):
                if len(self.findings.faults) >= MAX_FAULTS:
                    return
                index = self.findings.cases[stage]
                self.take(stage, f"--case {stage}:{index}", self.draw(stage, index), judges[stage])

    def replay_inputs(self) -> int:
        """Play every input as it is, alone and after SETTINGS, to unary and to streaming calls; return how many."""
        count = 0
        with self.runners() as judges:
            for number, data in enumerate(self._inputs):
                for recording in self._recordings[:: max(1, len(self._recordings) // 4)]:
                    for after_settings in (False, True):
                        case = plays.replay(data, recording, after_settings=after_settings)
                        name = f"input {number} for {recording.name}, after SETTINGS: {after_settings}"
                        self.take("virtual", name, case, judges["virtual"])
                        count += 1
        # Numbers of drawn cases begin at 0 whether inputs were replayed or not.
        self.findings.cases["virtual"] -= count
        return count

    def take(self, stage: str, name: str, case: Case, judge_case: Judge) -> None:
        """Run one case and add up what it came to."""
        findings = self.findings
        self._current = name
        verdict = judge_case(case)
        findings.cases[stage] += 1
        findings.kinds.update(play.kind for play in case.plays if play is not None)
        findings.codes.update(verdict.codes)
        findings.overrun_s[stage] = max(findings.overrun_s[stage], verdict.overrun_s)
        findings.faults += [f"{name}: {case.recording.name}: {fault}" for fault in verdict.faults]

    @contextmanager
    def runners(self) -> Iterator[dict[str, Judge]]:
        """Hold the loops of both stages; what is given runs one case on its loop."""
        loop = VirtualLoop()

        def virtually(case: Case) -> Verdict:
            signal.setitimer(signal.ITIMER_REAL, HANG_S)
            # The jitter of backoffs is drawn from here.
            random.seed(0)
            loop.start(case.plays)
            verdict = virtual.run(judge(case))
            faults = list(verdict.faults)
            if loop.waiting_timers:
                faults.append(f"left behind: {loop.waiting_timers} timers")
            if not all(link.is_lost for link in loop.links):
                faults.append("left behind: an open transport")
            return Verdict(faults=tuple(faults), overrun_s=verdict.overrun_s, codes=verdict.codes)

        def on_sockets(case: Case) -> Verdict:
            signal.setitimer(signal.ITIMER_REAL, HANG_S)
            return real.run(judge_on_sockets(case))

        before = signal.signal(signal.SIGALRM, self._hung)
        try:
            with (
                asyncio.Runner(loop_factory=lambda: loop) as virtual,
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as real,
            ):
                yield {"virtual": virtually, "loopback": on_sockets}
        finally:
            # The last case's connections are not to be counted as left behind.
            loop.start(())
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def _hung(self, number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"seed {self._seed}, {self._current}: no end after {HANG_S:g} s")


def resident_bytes() -> int:
    """Return this process's resident memory; 0 where /proc does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def live_objects() -> int:
    """Return how many channels, connections and calls are in memory once garbage was collected."""
    gc.collect()
    return sum(isinstance(each, Call | Channel | Connection) for each in gc.get_objects())
