"""Results that come later, and the driver of coroutines that wait for them.

A request is one coroutine. It is stepped by a `Runner` instead of an `asyncio.Task`, because most requests wait exactly
once, for a backend: a task costs 3.4 us to create and two turns of the loop to resume, a runner 0.6 us and none. The
same coroutines run under an `asyncio.Task` too: everything they may await, `Pending` included, keeps asyncio's protocol
for futures (`asyncio.isfuture`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Pending(Generic[T]):
    """One result that is not there yet. Set it once with `resolve` or `fail`; what comes later is ignored.

    `cancel` is called when the coroutine that awaits it is cancelled; subclasses stop the work behind it in
    `_cancelled`.
    """

    __slots__ = ("_asyncio_future_blocking", "_error", "_is_done", "_on_done", "_value")

    def __init__(self) -> None:
        self._asyncio_future_blocking = False
        self._is_done = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._on_done: Callable[[Any], object] | None = None

    def resolve(self, value: T) -> None:
        """Set the value and resume who waits, before returning."""
        if self._is_done:
            return
        self._value = value
        self._finish()

    def fail(self, error: BaseException) -> None:
        """Set an error and resume who waits, before returning."""
        if self._is_done:
            return
        self._error = error
        self._finish()

    def _finish(self) -> None:
        self._is_done = True
        on_done = self._on_done
        if on_done is not None:
            # Who waits is not held any longer: it holds this result, and cycles are work for the garbage collector.
            self._on_done = None
            on_done(self)

    def done(self) -> bool:
        """Whether there is a result."""
        return self._is_done

    def result(self) -> T:
        """Return the value or raise the error. Only to be called when done."""
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # None is a T when T says so: resolve() took it

    def cancel(self, msg: object = None) -> bool:
        """Give the result up: `_cancelled` stops the work, who waits gets `CancelledError`."""
        if self._is_done:
            return False
        self._cancelled()
        self.fail(asyncio.CancelledError())
        return True

    def cancelled(self) -> bool:
        """Whether it was given up."""
        return isinstance(self._error, asyncio.CancelledError)

    def exception(self) -> BaseException | None:
        """Return the error, None when there is a value."""
        return self._error

    def _cancelled(self) -> None:
        """Stop the work behind it."""

    def __await__(self) -> Generator[Any, None, T]:
        if not self._is_done:
            self._asyncio_future_blocking = True
            try:
                yield self
            except BaseException:
                self.cancel()
                raise
        return self.result()

    # What asyncio.Task asks of a future

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop."""
        return asyncio.get_running_loop()

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context | None = None) -> None:
        """Call `callback` through the loop when there is a result, as asyncio futures do. One waiter only."""
        loop = asyncio.get_running_loop()
        self.on_done(lambda _: loop.call_soon(callback, self, context=context))

    def remove_done_callback(self, callback: Callable[[Any], object]) -> int:
        """Forget the waiter."""
        self._on_done = None
        return 1

    def on_done(self, callback: Callable[[Any], object]) -> None:
        """Call `callback(self)` at the moment of the result, inside `resolve`. At once when it is there already."""
        if self._is_done:
            callback(self)
        else:
            self._on_done = callback


class Runner:
    """Steps one coroutine from wait to wait until it returns.

    `on_end(value, error)` is called exactly once, with the returned value or the exception that left the coroutine.
    """

    __slots__ = ("_coroutine", "_is_running", "_on_end", "_waiting")

    def __init__(
        self, coroutine: Coroutine[Any, None, Any], on_end: Callable[[Any, BaseException | None], None]
    ) -> None:
        self._coroutine = coroutine
        self._on_end = on_end
        self._waiting: Any = None
        self._is_running = False

    def start(self) -> None:
        """Run to the first wait, or to the end if there is none."""
        self._step(None)

    def cancel(self) -> None:
        """Raise `CancelledError` where the coroutine waits. Nothing happens once it has ended."""
        waiting = self._waiting
        if waiting is None:
            return
        self._waiting = None
        if isinstance(waiting, Pending):
            waiting.on_done(_ignore)
        else:
            waiting.remove_done_callback(self._resume)
        self._throw(asyncio.CancelledError())

    def _resume(self, waiting: Any) -> None:
        if waiting is self._waiting:
            self._waiting = None
            self._step(None)

    def _step(self, value: None) -> None:
        try:
            waiting = self._coroutine.send(value)
        except StopIteration as stop:
            self._on_end(stop.value, None)
            return
        except BaseException as error:  # handed on whole: the owner decides what it means
            self._on_end(None, error)
            return
        self._wait_for(waiting)

    def _throw(self, error: BaseException) -> None:
        try:
            waiting = self._coroutine.throw(error)
        except StopIteration as stop:
            self._on_end(stop.value, None)
            return
        except BaseException as raised:  # as in _step
            self._on_end(None, raised)
            return
        self._wait_for(waiting)

    def _wait_for(self, waiting: Any) -> None:
        self._waiting = waiting
        if waiting is None:
            # A bare yield, as asyncio.sleep(0) does: go on in the loop's next turn.
            self._waiting = handle = _Turn()
            asyncio.get_running_loop().call_soon(handle.resolve, None)
            handle.on_done(self._resume)
            return
        waiting._asyncio_future_blocking = False
        if isinstance(waiting, Pending):
            waiting.on_done(self._resume)
        else:
            waiting.add_done_callback(self._resume)


class _Turn(Pending[None]):
    """One turn of the loop."""

    __slots__ = ()


def _ignore(_: object) -> None:
    """Take a result nobody waits for any more."""
