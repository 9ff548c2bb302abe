"""All scenarios, in the order of their numbers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from scenarios import (
    breaking,
    draining,
    frozen,
    hostile,
    killed,
    names,
    pairs,
    refusing,
    slow,
    streams,
    unreachable,
    vanishing,
)
from scenarios.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One line of the list."""

    name: str
    """Its number in reliability 4.2."""
    title: str
    run: Callable[[Stage], Awaitable[None]]


SCENARIOS: Final = (
    Scenario(name="B1", title="the only backend is killed and comes back after 3 s", run=killed.killed_and_restarted),
    Scenario(name="B2", title="one of two backends is killed; idempotent requests, one retry", run=pairs.idempotent),
    Scenario(name="B3", title="one of two backends is killed; no request may be repeated", run=pairs.not_idempotent),
    Scenario(name="B4", title="the backend is killed in the middle of 50 streams", run=streams.killed_in_streams),
    Scenario(name="B5", title="the backend is frozen for 5 s (SIGSTOP)", run=frozen.frozen_and_thawed),
    Scenario(name="B6", title="GOAWAY every 100 requests", run=draining.drained_every_hundred),
    Scenario(name="B7", title="GOAWAY that leaves out 5 streams, and a closed connection", run=draining.drained_hard),
    Scenario(name="B8", title="REFUSED_STREAM for every 10th stream, then for all", run=refusing.refused_streams),
    Scenario(name="B9", title="RST_STREAM after the head, in the message, after it", run=refusing.reset_streams),
    Scenario(name="B10", title="MAX_CONCURRENT_STREAMS 1, 0 and 100 under 100 callers", run=refusing.few_streams),
    Scenario(name="B11", title="the listen backlog is full", run=unreachable.full_backlog),
    Scenario(name="B12", title="connections without SETTINGS", run=unreachable.no_settings),
    Scenario(name="B13", title="a backend of 16 kB/s, then of 1-byte DATA with padding", run=slow.slow_backend),
    Scenario(name="B14", title="a hostile backend: floods and bombs", run=hostile.floods),
    Scenario(name="B16", title="50 clients read 100 MB at 1 KiB/s each", run=slow.slow_clients),
    Scenario(name="B17", title="500 clients vanish in the middle of a call", run=vanishing.vanishing_clients),
    Scenario(name="B18", title="3 s at the client, 2 s in the queue", run=frozen.deadline_travels),
    Scenario(name="B19", title="a name that means nothing for a while, then other addresses", run=names.changing_name),
    Scenario(name="B20", title="the breaker of two workers, 20 times", run=breaking.flapping),
)
