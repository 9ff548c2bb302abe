"""Command line of the scenarios."""

from __future__ import annotations

import argparse
import asyncio
import resource
import shlex
import sys
import time
import traceback
from pathlib import Path

import uvloop

from bench.machine import read_setting
from scenarios.catalogue import SCENARIOS, Scenario
from scenarios.choice import read_names
from scenarios.figures import Mark, Result, plain, renew, summary, write_between_markers
from scenarios.stage import new_stage
from tests.support.processes import ROOT

DOCUMENT = ROOT / "docs" / "reliability.md"
LIMIT_S = 240.0
"""Longest one scenario may take, whatever hangs in it."""


def main(arguments: list[str]) -> int:
    """Run scenarios; return the exit code: 0 all lines are met, 1 one was missed, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    if not Path("/proc/self/fd").exists():
        print("python -m scenarios reads /proc, so it needs Linux", file=sys.stderr)
        return 1
    _allow_many_sockets()
    setting = read_setting(shlex.join(["python", "-m", "scenarios", *arguments]))
    results = []
    for scenario in chosen(options.names):
        result = run(scenario, options.scale)
        results.append(result)
        print(plain(result), flush=True)
    missed = [each.name for each in results if not each.is_met]
    print(f"\n{len(results)} scenarios, missed: {', '.join(missed) or 'none'}")
    if options.write and options.names:
        renew(DOCUMENT, results)
    elif options.write:
        facts = "\n".join(f"- {line}" for line in setting.lines())
        write_between_markers(DOCUMENT, f"{facts}\n\n{summary(results)}")
    return 1 if missed else 0


def run(scenario: Scenario, scale: float) -> Result:
    """Run one scenario on a loop of its own; what it raises is a missed mark."""
    started_s = time.monotonic()
    marks: list[Mark] = []
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(_run(scenario, scale, marks))
        except Exception:
            text = traceback.format_exc()
            print(text, file=sys.stderr)
            last = text.strip().splitlines()[-1]
            marks.append(Mark(name="ran to its end", figure=last, line="yes", is_met=False))
    return Result(name=scenario.name, title=scenario.title, marks=marks, took_s=time.monotonic() - started_s)


async def _run(scenario: Scenario, scale: float, marks: list[Mark]) -> None:
    async with new_stage(scale) as stage:
        try:
            async with asyncio.timeout(LIMIT_S):
                await scenario.run(stage)
        finally:
            marks += [*stage.marks.taken, *stage.universal.taken]


def chosen(names: list[str]) -> list[Scenario]:
    """Return the scenarios of these names, all without any."""
    return [each for each in SCENARIOS if not names or each.name in names]


def _allow_many_sockets() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _names(text: str) -> list[str]:
    return read_names(text, {each.name for each in SCENARIOS})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scenarios",
        description="Break backends in every way, and hold the gateway's figures against their lines.",
        epilog="example: python -m scenarios B1,B7",
    )
    parser.add_argument("names", nargs="?", type=_names, default=[], help="scenarios, joined by commas (default all)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full duration and load (default 1)")
    parser.add_argument(
        "--write",
        action="store_true",
        help="put the results into docs/reliability.md",
    )
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
