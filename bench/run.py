"""One benchmark run: start the targets, check their answers, measure in interleaved rounds."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.backend import TRACES_ARRIVED
from bench.cases import ALLOWED_BEFORE_LIMIT, Case
from bench.probe import ask, check_answer, check_refused
from bench.processes import BenchError, Memory, cpu_spent, find_tool
from bench.results import Sample, Summary, summarise
from bench.targets import Running, Target, Workshop

_WARM_UP_S = 1
_TRACES_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure, and for how long."""

    cases: tuple[Case, ...]
    targets: Mapping[str, Target]
    rounds: int
    seconds: int
    """How long each target runs under each case in each round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything that was measured."""

    plan: Plan
    summaries: Mapping[tuple[str, str], Summary]
    """By case name and target key."""
    idle: Mapping[str, Memory]
    """Memory by target key, ready and before any load."""
    loaded: Mapping[str, Memory]
    """Memory by target key, after all rounds."""


def run(plan: Plan) -> Outcome:
    """Measure everything in the plan. Raises BenchError when a target fails, or answers anything wrongly."""
    for tool in sorted({case.load.tool for case in plan.cases} - {""}):
        find_tool(tool)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        workshop = Workshop(folder, stack)
        ready = _start_all(plan, workshop)
        idle = {key: one.child.memory() for key, one in ready.items()}
        for case in plan.cases:
            for key in _targets_of(case, plan):
                _check(case, key, plan, ready[key].port)
                _measure(case, key, ready[key], _WARM_UP_S, folder)
                if case.needs_traces and key != case.targets[0]:
                    _wait_for_traces(plan.targets[key], workshop)
        samples = _measure_rounds(plan, ready, folder)
        loaded = {key: one.child.memory() for key, one in ready.items()}
    return Outcome(plan=plan, summaries=_summaries(plan, samples), idle=idle, loaded=loaded)


def _start_all(plan: Plan, workshop: Workshop) -> dict[str, Running]:
    ready: dict[str, Running] = {}
    for case in plan.cases:
        for key in _targets_of(case, plan):
            if key not in ready:
                _say(f"starting {plan.targets[key].title}")
                ready[key] = plan.targets[key].start(workshop)
    return ready


def _targets_of(case: Case, plan: Plan) -> list[str]:
    return [key for key in case.targets if key in plan.targets]


def _check(case: Case, key: str, plan: Plan, port: int) -> None:
    title = plan.targets[key].title
    if key in case.refusing:
        for _ in range(ALLOWED_BEFORE_LIMIT):
            ask(port, case.request)
        check_refused(title, port, case.request, 429)
        return
    check_answer(title, port, case.request, case.expected)
    if case.refused is not None and key != case.targets[0]:
        check_refused(title, port, case.refused, 401)


def _wait_for_traces(target: Target, workshop: Workshop) -> None:
    collector = workshop.backend(target.routes).child
    deadline_s = time.monotonic() + _TRACES_WITHIN_S
    while TRACES_ARRIVED not in collector.output:
        if time.monotonic() > deadline_s:
            raise BenchError(f"{target.title}: no span reached the collector within {_TRACES_WITHIN_S:.0f} s")
        time.sleep(0.1)


def _measure_rounds(plan: Plan, ready: Mapping[str, Running], folder: Path) -> dict[tuple[str, str], list[Sample]]:
    samples: dict[tuple[str, str], list[Sample]] = {}
    for number in range(plan.rounds):
        for case in plan.cases:
            _say(f"round {number + 1} of {plan.rounds}: {case.name}")
            keys = _targets_of(case, plan)
            # Every other round runs backwards, so that neither target always comes second.
            for key in keys if number % 2 == 0 else reversed(keys):
                sample = _measure(case, key, ready[key], plan.seconds, folder)
                samples.setdefault((case.name, key), []).append(sample)
    return samples


def _measure(case: Case, key: str, target: Running, seconds: int, folder: Path) -> Sample:
    before = target.child.cpu()
    try:
        result = case.load.run(case.request, target.port, seconds, folder)
    except BenchError as error:
        raise BenchError(f"{target.child.name}, case {case.name}: {error}") from error
    spent = cpu_spent(before, target.child.cpu())
    # The load generator counts whatever is no success; a target that must refuse has none.
    if result.failed != (result.requests if key in case.refusing else 0) or not result.requests:
        raise BenchError(
            f"{target.child.name}, case {case.name}: {result.failed} failed and {result.requests} answered requests; "
            f"the end of its output:\n{target.child.output[-2_000:]}"
        )
    return Sample(
        user_us=spent.user_s * 1e6 / result.requests,
        system_us=spent.system_s * 1e6 / result.requests,
        requests_per_s=result.requests / result.elapsed_s,
        p50_ms=result.p50_ms,
        p99_ms=result.p99_ms,
    )


def _summaries(plan: Plan, samples: Mapping[tuple[str, str], Sequence[Sample]]) -> dict[tuple[str, str], Summary]:
    summaries = {}
    for case in plan.cases:
        baseline = samples.get((case.name, case.targets[0]))
        for key in _targets_of(case, plan):
            is_baseline = key == case.targets[0]
            summaries[case.name, key] = summarise(samples[case.name, key], None if is_baseline else baseline)
    return summaries


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
