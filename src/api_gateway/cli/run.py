"""`api-gateway run`: serve."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..app import Shared
from ..config.loader import LoadedSettings, load_settings
from ..config.problem import ConfigError
from ..config.settings import Settings
from ..edge.process import run_process
from ..edge.worker import Supervisor
from ..inspection import inspect_settings
from ..state.directory import RuntimeDirectory
from ..state.local import LocalStoreFile
from ..state.store import StoreError
from ..telemetry.log import configure_logging
from ..telemetry.log_writer import LogWriter
from ..telemetry.metrics import prepare_metrics_directory
from .listening import ListenError, open_listeners
from .screen import Screen
from .worker_factory import GatewayFactory, ServingPlan

STATE_RESERVE_BYTES = 1024 * 1024
"""Room in the shared state for breakers, beside the limiter's windows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How `run` was called, so that SIGHUP can read the configuration again in the same way."""

    config: Path | None = None
    backends: Sequence[str] = ()
    workers: int | None = None
    host: str | None = None
    port: int | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def load(self) -> LoadedSettings:
        """Read the configuration; the command line wins over it. Raises ConfigError."""
        loaded = inspect_settings(load_settings(self.config, environ=self.environ, backends=self.backends))
        changes: dict[str, Any] = {
            name: value
            for name, value in (("workers", self.workers), ("host", self.host), ("port", self.port))
            if value is not None
        }
        server = loaded.settings.server.model_copy(update=changes)
        return replace(loaded, settings=loaded.settings.model_copy(update={"server": server}))


def run_gateway(screen: Screen, launch: Launch) -> int:
    """Serve until a signal comes; return the exit code."""
    try:
        loaded = launch.load()
    except ConfigError as error:
        screen.problems(error.problems)
        return 1
    screen.warnings(loaded.warnings)
    return serve(screen, ServingPlan(settings=loaded.settings, origin=loaded.origin, load=launch.load))


def serve(screen: Screen, plan: ServingPlan) -> int:
    """Serve these settings; return the exit code."""
    try:
        directory = RuntimeDirectory.create()
    except OSError as error:
        screen.fail(f"no directory for temporary files: {error}; name one that can be written in TMPDIR")
        return 1
    try:
        return _serve_in(screen, plan, directory.path)
    finally:
        directory.remove()


def _serve_in(screen: Screen, plan: ServingPlan, directory: Path) -> int:
    try:
        shared = _share(plan.settings, directory)
    except (StoreError, OSError) as error:
        screen.fail(
            f"the shared state cannot be created in {directory}: {error}; "
            "make room there, name another place in TMPDIR, or lower rate_limit.max_memory"
        )
        return 1
    try:
        return _serve_shared(screen, plan, shared, directory)
    finally:
        shared.writer.close()
        if shared.state is not None:
            shared.state.close()


def _share(settings: Settings, directory: Path) -> Shared:
    metrics = directory / "metrics"
    prepare_metrics_directory(metrics)
    return Shared(
        settings=settings,
        state=_share_state(settings, directory / "state") if settings.server.workers > 1 else None,
        metrics_directory=metrics,
        writer=LogWriter(is_threaded=False, is_shared=settings.server.workers > 1),
    )


def _share_state(settings: Settings, directory: Path) -> LocalStoreFile:
    directory.mkdir()
    return LocalStoreFile(directory, max_memory_bytes=int(settings.rate_limit.max_memory) + STATE_RESERVE_BYTES)


def _serve_shared(screen: Screen, plan: ServingPlan, shared: Shared, directory: Path) -> int:
    settings = plan.settings
    try:
        listeners = open_listeners(settings, os.environ)
    except ListenError as error:
        screen.fail(str(error))
        return 1
    factory = GatewayFactory(screen, shared, plan, listeners)
    if settings.server.workers == 1:
        return _serve_alone(factory, listeners)
    configure_logging(shared.writer, level=settings.log.level, levels=settings.log.levels)
    supervisor = Supervisor(factory, listeners=listeners, directory=directory)
    try:
        supervisor.run()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _serve_alone(factory: GatewayFactory, listeners: list[socket.socket]) -> int:
    with ExitStack() as closing:
        for listener in listeners:
            closing.enter_context(listener)
        factory.forked()
        return run_process(
            factory.make,
            listeners,
            on_started=lambda serving: factory.started(serving, 1),
            on_loop=factory.attend_alone,
        )
