"""`api-gateway routes`: what would be served, without serving it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson
import uvloop

from ..blueprint import service_target
from ..config.loader import load_settings
from ..config.problem import ConfigError
from ..config.settings import Settings
from ..deadlines import DeadlineWheel
from ..discovery.plan import Plan, plan_routes
from ..discovery.reflection import ReflectionError, read_schema
from ..grpc.channel import Channel
from ..grpc.connectivity import ChannelOptions, SilentObserver
from ..inspection import inspect_settings
from ..schema import Schema
from .screen import Page, Screen


def print_routes(
    screen: Screen, *, config: Path | None, backends: Sequence[str], is_json: bool, timeout_s: float
) -> int:
    """Ask every backend and print the plan; return 1 when one could not be asked."""
    try:
        settings = inspect_settings(load_settings(config, environ=os.environ, backends=backends)).settings
    except ConfigError as error:
        screen.problems(error.problems)
        return 1
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        schemas, failures = runner.run(_ask_all(settings, timeout_s))
    plan = plan_routes(schemas, settings)
    if is_json:
        screen.results.emit(orjson.dumps({**plan.as_dict(), "failed": failures}, option=orjson.OPT_INDENT_2).decode())
    else:
        show_plan(screen.results, plan)
    for service, reason in failures.items():
        screen.fail(f"{service} at {settings.services[service].endpoint_text} was not discovered: {reason}")
    return 1 if failures else 0


def show_plan(page: Page, plan: Plan) -> None:
    """Print routes, conflicts, overrides that lead nowhere, and unmapped methods."""
    if plan.routes:
        page.table(
            ("METHOD", "PATH", "GRPC METHOD", "SERVICE", "SOURCE"),
            [
                (route.verb, route.template.text, route.method.full_name, route.service, route.source.value)
                for route in plan.routes
            ],
        )
    else:
        page.say("no routes")
    for conflict in plan.conflicts:
        route = conflict.loser
        page.say(f"conflict: {route.verb} {route.template.text} of {route.method.full_name}: {conflict.reason}")
    for rejected in plan.rejected_overrides:
        page.say(f"override not served: {rejected.http_method} {rejected.http_path}: {rejected.reason}")
    for unmapped in plan.unmapped:
        page.say(f"unmapped: {unmapped.method} of {unmapped.service}: {unmapped.reason}")
        if unmapped.override:
            page.say("  to serve it, add under route_overrides:")
            for line in unmapped.override.splitlines():
                page.say(f"    {line}")


async def _ask_all(settings: Settings, timeout_s: float) -> tuple[Mapping[str, Schema], dict[str, str]]:
    answers = await asyncio.gather(*(_ask(settings, key, timeout_s) for key in settings.services))
    schemas = {
        key: answer for key, answer in zip(settings.services, answers, strict=True) if isinstance(answer, Schema)
    }
    failures = {key: answer for key, answer in zip(settings.services, answers, strict=True) if isinstance(answer, str)}
    return schemas, failures


async def _ask(settings: Settings, key: str, timeout_s: float) -> Schema | str:
    loop = asyncio.get_running_loop()
    wheel = DeadlineWheel(loop)
    channel = Channel(
        key,
        service_target(settings.services[key]),
        ChannelOptions(connect_timeout_s=timeout_s, reconnect_grace_s=0.0),
        loop=loop,
        wheel=wheel,
        observer=SilentObserver(),
    )
    try:
        return await read_schema(channel, deadline_s=loop.time() + timeout_s, waits_for_ready=False)
    except ReflectionError as error:
        return str(error)
    finally:
        await channel.aclose()
        wheel.close()
