"""The command line as people use it: run to its end, with what it printed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from tests.support.gateway import clean_environment
from tests.support.processes import ROOT, python_command

TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A command that has ended."""

    exit_code: int
    stdout: str
    stderr: str


def run_command(
    *arguments: str, environment: Mapping[str, str] | None = None, directory: str | os.PathLike[str] = ROOT
) -> Finished:
    """Run `python -m api_gateway` with arguments, its output going to pipes."""
    done = subprocess.run(
        python_command("api_gateway", *arguments),
        cwd=directory,
        env={**os.environ, **clean_environment(), **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return Finished(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)
