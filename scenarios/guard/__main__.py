"""Command line of the guard's scenarios."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
import traceback
from pathlib import Path

from bench.machine import read_setting
from scenarios.choice import read_names
from scenarios.figures import Result, plain, summary
from scenarios.guard.catalogue import SCENARIOS, Scenario
from scenarios.guard.stage import Stage
from tests.support.backends import start_backend
from tests.support.processes import ROOT

DOCUMENT = ROOT / "docs" / "guard.md"
BEGIN = "<!-- written by `make guard ARGS=--write`: begin -->"


def main(arguments: list[str]) -> int:
    """Run scenarios; return the exit code: 0 all lines are met, 1 one was missed, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    if not Path("/proc/self/smaps_rollup").exists():
        print("python -m scenarios.guard reads /proc, so it needs Linux", file=sys.stderr)
        return 1
    setting = read_setting(shlex.join(["python", "-m", "scenarios.guard", *arguments]))
    results = []
    for scenario in SCENARIOS:
        if options.names and scenario.name not in options.names:
            continue
        result = run(scenario, options.scale)
        results.append(result)
        print(plain(result), flush=True)
    missed = [each.name for each in results if not each.is_met]
    print(f"\n{len(results)} scenarios, missed: {', '.join(missed) or 'none'}")
    if options.write:
        facts = "\n".join(f"- {line}" for line in setting.lines())
        before, begin, _ = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)
        DOCUMENT.write_text(f"{before}{begin or BEGIN}\n\n{facts}\n\n{summary(results)}\n", encoding="utf-8")
    return 1 if missed else 0


def run(scenario: Scenario, scale: float = 1.0) -> Result:
    """Run one scenario; what it raises is a missed mark."""
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="guard-") as folder, start_backend("grpcio") as backend:
        stage = Stage(folder=Path(folder), backend=backend.endpoint, scale=scale)
        try:
            scenario.run(stage)
        except Exception:
            text = traceback.format_exc()
            print(text, file=sys.stderr)
            stage.marks.holds("ran to its end", text.strip().splitlines()[-1], "yes", is_met=False)
    taken = stage.marks.taken
    return Result(name=scenario.name, title=scenario.title, marks=taken, took_s=time.monotonic() - started_s)


def _names(text: str) -> list[str]:
    return read_names(text, {each.name for each in SCENARIOS})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scenarios.guard",
        description="Hold rate limits, and the state they share, against their lines: real processes, real Redis.",
        epilog="example: python -m scenarios.guard R1,R2",
    )
    parser.add_argument("names", nargs="?", type=_names, default=[], help="scenarios, joined by commas (default all)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full duration and load (default 1)")
    parser.add_argument("--write", action="store_true", help="put the results into docs/guard.md")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
