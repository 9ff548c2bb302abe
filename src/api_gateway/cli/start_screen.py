"""What `run` tells people at start: where it listens, what protects it, what was discovered, what was not and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..app import Gateway
from ..config.settings import Settings
from .listening import address_text, local_url
from .routes import show_plan
from .screen import Screen

FIRST_ROUND_S: Final = 5.0
"""How long the start screen waits for backends before it tells which did not answer yet."""
MAX_SHOWN_ROUTES: Final = 40


def show_listening(screen: Screen, settings: Settings, origin: str, addresses: Sequence[tuple[Any, ...]]) -> None:
    """Print where it listens and which guards are on; `addresses` are those of clients and, behind it, of operators."""
    address = addresses[0]
    url, operators_url = local_url(address), local_url(addresses[-1])
    screen.say(f"API Gateway listens on {url} ({address_text(*address[:2])}), configured by {origin}", "bold")
    screen.say(f"  workers         {settings.server.workers}")
    screen.say(f"  authentication  {_authentication(settings)}")
    limit = settings.rate_limit
    screen.say(
        f"  rate limit      {limit.requests_per_minute} requests a minute for each client"
        if limit.enabled
        else "  rate limit      off"
    )
    screen.say(f"  traces          {_traces(settings)}")
    screen.say(f"  health          {operators_url}/health   metrics {operators_url}/metrics")


def _traces(settings: Settings) -> str:
    traces = settings.observability
    if traces.tempo_endpoint is None:
        return "off"
    return f"{traces.sample_ratio * 100:g} % of new ones, exported to {traces.tempo_endpoint}"


def _authentication(settings: Settings) -> str:
    auth = settings.auth
    if auth is None:
        return "off: every route is open to everybody; add an auth section to change that"
    how = "local JWT validation" if auth.jwt is not None else f"tokens are validated by {auth.service_endpoint}"
    return f"on, {how}"


async def show_discovery(screen: Screen, settings: Settings, gateway: Gateway) -> None:
    """Wait for the backends' first answers and print the routes."""
    await gateway.watcher.wait_for_first_round(FIRST_ROUND_S)
    for key, status in gateway.watcher.statuses.items():
        if not status.is_discovered:
            reason = status.error or "no answer yet"
            endpoint = settings.services[key].endpoint_text
            screen.fail(f"{key} at {endpoint} is not discovered: {reason}. It is asked again until it answers.")
    published = gateway.published
    if published is None:
        return
    plan = published.plan
    if len(plan.routes) <= MAX_SHOWN_ROUTES:
        show_plan(screen, plan)
    else:
        screen.say(f"{len(plan.routes)} routes; `api-gateway routes` prints them")
    for planned, reason in published.failures:
        screen.say(f"not served: {planned.verb} {planned.template.text} of {planned.method.full_name}: {reason}")
