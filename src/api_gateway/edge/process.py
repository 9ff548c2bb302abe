"""One serving process: starts a gateway in an event loop, waits for a signal, stops it.

The first SIGTERM, SIGINT or SIGHUP drains; a second one, or SIGQUIT, ends the process at once.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Protocol

import uvloop

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1

_ASKING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Serving(Protocol):
    """A gateway, as its process sees it."""

    async def start(self, listeners: Sequence[socket.socket]) -> None:
        """Begin to serve."""

    async def stop(self) -> bool:
        """Drain and close; return whether every request could finish."""


class Signals:
    """What signals have asked for, within one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.first = asyncio.Event()
        """Somebody wants the end: drain."""
        self.second = asyncio.Event()
        """Somebody wants it now."""
        for number in _ASKING:
            loop.add_signal_handler(number, self.ask)
        loop.add_signal_handler(signal.SIGQUIT, self.insist)
        # Programs that rotate logs send it to whoever writes one; its default is death.
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)

    def ask(self) -> None:
        """Ask for a drain; asking twice insists."""
        if self.first.is_set():
            self.second.set()
        self.first.set()

    def insist(self) -> None:
        """Ask for the end at once."""
        self.first.set()
        self.second.set()


def run_process(
    make: Callable[[], Serving],
    listeners: Sequence[socket.socket],
    *,
    on_started: Callable[[Serving], Coroutine[Any, Any, None]] | None = None,
    on_loop: Callable[[asyncio.AbstractEventLoop, Signals], None] | None = None,
) -> int:
    """Serve until a signal comes; return the exit code: 0 after a drain, also one that had to cut requests off.

    `make` is called inside the loop. `on_started` runs beside the serving and is cancelled with it; `on_loop` is told
    of the loop and may ask for the end. The process is about to end when this returns: signals that ask for it are
    ignored from then on.
    """
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(make, listeners, on_started, on_loop))
    finally:
        # The loop took its handlers with it. By default a late signal would turn a clean exit into a death.
        for number in (*_ASKING, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)


async def _serve(
    make: Callable[[], Serving],
    listeners: Sequence[socket.socket],
    on_started: Callable[[Serving], Coroutine[Any, Any, None]] | None,
    on_loop: Callable[[asyncio.AbstractEventLoop, Signals], None] | None,
) -> int:
    loop = asyncio.get_running_loop()
    signals = Signals(loop)
    if on_loop is not None:
        on_loop(loop, signals)
    serving = make()
    await serving.start(listeners)
    beside: list[asyncio.Task[None]] = []
    if on_started is not None:
        beside.append(loop.create_task(on_started(serving), name="started"))
    await signals.first.wait()
    for task in beside:
        task.cancel()
    stopping = loop.create_task(serving.stop(), name="stop")
    insisting = loop.create_task(signals.second.wait(), name="second signal")
    await asyncio.wait((stopping, insisting), return_when=asyncio.FIRST_COMPLETED)
    is_stopped = stopping.done()
    ending: list[asyncio.Task[Any]] = [*beside, stopping, insisting]
    for task in ending:
        task.cancel()
    for result in await asyncio.gather(*ending, return_exceptions=True):
        if isinstance(result, Exception):
            raise result
    return EXIT_OK if is_stopped else EXIT_FAILED
