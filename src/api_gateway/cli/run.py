"""`api-gateway run`: serve."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..app import Gateway, Shared
from ..config.loader import LoadedSettings, load_settings
from ..config.problem import ConfigError
from ..config.settings import Settings
from ..edge.process import Serving, run_process
from ..edge.server import listen
from ..edge.worker import Supervisor
from ..state.directory import RuntimeDirectory
from ..state.local import LocalStoreFile
from ..state.store import StoreError
from ..telemetry.log import configure_logging, get_logger
from ..telemetry.log_writer import LogWriter
from ..telemetry.metrics import mark_worker_dead, prepare_metrics_directory
from .screen import Screen
from .start_screen import show_discovery, show_listening

_log = get_logger("api_gateway.app")

STATE_RESERVE_BYTES = 1024 * 1024
"""Room in the shared state for breakers, beside the limiter's windows."""


@dataclass(slots=True, kw_only=True)
class Launch:
    """How `run` was called, so that SIGHUP can read the configuration again in the same way."""

    config: Path | None
    backends: Sequence[str]
    workers: int | None = None
    host: str | None = None
    port: int | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def load(self) -> LoadedSettings:
        """Read the configuration; the command line wins over it. Raises ConfigError."""
        loaded = load_settings(self.config, environ=self.environ, backends=self.backends)
        changes: dict[str, Any] = {
            name: value
            for name, value in (("workers", self.workers), ("host", self.host), ("port", self.port))
            if value is not None
        }
        server = loaded.settings.server.model_copy(update=changes)
        return LoadedSettings(loaded.settings.model_copy(update={"server": server}), loaded.origin)


def run_gateway(
    screen: Screen,
    *,
    config: Path | None,
    backends: Sequence[str],
    workers: int | None,
    host: str | None,
    port: int | None,
) -> int:
    """Serve until a signal comes; return the exit code."""
    launch = Launch(config=config, backends=backends, workers=workers, host=host, port=port)
    try:
        loaded = launch.load()
    except ConfigError as error:
        screen.problems(error.problems)
        return 1
    return serve(screen, loaded.settings, origin=loaded.origin, launch=launch)


def serve(screen: Screen, settings: Settings, *, origin: str, launch: Launch | None = None) -> int:
    """Serve these settings; return the exit code. Without `launch`, SIGHUP keeps them."""
    directory = RuntimeDirectory.create()
    try:
        shared = _share(settings, directory.path)
    except (StoreError, OSError) as error:
        screen.fail(f"the shared state cannot be created in {directory.path}: {error}")
        directory.remove()
        return 1
    try:
        return _serve(screen, shared, directory.path, origin, launch)
    finally:
        shared.state.close()
        directory.remove()


def _share(settings: Settings, directory: Path) -> Shared:
    state = directory / "state"
    state.mkdir()
    metrics = directory / "metrics"
    prepare_metrics_directory(metrics)
    return Shared(
        settings=settings,
        state=LocalStoreFile(state, max_memory_bytes=int(settings.rate_limit.max_memory) + STATE_RESERVE_BYTES),
        metrics_directory=metrics,
        writer=LogWriter(is_threaded=False, is_shared=settings.server.workers > 1),
    )


def _serve(screen: Screen, shared: Shared, directory: Path, origin: str, launch: Launch | None) -> int:
    settings = shared.settings
    server = settings.server
    try:
        listener = listen(server.host, server.port)
    except OSError as error:
        screen.fail(
            f"cannot listen on {server.host}:{server.port}: {error.strerror or error}; "
            "choose another one with --port or server.port"
        )
        return 1
    workers = _Workers(screen, shared, origin, launch, listener)
    if server.workers == 1:
        with listener:
            workers.forked()
            return run_process(workers.make, [listener], on_started=lambda serving: workers.started(serving, 1))
    configure_logging(shared.writer, level=settings.log.level)
    address = "fd://%d" % listener.fileno()
    supervisor = Supervisor(
        workers,
        address=address,
        workers=server.workers,
        stop_timeout_s=(server.drain_timeout_ms + server.shutdown_delay_ms) / 1000,
        directory=directory,
    )
    try:
        supervisor.run()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


class _Workers:
    """Makes gateways for `edge.worker.Supervisor`, and for the one process without it."""

    def __init__(
        self, screen: Screen, shared: Shared, origin: str, launch: Launch | None, listener: socket.socket
    ) -> None:
        self._screen = screen
        self._shared = shared
        self._origin = origin
        self._launch = launch
        self._address = listener.getsockname()

    def forked(self) -> None:
        """Let log lines go through a thread from now on: this process will not fork."""
        self._shared.writer.is_threaded = True

    def make(self) -> Serving:
        """Return a gateway."""
        return Gateway(self._shared)

    async def started(self, serving: Serving, age: int) -> None:
        """Have the first worker tell people what is going on."""
        if age != 1:
            return
        assert isinstance(serving, Gateway)
        show_listening(self._screen, self._shared.settings, self._origin, self._address)
        await show_discovery(self._screen, self._shared.settings, serving)

    def ended(self, pid: int) -> None:
        """Keep the counts of a worker that is gone."""
        mark_worker_dead(self._shared.metrics_directory, pid)

    def reload(self) -> bool:
        """Read the configuration again; workers started from now on use it."""
        if self._launch is None:
            return True
        try:
            loaded = self._launch.load()
        except ConfigError as error:
            for problem in error.problems:
                _log.error("configuration not reloaded", problem=str(problem))
            return False
        self._shared = Shared(
            settings=loaded.settings,
            state=self._shared.state,
            metrics_directory=self._shared.metrics_directory,
            writer=self._shared.writer,
        )
        _log.info("configuration reloaded", origin=loaded.origin)
        return True
