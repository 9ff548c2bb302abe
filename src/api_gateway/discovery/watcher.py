"""Asks every service again and again what it offers, and has the route table replaced when an answer is new.

Every service has one task. It asks at start, on the interval (spread, so that workers and replicas do not ask at once),
after a connection was lost, and when told to. Between failures it waits with backoff. A failed question changes
nothing: the last good schema stays in force (semantics 43 and 44).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from ..schema import Schema
from ..telemetry.log import get_logger
from .reflection import ReflectionError, StreamOpener, read_schema

READ_TIMEOUT_S: Final = 10.0
"""Longest time for one reading, the connection included. A backend that refuses connections fails at once."""
INITIAL_BACKOFF_S: Final = 0.5
MAX_BACKOFF_S: Final = 30.0
BACKOFF_FACTOR: Final = 2.0
JITTER: Final = 0.1
RECONNECT_DELAY_S: Final = 0.1
"""Pause between a lost connection and the next question, spread up to three times as long."""

_log = get_logger("api_gateway.discovery")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """What is known about the schema of one service."""

    is_discovered: bool = False
    """Whether it was read at least once."""
    last_success_s: float = 0.0
    """Loop time of the last good reading."""
    error: str = ""
    """Why the last reading failed; empty after a good one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChange:
    """What a new route table changed; routes as `GET /api/users/:id`."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


class TableBuilder(Protocol):
    """Makes the route table of all schemas and puts it in force."""

    async def rebuild(self, schemas: Mapping[str, Schema]) -> TableChange:
        """Replace the table. Never raises: what cannot be served is reported and left out."""


class DiscoveryListener(Protocol):
    """Hears how readings ended."""

    def refreshed(self, service: str, result: str) -> None:
        """A reading ended: `changed`, `unchanged` or `failed`."""


class Watcher:
    """The schemas of all services of one worker. `start` it in the worker's loop, `aclose` it at the end."""

    def __init__(
        self,
        channels: Mapping[str, StreamOpener],
        builder: TableBuilder,
        listener: DiscoveryListener,
        *,
        refresh_interval_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._channels = channels
        self._builder = builder
        self._listener = listener
        self._refresh_interval_s = refresh_interval_s
        self._clock = clock
        self._schemas: dict[str, Schema] = {}
        self._statuses = {service: ServiceStatus() for service in channels}
        self._triggers = {service: asyncio.Event() for service in channels}
        self._locks = {service: asyncio.Lock() for service in channels}
        self._building = asyncio.Lock()
        self._first_round: dict[str, asyncio.Event] = {service: asyncio.Event() for service in channels}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def statuses(self) -> Mapping[str, ServiceStatus]:
        """State of every service, by key."""
        return self._statuses

    @property
    def is_complete(self) -> bool:
        """Whether every service was discovered at least once."""
        return all(status.is_discovered for status in self._statuses.values())

    def start(self) -> None:
        """Begin to ask. Needs a running loop."""
        self._tasks = [
            asyncio.get_running_loop().create_task(self._watch(service), name=f"discover {service}")
            for service in self._channels
        ]

    async def aclose(self) -> None:
        """Stop asking."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def wait_for_first_round(self, timeout_s: float) -> bool:
        """Wait until every service was asked once, or the time is over; return whether all answered or failed."""
        try:
            async with asyncio.timeout(timeout_s):
                for event in self._first_round.values():
                    await event.wait()
        except TimeoutError:
            return False
        return True

    def trigger(self, service: str) -> None:
        """Have a service asked soon: its connection was lost, so it may have been redeployed."""
        trigger = self._triggers.get(service)
        if trigger is not None:
            trigger.set()

    async def refresh(self, services: Iterable[str] | None = None) -> tuple[TableChange, dict[str, str]]:
        """Ask all services (or some) now; return what changed and, for those that failed, why."""
        names = list(self._channels if services is None else services)
        changes = await asyncio.gather(*(self._ask(name) for name in names))
        failed = {name: self._statuses[name].error for name in names if self._statuses[name].error}
        return _merge(changes), failed

    # One service

    async def _watch(self, service: str) -> None:
        backoff_s = INITIAL_BACKOFF_S
        while True:
            await self._ask(service)
            if self._statuses[service].error:
                wait_s, backoff_s = backoff_s, min(backoff_s * BACKOFF_FACTOR, MAX_BACKOFF_S, self._refresh_interval_s)
            else:
                wait_s, backoff_s = self._refresh_interval_s, INITIAL_BACKOFF_S
            if await self._triggered(service, wait_s * random.uniform(1 - JITTER, 1 + JITTER)):  # noqa: S311 - no secret
                backoff_s = INITIAL_BACKOFF_S
                await asyncio.sleep(RECONNECT_DELAY_S * random.uniform(1, 3))  # noqa: S311 - no secret

    async def _triggered(self, service: str, timeout_s: float) -> bool:
        trigger = self._triggers[service]
        try:
            async with asyncio.timeout(timeout_s):
                await trigger.wait()
        except TimeoutError:
            return False
        trigger.clear()
        return True

    async def _ask(self, service: str) -> TableChange:
        async with self._locks[service]:
            try:
                # Not waiting for an absent backend: the reason is known at once, and who refreshes gets an answer.
                schema = await read_schema(
                    self._channels[service],
                    deadline_s=self._clock() + READ_TIMEOUT_S,
                    waits_for_ready=False,
                    known=self._schemas.get(service),
                )
            except ReflectionError as error:
                self._failed(service, str(error))
                return TableChange()
            return await self._learned(service, schema)

    def _failed(self, service: str, reason: str) -> None:
        status = self._statuses[service]
        if reason != status.error:
            _log.warning("discovery failed", service=service, reason=reason, keeps_last_schema=status.is_discovered)
        self._statuses[service] = replace(status, error=reason)
        self._listener.refreshed(service, "failed")
        self._first_round[service].set()

    async def _learned(self, service: str, schema: Schema) -> TableChange:
        known = self._schemas.get(service)
        change = TableChange()
        is_new = known is None or known.fingerprint != schema.fingerprint
        if is_new:
            async with self._building:
                self._schemas[service] = schema
                change = await self._builder.rebuild(dict(self._schemas))
            _log.info(
                "schema changed" if known is not None else "service discovered",
                service=service,
                services=sorted(schema.services),
                added=len(change.added),
                removed=len(change.removed),
                changed=len(change.changed),
            )
            if schema.undescribed:
                _log.warning("services without a descriptor", service=service, services=list(schema.undescribed))
        if self._statuses[service].error and not is_new:
            _log.info("discovery recovered", service=service)
        self._statuses[service] = ServiceStatus(is_discovered=True, last_success_s=self._clock())
        self._listener.refreshed(service, "changed" if is_new else "unchanged")
        self._first_round[service].set()
        return change


def _merge(changes: Iterable[TableChange]) -> TableChange:
    """Join changes of several tables that followed each other."""
    changes = list(changes)
    return TableChange(
        added=tuple(sorted({route for change in changes for route in change.added})),
        removed=tuple(sorted({route for change in changes for route in change.removed})),
        changed=tuple(sorted({route for change in changes for route in change.changed})),
    )
