"""Command line of the benchmark."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from pathlib import Path
from typing import NoReturn

from bench.cases import CASES, targets
from bench.machine import read_setting
from bench.processes import REPOSITORY, BenchError
from bench.report import document_section, terminal_report, write_between_markers
from bench.run import Plan, run
from bench.schema import ROUTES_OF_SERVICE

DOCUMENT = REPOSITORY / "docs" / "benchmarks.md"


def main(arguments: list[str]) -> int:
    """Run the benchmark; return the exit code: 0 it was measured, 1 it failed, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    if not Path("/proc/self/smaps_rollup").exists():
        print("python -m bench reads /proc, so it needs Linux", file=sys.stderr)
        return 1
    plan = _plan(options)
    if not any(key in plan.targets for case in plan.cases for key in case.targets):
        print("none of the cases has a target that --only leaves", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _on_sigterm)
    setting = read_setting(shlex.join(["python", "-m", "bench", *arguments]))
    try:
        outcome = run(plan)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(terminal_report(outcome, setting))
    if options.write:
        write_between_markers(DOCUMENT, document_section(outcome, setting))
        print(f"wrote {DOCUMENT.relative_to(REPOSITORY)}", file=sys.stderr)
    return 0


def _plan(options: argparse.Namespace) -> Plan:
    wanted = options.case or [case.name for case in CASES if case.by_default]
    kept = {key: one for key, one in targets(options.routes).items() if options.only in (None, one.kind)}
    cases = tuple(case for case in CASES if case.name in wanted and any(key in kept for key in case.targets))
    return Plan(cases=cases, targets=kept, rounds=options.rounds, seconds=options.seconds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure the gateway beside Envoy: CPU time per request, throughput, latency and memory.",
        epilog="example: python -m bench --case get-64 --rounds 3",
    )
    names = [case.name for case in CASES]
    extra = [case.name for case in CASES if not case.by_default]
    many = f"methods in the large route table, at least {ROUTES_OF_SERVICE} (default 10000)"
    parser.add_argument("--rounds", type=_positive, default=5, help="rounds; the median counts (default 5)")
    parser.add_argument("--seconds", type=_positive, default=2, help="seconds per target, case and round (default 2)")
    parser.add_argument(
        "--case",
        nargs="+",
        action="extend",
        choices=names,
        metavar="NAME",
        help=f"{', '.join(names)} (default all but {', '.join(extra)})",
    )
    parser.add_argument("--only", choices=("envoy", "gateway"), help="measure one of the two alone")
    parser.add_argument("--routes", type=_routes, default=10_000, metavar="N", help=many)
    parser.add_argument("--write", action="store_true", help="put the result into docs/benchmarks.md")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {value}")
    return value


def _routes(text: str) -> int:
    value = _positive(text)
    if value < ROUTES_OF_SERVICE:
        raise argparse.ArgumentTypeError(f"the service itself has {ROUTES_OF_SERVICE} methods")
    return value


def _on_sigterm(_number: int, _frame: object) -> NoReturn:
    # Leaves through every `finally`, so that no child stays behind.
    raise SystemExit(128 + signal.SIGTERM)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
