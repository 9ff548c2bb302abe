"""What a scenario of the guard works with: marks, a gateway that serves an echo backend, and a scale."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scenarios.figures import Marks
from tests.support.gateway import RunningGateway, eventually, serving, start_gateway

UNLIMITED: Final = 1_000_000_000
MIB: Final = 1024 * 1024


@dataclass(slots=True, kw_only=True)
class Stage:
    """One run of one scenario."""

    folder: Path
    """For files of the run."""
    backend: str
    """Endpoint of an echo backend."""
    scale: float = 1.0
    """Share of the full duration and number of requests; below 1 in a smoke run."""
    marks: Marks = field(default_factory=Marks)

    def number(self, full: int, *, at_least: int = 1) -> int:
        """Return a number of things, smaller in a smoke run."""
        return max(at_least, round(full * self.scale)) if self.scale < 1 else full

    @contextmanager
    def gateway(self, *, workers: int = 2, **sections: Any) -> Iterator[RunningGateway]:
        """Run a gateway in front of the echo backend until the context ends; all its workers serve."""
        config: Mapping[str, Any] = serving(self.backend, **{"log": {"requests": False}, **sections})
        with start_gateway(config, "--workers", str(workers)) as gateway:
            eventually(lambda: gateway.metric("api_gateway_workers") == workers, "all workers serve", timeout_s=60)
            gateway.wait_until_routed("/api/items/7")
            yield gateway


def limit(per_window: int, window_s: int, **more: Any) -> dict[str, Any]:
    """Return the section of a limit of so many requests per window; a whole number a minute must come of it."""
    per_minute, rest = divmod(per_window * 60, window_s)
    if rest:
        raise ValueError("not a whole number of requests a minute")
    return {"enabled": True, "requests_per_minute": per_minute, "window_seconds": window_s, **more}


def wait_for_phase(window_s: float, phase: float, clock: Callable[[], float] = time.monotonic) -> None:
    """Sleep until this share of a window has passed: windows begin at multiples of their length.

    One machine counts monotonic time, Redis its wall clock.
    """
    time.sleep((phase * window_s - clock()) % window_s)


def pss_bytes(pids: list[int]) -> int:
    """Return the proportional memory of processes: what they share counts once. Linux only."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total
