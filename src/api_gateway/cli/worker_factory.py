"""What the processes of one gateway are made of, and what they say when they come and when their settings change."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..app import Gateway, Shared
from ..config.loader import LoadedSettings
from ..config.problem import ConfigError
from ..config.settings import Settings
from ..edge.process import Serving, Signals
from ..telemetry.log import get_logger
from ..telemetry.metrics import mark_worker_dead
from .screen import Screen
from .start_screen import show_discovery, show_listening

if TYPE_CHECKING:
    from ..edge.worker import WorkerFactory

_log = get_logger("api_gateway.app")

OnServing = Callable[[Gateway, tuple[Any, ...]], Awaitable[None]]
"""Told once that the gateway serves, with its socket address; cancelled when it stops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingPlan:
    """What to serve, where it was read, and how to read it again."""

    settings: Settings
    origin: str
    """For people: where the settings came from."""
    load: Callable[[], LoadedSettings] | None = None
    """Reads them again; raises ConfigError. None: they came with the command."""
    on_serving: OnServing | None = None


class GatewayFactory:
    """Makes gateways for `edge.worker.Supervisor`, and for the one process without it."""

    def __init__(self, screen: Screen, shared: Shared, plan: ServingPlan, listeners: Sequence[socket.socket]) -> None:
        """`listeners` are that for clients and, when there is one, that for operators."""
        self._screen = screen
        self._shared = shared
        self._plan = plan
        self._addresses: list[tuple[Any, ...]] = [listener.getsockname() for listener in listeners]

    @property
    def workers(self) -> int:
        """Worker processes by the settings in force."""
        return self._shared.settings.server.workers

    @property
    def stop_timeout_s(self) -> float:
        """Longest drain by the settings in force."""
        server = self._shared.settings.server
        return (server.drain_timeout_ms + server.shutdown_delay_ms) / 1000

    def forked(self) -> None:
        """Let log lines go through a thread from now on: this process will not fork."""
        self._shared.writer.is_threaded = True

    def make(self) -> Serving:
        """Return a gateway."""
        return Gateway(self._shared)

    def attend_alone(self, loop: asyncio.AbstractEventLoop, signals: Signals) -> None:
        """Let the only process live on when it gets a signal that only an arbiter can obey."""
        if self._plan.load is None:
            # It was started by hand and for a look, so a terminal that closes takes it along.
            return
        for number in (signal.SIGHUP, signal.SIGUSR2):
            loop.add_signal_handler(number, _refuse, signal.Signals(number).name)

    async def started(self, serving: Serving, age: int) -> None:
        """Have the first worker tell programs and people what is going on."""
        if age != 1 or not isinstance(serving, Gateway):
            return
        settings = self._shared.settings
        address = self._addresses[0]
        operators = {"admin_host": at[0], "admin_port": at[1]} if (at := self._addresses[-1]) is not address else {}
        _log.info("listening", host=address[0], port=address[1], workers=settings.server.workers, **operators)
        show_listening(self._screen, settings, self._plan.origin, self._addresses)
        await show_discovery(self._screen, settings, serving)
        if self._plan.on_serving is not None:
            await self._plan.on_serving(serving, address)

    def ended(self, pid: int) -> None:
        """Keep the counts of a worker that is gone."""
        mark_worker_dead(self._shared.metrics_directory, pid)

    def reload(self) -> bool:
        """Read the configuration again; workers started from now on use it."""
        if self._plan.load is None:
            return True
        try:
            loaded = self._plan.load()
        except ConfigError as error:
            for problem in error.problems:
                _log.error("configuration not reloaded", problem=str(problem))
            return False
        for warning in loaded.warnings:
            _log.warning("configuration may not work as written", problem=str(warning))
        for key in _fixed_changes(self._shared.settings, loaded.settings):
            _log.warning("a changed setting needs a restart", setting=key)
        # Workers share the sockets: where operators are served stays as it is.
        settings = loaded.settings.model_copy(update={"admin": self._shared.settings.admin})
        self._shared = replace(self._shared, settings=settings)
        _log.info("configuration reloaded", origin=loaded.origin)
        return True


def _refuse(name: str) -> None:
    _log.warning("signal ignored: it needs worker processes (--workers 2 or more), else restart", signal=name)


def _fixed_changes(old: Settings, new: Settings) -> list[str]:
    """Return the keys of changed settings that belong to what all workers share, which outlives a reload."""
    pairs = {
        "server.host": (old.server.host, new.server.host),
        "server.port": (old.server.port, new.server.port),
        "admin.host": (old.admin.host, new.admin.host),
        "admin.port": (old.admin.port, new.admin.port),
        "rate_limit.max_memory": (old.rate_limit.max_memory, new.rate_limit.max_memory),
    }
    return [key for key, (before, after) in pairs.items() if before != after]


if TYPE_CHECKING:
    _guard: type[WorkerFactory] = GatewayFactory
