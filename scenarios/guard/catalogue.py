"""All scenarios of the guard, in the order of the list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from scenarios.guard import accuracy, addresses, key_sets, killed, redis_outage, sources
from scenarios.guard.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One scenario of one line of the list."""

    name: str
    """Number of the line in reliability 4.3 or 4.6, and what sets it apart from others of that line."""
    title: str
    run: Callable[[Stage], None]


SCENARIOS: Final = (
    Scenario(name="R1", title="ten times the limit, two workers", run=accuracy.two_workers),
    Scenario(name="R1-4", title="ten times the limit, four workers", run=accuracy.four_workers),
    Scenario(name="R1-REDIS", title="ten times the limit, counted in Redis", run=accuracy.with_redis),
    Scenario(name="R1-EDGE", title="ten times the limit on both sides of a window's edge", run=accuracy.at_the_edge),
    Scenario(name="R2", title="a million addresses in 64 MiB", run=addresses.a_million),
    Scenario(name="R2-FULL", title="a million addresses in 4 MiB", run=addresses.more_than_fit),
    Scenario(name="R2-SOURCES", title="100,000 real addresses in 64 MiB", run=sources.all_fit),
    Scenario(name="R2-SOURCES-FULL", title="100,000 real addresses in 1 MiB", run=sources.more_than_fit),
    Scenario(name="R3", title="a made-up address for each request", run=addresses.spoofed),
    Scenario(name="R4", title="what trusted proxies say", run=addresses.forwarded),
    Scenario(name="R5", title="a walk through a /64", run=addresses.ipv6),
    Scenario(name="R6", title="one client under many spellings", run=addresses.evasion),
    Scenario(name="R7", title="guessing tokens", run=addresses.before_auth),
    Scenario(name="R8", title="what a refused client is told", run=addresses.refusal_form),
    Scenario(name="R9", title="eight processes on one Redis", run=redis_outage.many_processes),
    Scenario(name="R10", title="killed with the store's lock in hand", run=killed.holding_the_lock),
    Scenario(name="J50", title="keys that rotate, four workers", run=key_sets.rotation),
    Scenario(name="J48", title="a key set that cannot be had, four workers", run=key_sets.outage),
    Scenario(name="D6", title="fifty workers killed while they count", run=killed.under_load),
    Scenario(name="D10", title="Redis in trouble, requests pass", run=redis_outage.allow),
    Scenario(name="D10-REFUSE", title="Redis in trouble, requests are refused", run=redis_outage.refuse),
)
