"""Where the gateway's time goes under one case: `python -m bench.profile --case get-64`.

Uses py-spy when it is installed (it hardly disturbs what it watches), else cProfile (which makes small functions look
dearer than they are, but counts calls exactly). The product knows nothing of either.
"""

from __future__ import annotations

import argparse
import pstats
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.cases import CASES, Case, targets
from bench.probe import check_answer
from bench.processes import BenchError
from bench.targets import Gateway, Workshop

_ROWS: Final = 45


def main(arguments: list[str]) -> int:
    """Profile one case; return the exit code."""
    options = _parser().parse_args(arguments)
    case = next(case for case in CASES if case.name == options.case)
    kept = Path(options.keep) if options.keep else None
    try:
        if options.tool == "py-spy":
            _sample_stacks(case, options.seconds, kept)
        else:
            _count_calls(case, options.seconds, kept, options.sort)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _count_calls(case: Case, seconds: int, kept: Path | None, sort: str) -> None:
    """Run the gateway under cProfile and print the process that did most."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        stem = Path(scratch) / "profile"
        launcher = ("-m", "bench.profiled", str(stem))
        _load(case, seconds, replace(_gateway(case), launcher=launcher))
        files = sorted(Path(scratch).glob("profile.*"))
        if not files:
            raise BenchError("the gateway wrote no profile; it did not end by itself")
        profiles = [pstats.Stats(str(file)) for file in files]
        busiest = max(range(len(files)), key=lambda number: _total_calls(profiles[number]))
        if kept is not None:
            shutil.copy(files[busiest], kept)
        profiles[busiest].sort_stats(sort).print_stats(_ROWS)


def _total_calls(profile: pstats.Stats) -> int:
    calls: int = vars(profile)["total_calls"]
    return calls


def _sample_stacks(case: Case, seconds: int, kept: Path | None) -> None:
    """Watch the gateway with py-spy and write a flame graph."""
    tool = shutil.which("py-spy")
    if tool is None:
        raise BenchError("py-spy is not installed; use --tool cprofile")
    target = kept or Path("profile.svg")
    _load(case, seconds, _gateway(case), watcher=[tool, "record", "--subprocesses", "--native", "-o", str(target)])
    print(f"wrote {target}")


def _gateway(case: Case) -> Gateway:
    found = [target for key, target in targets(10_000).items() if key in case.targets and isinstance(target, Gateway)]
    return found[-1]


def _load(case: Case, seconds: int, gateway: Gateway, watcher: list[str] | None = None) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, ExitStack() as stack:
        running = gateway.start(Workshop(Path(scratch), stack))
        check_answer(gateway.title, running.port, case.request, case.expected)
        watching = None
        if watcher is not None:
            command = [*watcher, "--pid", str(running.child.pid), "--duration", str(seconds)]
            watching = stack.enter_context(subprocess.Popen(command))
        result = case.load.run(case.request, running.port, seconds, Path(scratch))
        if watching is not None and watching.wait():
            raise BenchError("py-spy failed; watching another process may need root")
    print(f"{result.requests} requests, {result.failed} failed")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description="Profile the gateway under one case.")
    names = [case.name for case in CASES]
    parser.add_argument("--case", choices=names, default="get-64", metavar="NAME", help=", ".join(names))
    parser.add_argument("--seconds", type=int, default=5, help="length of the load (default 5)")
    default_tool = "py-spy" if shutil.which("py-spy") else "cprofile"
    parser.add_argument("--tool", choices=("py-spy", "cprofile"), default=default_tool)
    parser.add_argument("--sort", default="tottime", help="order of the cProfile table (default tottime)")
    parser.add_argument("--keep", metavar="FILE", help="where the profile itself goes")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
