"""Several worker processes under gunicorn's arbiter: prefork, heartbeat, respawn, reload, upgrade in place.

Signals to the arbiter: TERM and INT drain, a second one or QUIT ends at once; HUP reloads; USR2 starts a second arbiter
from the files on disk, on the same listener; TTIN and TTOU add and take a worker.

gunicorn has no types; what is used of it is named here and nowhere else.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from gunicorn import sock
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from ..telemetry.log import get_logger
from .process import EXIT_FAILED, Serving, Signals, run_process

_log = get_logger("api_gateway.arbiter")

HEARTBEAT_S: Final = 1.0
"""Time between two signs of life to the arbiter, and between two looks whether it is still there."""
HANG_TIMEOUT_S: Final = 30
"""A worker without a sign of life for so long is killed and replaced."""
STOP_MARGIN_S: Final = 5
"""What a worker gets beyond its drain timeout to close everything."""
STABLE_S: Final = 30.0
"""A worker that dies younger than this counts as a crash loop if the one before did, too."""
MAX_RESPAWN_PAUSE_S: Final = 30.0

_HELD_BACK: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class WorkerFactory(Protocol):
    """What a supervised gateway is made of."""

    @property
    def workers(self) -> int:
        """How many workers there shall be. Read at start and after each reload."""

    @property
    def stop_timeout_s(self) -> float:
        """How long a worker may take to drain. Read at start and after each reload."""

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


class RespawnPause:
    """How long to wait before workers that keep dying are replaced: not at all at first, then ever longer."""

    def __init__(self) -> None:
        self._deaths = 0
        self._until_s = 0.0

    def worker_died(self, lived_s: float, now_s: float) -> float:
        """Take note of a worker that nobody had dismissed; return how long to wait, in seconds."""
        self._deaths = self._deaths + 1 if lived_s < STABLE_S else 0
        if self._deaths <= 1:
            return 0.0
        pause_s = min(0.5 * 2.0 ** (self._deaths - 2), MAX_RESPAWN_PAUSE_S)
        self._until_s = now_s + pause_s
        return pause_s

    def is_over(self, now_s: float) -> bool:
        """Whether a worker may be started now."""
        return now_s >= self._until_s


class GatewayWorker(Worker):  # type: ignore[misc]  # gunicorn has no types
    """One worker process."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.born_s = time.monotonic()
        self.is_dismissed = False
        """Whether the arbiter told it to end."""

    def init_signals(self) -> None:
        """Take all of gunicorn's handlers back; the loop installs ours."""
        for number in self.SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        # These are for the arbiter, which decides what they mean. Ctrl-C and a lost terminal reach the whole group.
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        # The arbiter ends a worker that hangs by SIGABRT: then standard error says where.
        faulthandler.enable()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK)

    def run(self) -> None:
        """Serve until told to stop."""
        factory: WorkerFactory = self.app.factory
        factory.forked()
        listeners: list[socket.socket] = [listener.sock for listener in self.sockets]

        async def started(serving: Serving) -> None:
            await factory.started(serving, self.age)

        raise SystemExit(run_process(factory.make, listeners, on_started=started, on_loop=self._attend))

    def _attend(self, loop: asyncio.AbstractEventLoop, signals: Signals) -> None:
        for number in (signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
        # The arbiter repeats SIGTERM every second while there are too many workers. Only SIGQUIT means "at once".
        loop.add_signal_handler(signal.SIGTERM, signals.first.set)

        def beat() -> None:
            self.notify()
            if os.getppid() != self.ppid:
                # The arbiter is gone: nobody would replace or stop this worker.
                signals.first.set()
                return
            loop.call_later(HEARTBEAT_S, beat)

        beat()


class GatewayArbiter(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's arbiter, with SIGINT as a request to drain and a second signal as one to end at once."""

    LISTENERS: list[Any]

    def __init__(self, app: Supervisor) -> None:
        super().__init__(app)
        self._is_ending = False
        self._is_urgent = False
        self._is_reloading = False
        self._pause = RespawnPause()
        # gunicorn would run the file that `python -m` found, as a script without its package.
        self.START_CTX["args"] = [sys.executable, *sys.orig_argv[1:]]

    # Start and end

    def start(self) -> None:
        """Take the listener over before gunicorn looks for one."""
        if not self.LISTENERS:
            self.LISTENERS = sock.create_sockets(self.cfg, self.log)
        super().start()

    def signal(self, sig: int, frame: object) -> None:
        """Queue a signal."""
        if sig in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            self._is_urgent = self._is_ending or sig == signal.SIGQUIT
            self._is_ending = True
            sig = signal.SIGQUIT if self._is_urgent else sig
        super().signal(sig, frame)

    def handle_int(self) -> None:
        """Drain, as SIGTERM does."""
        raise StopIteration

    def stop(self, graceful: bool = True) -> None:
        """Stop all workers and wait for them."""
        # Two signals at once are taken from the queue together, and gunicorn acts on the first.
        super().stop(graceful and not self._is_urgent)

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """Stop everything and exit: with 1 if requests may have been cut off by impatience."""
        try:
            super().halt(reason, exit_status)
        finally:
            # Only now it is known: the second signal may have come while the workers were draining.
            if self._is_urgent and not exit_status:
                raise SystemExit(EXIT_FAILED) from None

    # Workers

    def spawn_worker(self) -> Any:
        """Fork a worker; one that cannot be (no process, no room for its heartbeat's file) is tried again later.

        Until its own handlers are there, signals to it wait: those it inherits would lose them.
        """
        if self.cfg.worker_tmp_dir is not None and not Path(self.cfg.worker_tmp_dir).is_dir():
            # Somebody has removed the runtime directory. gunicorn ends when it misses it.
            _log.error("runtime directory is gone: restart the gateway", directory=self.cfg.worker_tmp_dir)
            self.cfg.set("worker_tmp_dir", None)
        mask = os.umask(0o077)
        os.umask(mask)
        signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
        try:
            return super().spawn_worker()
        except OSError as error:
            pause_s = self._pause.worker_died(0.0, time.monotonic())
            _log.error("worker cannot be started", reason=str(error), tried_again_in_seconds=pause_s)
            return None
        finally:
            # gunicorn opens it for that file, and leaves it open when it cannot be made.
            os.umask(mask)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_BACK)

    def spawn_workers(self) -> None:
        """Start missing workers, unless they have been dying too fast: the main loop asks again within a second."""
        if self._pause.is_over(time.monotonic()):
            super().spawn_workers()

    def kill_worker(self, pid: int, sig: int) -> None:
        """Send a signal to a worker; whoever gets one is expected to end."""
        worker = self.WORKERS.get(pid)
        if worker is not None:
            worker.is_dismissed = True
        super().kill_worker(pid, sig)

    def worker_ended(self, worker: GatewayWorker) -> None:
        """Take note of the end of a worker."""
        if not worker.is_dismissed:
            now_s = time.monotonic()
            lived_s = now_s - worker.born_s
            pause_s = self._pause.worker_died(lived_s, now_s)
            _log.error("worker died", worker=worker.pid, lived_seconds=round(lived_s, 1), replaced_in_seconds=pause_s)
        self.app.factory.ended(worker.pid)

    # Reload

    def reload(self) -> None:
        """Replace the workers, unless the configuration is wrong."""
        if not self.app.factory.reload():
            return
        self._is_reloading = True
        try:
            super().reload()
        finally:
            self._is_reloading = False

    def reap_workers(self) -> None:
        """Take note of ended workers. A reload waits here for the old ones, and must not make a shutdown wait, too."""
        super().reap_workers()
        if self._is_reloading and self._is_ending:
            raise StopIteration


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
    """Runs the factory's workers until a signal comes. `run` ends by SystemExit with the exit code."""

    def __init__(self, factory: WorkerFactory, *, listeners: Sequence[socket.socket], directory: Path) -> None:
        """Take over listening sockets, which workers get in the same order; `directory` is for the heartbeat files."""
        self.factory = factory
        # gunicorn closes descriptors by their numbers: nobody else may believe to own these.
        self._options = {
            "bind": [f"fd://{listener.detach()}" for listener in listeners],
            "worker_class": GatewayWorker,
            "logger_class": ArbiterLog,
            "timeout": HANG_TIMEOUT_S,
            "worker_tmp_dir": str(directory),
            "control_socket_disable": True,
            "proc_name": "api-gateway",
            "child_exit": GatewayArbiter.worker_ended,
        }
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn's settings, at start and at each reload."""
        for name, value in self._options.items():
            self.cfg.set(name, value)
        self.cfg.set("workers", self.factory.workers)
        self.cfg.set("graceful_timeout", int(self.factory.stop_timeout_s) + STOP_MARGIN_S)

    def load(self) -> WorkerFactory:
        """Return what workers serve."""
        return self.factory

    def run(self) -> None:
        """Serve."""
        GatewayArbiter(self).run()


def inherited_listeners(environ: Mapping[str, str]) -> list[socket.socket]:
    """Return the listening sockets that an arbiter handed to its successor (SIGUSR2); none when this is none."""
    if environ.get("GUNICORN_PID") != str(os.getppid()) or not environ.get("GUNICORN_FD"):
        return []
    return [socket.socket(fileno=int(fd)) for fd in environ["GUNICORN_FD"].split(",")]
