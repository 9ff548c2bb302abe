"""One serving process: started, asked to stop, asked again."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence

import pytest
import uvloop

from api_gateway.edge.process import EXIT_FAILED, EXIT_OK, Serving, Signals, run_process

TOUCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in TOUCHED}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class FakeServing:
    """A gateway that serves nothing. `stopping` says how long it takes to stop."""

    def __init__(self, *, is_stopping_long: bool = False, error: Exception | None = None) -> None:
        self.events: list[str] = []
        self._is_stopping_long = is_stopping_long
        self._error = error

    async def start(self, listeners: Sequence[socket.socket]) -> None:
        """Begin."""
        assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
        self.events.append(f"started with {len(listeners)} listeners")

    async def stop(self) -> bool:
        """Drain."""
        self.events.append("stopping")
        if self._is_stopping_long:
            try:
                await asyncio.Event().wait()
            finally:
                self.events.append("stop cancelled")
        if self._error is not None:
            raise self._error
        self.events.append("stopped")
        return True


def run(serving: FakeServing, *asks: Callable[[Signals], object]) -> int:
    """Run a process and, once it has started, let each of `asks` happen in a turn of the loop of its own."""
    signals: list[Signals] = []

    async def started(_: Serving) -> None:
        for ask in asks:
            ask(signals[0])
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    return run_process(lambda: serving, (), on_started=started, on_loop=lambda loop, seen: signals.append(seen))


def sent(number: signal.Signals) -> Callable[[Signals], object]:
    return lambda _: os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=["SIGTERM", "SIGINT", "SIGHUP"])
def test_first_signal_drains(number: signal.Signals) -> None:
    """C12."""
    serving = FakeServing()
    assert run(serving, sent(number)) == EXIT_OK
    assert serving.events == ["started with 0 listeners", "stopping", "stopped"]


def test_second_signal_ends_the_process_at_once() -> None:
    """D5."""
    serving = FakeServing(is_stopping_long=True)

    def insist_later(signals: Signals) -> None:
        # `started` is cancelled by the first request, so that the second comes from the loop.
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, signals.ask)
        signals.ask()

    assert run(serving, insist_later) == EXIT_FAILED
    assert serving.events == ["started with 0 listeners", "stopping", "stop cancelled"]


def test_sigquit_waits_for_nothing() -> None:
    serving = FakeServing(is_stopping_long=True)
    assert run(serving, sent(signal.SIGQUIT)) == EXIT_FAILED


def test_signals_that_come_before_the_start_has_ended_count() -> None:
    serving = FakeServing()
    code = run_process(lambda: serving, (), on_loop=lambda loop, signals: signals.ask())
    assert code == EXIT_OK
    assert serving.events == ["started with 0 listeners", "stopping", "stopped"]


def test_what_runs_beside_the_serving_is_cancelled_with_it() -> None:
    serving = FakeServing()

    async def beside(_: Serving) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.Event().wait()
        finally:
            serving.events.append("beside cancelled")

    assert run_process(lambda: serving, (), on_started=beside) == EXIT_OK
    assert "beside cancelled" in serving.events


def test_failure_to_stop_is_told() -> None:
    with pytest.raises(RuntimeError, match="cannot stop"):
        run(FakeServing(error=RuntimeError("cannot stop")), sent(signal.SIGTERM))


def test_failure_beside_the_serving_is_told() -> None:
    async def broken(_: Serving) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise RuntimeError("beside")

    with pytest.raises(RuntimeError, match="beside"):
        run_process(FakeServing, (), on_started=broken)


def test_failure_to_start_is_told() -> None:
    class Broken(FakeServing):
        async def start(self, listeners: Sequence[socket.socket]) -> None:
            raise OSError("cannot start")

    with pytest.raises(OSError, match="cannot start"):
        run_process(Broken, ())


async def test_asking_twice_insists() -> None:
    signals = Signals(asyncio.get_running_loop())
    signals.ask()
    assert (signals.first.is_set(), signals.second.is_set()) == (True, False)
    signals.ask()
    assert signals.second.is_set()


def test_a_late_signal_does_not_turn_a_clean_exit_into_a_death() -> None:
    run(FakeServing(), sent(signal.SIGTERM))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        os.kill(os.getpid(), number)


def test_log_rotation_does_not_kill() -> None:
    """SIGUSR1 means "open your files again" to many servers, and death by default."""
    serving = FakeServing()
    assert run(serving, sent(signal.SIGUSR1), sent(signal.SIGTERM)) == EXIT_OK
    assert serving.events[-1] == "stopped"
