"""Several worker processes under gunicorn's arbiter: prefork, heartbeat, respawn, HUP reload, TTIN and TTOU.

gunicorn has no types; what is used of it is named here and nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from pathlib import Path
from typing import Any, Final, Protocol

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from .process import Serving, Signals, run_process

HEARTBEAT_S: Final = 1.0
"""Time between two signs of life to the arbiter, and between two looks whether it is still there."""
HANG_TIMEOUT_S: Final = 30
"""A worker without a sign of life for so long is killed and replaced."""
STOP_MARGIN_S: Final = 5
"""What a worker gets beyond its drain timeout to close everything."""


class WorkerFactory(Protocol):
    """What a supervised gateway is made of."""

    def make(self) -> Serving:
        """Return a gateway. Called in each worker, inside its loop."""

    async def started(self, serving: Serving, age: int) -> None:
        """Called in each worker when it serves; `age` counts all workers ever started, from 1."""

    def forked(self) -> None:
        """Called first in each worker."""

    def ended(self, pid: int) -> None:
        """Called in the arbiter when a worker is gone."""

    def reload(self) -> bool:
        """Read the configuration again (SIGHUP). False keeps the old workers: it was wrong, and has been reported."""


class GatewayWorker(Worker):  # type: ignore[misc]  # gunicorn has no types
    """One worker process."""

    def init_signals(self) -> None:
        """Take all of gunicorn's defaults back; the loop installs ours."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        # Ctrl-C reaches the whole process group; the arbiter decides what it means and tells the workers by SIGTERM.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def run(self) -> None:
        """Serve until told to stop."""
        factory: WorkerFactory = self.app.factory
        factory.forked()
        listeners: list[socket.socket] = [listener.sock for listener in self.sockets]

        async def started(serving: Serving) -> None:
            await factory.started(serving, self.age)

        raise SystemExit(run_process(factory.make, listeners, on_started=started, on_loop=self._attend))

    def _attend(self, loop: asyncio.AbstractEventLoop, signals: Signals) -> None:
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

        def beat() -> None:
            self.notify()
            if os.getppid() != self.ppid:
                # The arbiter is gone: nobody would replace or stop this worker.
                signals.ask()
                return
            loop.call_later(HEARTBEAT_S, beat)

        beat()


class GatewayArbiter(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's arbiter, with SIGINT as a request to drain and a second signal as one to end at once."""

    _is_ending = False

    def signal(self, sig: int, frame: object) -> None:
        """Queue a signal."""
        if sig in (signal.SIGTERM, signal.SIGINT):
            sig = signal.SIGQUIT if self._is_ending else sig
            self._is_ending = True
        super().signal(sig, frame)

    def handle_int(self) -> None:
        """Drain, as SIGTERM does."""
        raise StopIteration

    def reload(self) -> None:
        """Replace the workers, unless the configuration is wrong."""
        if self.app.factory.reload():
            super().reload()


class ArbiterLog(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's own messages, sent into our log."""

    def setup(self, cfg: Any) -> None:
        """Hand everything to the root logger."""
        self.cfg = cfg
        self.loglevel = logging.INFO
        self._access_log_enabled = False
        self.error_log = logging.getLogger("api_gateway.arbiter")
        self.error_log.setLevel(logging.INFO)

    def close_on_exec(self) -> None:
        """Nothing is open."""

    def reopen_files(self) -> None:
        """Nothing is open."""


class Supervisor(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """Runs `workers` processes until a signal comes. `run` ends by SystemExit with the exit code."""

    def __init__(
        self,
        factory: WorkerFactory,
        *,
        address: str,
        workers: int,
        stop_timeout_s: float,
        directory: Path,
    ) -> None:
        """`address` is `host:port`; `directory` is for the heartbeat files."""
        self.factory = factory
        self._options = {
            "bind": address,
            "workers": workers,
            "worker_class": GatewayWorker,
            "logger_class": ArbiterLog,
            "timeout": HANG_TIMEOUT_S,
            "graceful_timeout": int(stop_timeout_s) + STOP_MARGIN_S,
            "worker_tmp_dir": str(directory),
            "control_socket_disable": True,
            "proc_name": "api-gateway",
            "backlog": 2048,
            "child_exit": lambda arbiter, worker: factory.ended(worker.pid),
        }
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn's settings."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> WorkerFactory:
        """Return what workers serve."""
        return self.factory

    def run(self) -> None:
        """Serve."""
        GatewayArbiter(self).run()
