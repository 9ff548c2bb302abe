"""Command line of the fuzzer: `python -m tests.fuzz --seconds 1800`, or `make fuzz`."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from pathlib import Path
from typing import Final

from tests.fuzz.campaign import MIB, STAGES, Campaign, Findings, resident_bytes

MAX_GROWTH_BYTES: Final = 8 * MIB
"""Largest growth of memory, as the fitted line has it, over what follows the warm-up."""
MAX_SHOWN_FAULTS: Final = 20
PROGRESS_S: Final = 60.0


def main(arguments: list[str]) -> int:
    """Fuzz; return the exit code: 0 when everything held, 1 when something did not."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Play mutated answers of servers to the gateway's gRPC client."
    )
    parser.add_argument("--seconds", type=float, default=1800.0, help="how long (default: 1800)")
    parser.add_argument("--seed", default="", help="the cases of an earlier run again")
    parser.add_argument("--case", metavar="STAGE:NUMBER", help="only this case of a seed, as a failure names it")
    parser.add_argument("--inputs", type=Path, metavar="FOLDER", help="also play these files, and mix them in")
    options = parser.parse_args(arguments)
    campaign = Campaign(options.seed or secrets.token_hex(4), read_inputs(options.inputs))
    if options.case:
        return run_one(campaign, options.case)
    print(f"seed {campaign.findings.seed}, resident {resident_bytes() / MIB:.1f} MiB", flush=True)
    if options.inputs:
        print(f"played {campaign.replay_inputs()} cases of unchanged inputs from {options.inputs.name}", flush=True)
        print(endings(campaign.findings), flush=True)
    findings = campaign.run(options.seconds, on_round=Progress())
    return report(findings)


def read_inputs(folder: Path | None) -> tuple[bytes, ...]:
    """Return the files of a folder, in the order of their names."""
    if folder is None:
        return ()
    return tuple(path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file())


def run_one(campaign: Campaign, name: str) -> int:
    """Show one case and run it."""
    stage, _, number = name.partition(":")
    case = campaign.draw(stage, int(number))
    print(case)
    with campaign.runners() as judges:
        verdict = judges[stage](case)
    print(verdict)
    return 1 if verdict.faults else 0


class Progress:
    """Prints a line now and then, and faults at once."""

    def __init__(self) -> None:
        self._next_s = time.monotonic() + PROGRESS_S
        self._shown = 0

    def __call__(self, findings: Findings, elapsed_s: float) -> None:
        """Tell how far it is."""
        for fault in findings.faults[self._shown :]:
            print(f"seed {findings.seed}: {fault}", flush=True)
        self._shown = len(findings.faults)
        if time.monotonic() >= self._next_s:
            self._next_s += PROGRESS_S
            count = sum(findings.cases.values())
            memory = f"{resident_bytes() / MIB:.1f} MiB"
            print(f"{elapsed_s:6.0f} s  {count} cases  {len(findings.faults)} faults  {memory}", flush=True)


def report(findings: Findings) -> int:
    """Print what came of a campaign; return the exit code."""
    watched_s = findings.memory[-1][0] - findings.memory[0][0] if findings.memory else 0.0
    growth_bytes = findings.growth_bytes_per_s * watched_s
    count = sum(findings.cases.values())
    print(f"{count} cases in {findings.elapsed_s:.0f} s, {count / (findings.elapsed_s or 1):.0f} a second")
    for stage in STAGES:
        overrun_ms = findings.overrun_s[stage] * 1000
        print(f"  {stage}: {findings.cases[stage]} cases, a call outlived its deadline by {overrun_ms:.1f} ms at most")
    print(f"  connections by kind: {dict(findings.kinds.most_common())}")
    print(endings(findings))
    if findings.memory:
        first, last = findings.memory[0][1] / MIB, findings.memory[-1][1] / MIB
        slope = findings.growth_bytes_per_s * 3600 / MIB
        print(
            f"  resident after the warm-up {first:.1f} MiB, at the end {last:.1f} MiB, slope {slope:+.2f} MiB an hour"
        )
    if growth_bytes > MAX_GROWTH_BYTES:
        findings.faults.append(f"memory grew by {growth_bytes / MIB:.1f} MiB")
    print(f"{len(findings.faults)} faults")
    for fault in findings.faults[:MAX_SHOWN_FAULTS]:
        print(f"  seed {findings.seed}: {fault}")
    return 1 if findings.faults else 0


def endings(findings: Findings) -> str:
    """Return a line on how calls ended."""
    return "  calls by code: " + ", ".join(f"{int(code)}: {count}" for code, count in sorted(findings.codes.items()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
