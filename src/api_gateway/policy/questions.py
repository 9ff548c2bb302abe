"""Questions to other services, each asked once however many requests wait for the answer.

A question runs in a task of its own, so that a request that goes away takes only its own waiting with it.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ..model.message import HeaderList
from ..model.trace import Trace
from .refusal import Reason, Refused

A = TypeVar("A")
Question = Callable[[], Awaitable[A]]
"""Asks; returns the answer or raises Refused. It must end by itself within the time its owner allows."""
Clock = Callable[[], float]
"""Monotonic time, in seconds."""


@dataclass(frozen=True, slots=True)
class Asker:
    """The request that a question is asked for; of many that wait for one answer, the first."""

    deadline_s: float
    """When it waits no longer."""
    now_s: float
    metadata: HeaderList = field(default_factory=list)
    """What those who are asked learn of it: its ids."""
    trace: Trace | None = None
    """Its recording; None when its spans are not exported."""


def loop_time() -> float:
    """Return the running loop's time, which is what deadlines are told in."""
    return asyncio.get_running_loop().time()


class Questions(Generic[A]):
    """The open questions of one kind, at most `max_open` at a time. The owner calls `aclose`."""

    def __init__(self, *, max_open: int) -> None:
        self._max_open = max_open
        self._waiters: dict[Hashable, set[asyncio.Future[A | Exception]]] = {}
        self._tasks: set[asyncio.Task[A | Exception]] = set()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._waiters)

    def begin(self, key: Hashable, question: Question[A]) -> None:
        """See that a question is being asked, without waiting for its answer.

        Raises Refused(OVERLOADED) when too many are open, or none are asked any more.
        """
        if key in self._waiters:
            return
        if self._is_closed:
            raise Refused(Reason.OVERLOADED, "shutting down")
        if len(self._waiters) >= self._max_open:
            raise Refused(Reason.OVERLOADED, f"{self._max_open} questions are open")
        self._waiters[key] = set()
        task = asyncio.get_running_loop().create_task(_answer(question))
        self._tasks.add(task)
        # Not a `finally` in the task: one that is cancelled before its first step never gets there.
        task.add_done_callback(functools.partial(self._settle, key))

    async def ask(self, key: Hashable, question: Question[A], deadline_s: float | None) -> A:
        """Return the answer to a question, joining those who wait for it already.

        Raises what the question raised, Refused(DEADLINE) when `deadline_s` (monotonic; None: never) comes first,
        Refused(OVERLOADED) as `begin`. Cancelling one who waits cancels nothing else.
        """
        self.begin(key, question)
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[A | Exception] = loop.create_future()
        waiters = self._waiters[key]
        waiters.add(waiter)
        timer = None if deadline_s is None else loop.call_at(deadline_s, _set, waiter, Refused(Reason.DEADLINE))
        try:
            answer = await waiter
        finally:
            if timer is not None:
                timer.cancel()
            waiters.discard(waiter)
        if isinstance(answer, Refused):
            # A copy: one exception raised in many requests would collect all their tracebacks.
            raise Refused(answer.reason, str(answer))
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def aclose(self) -> None:
        """Give up all open questions; who waits gets Refused(OVERLOADED)."""
        self._is_closed = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _settle(self, key: Hashable, task: asyncio.Task[A | Exception]) -> None:
        self._tasks.discard(task)
        answer = Refused(Reason.OVERLOADED, "shutting down") if task.cancelled() else task.result()
        for waiter in self._waiters.pop(key):
            _set(waiter, answer)


async def _answer(question: Question[A]) -> A | Exception:
    try:
        return await question()
    except Exception as error:  # noqa: BLE001, RUF100  # those who wait raise it, each for its own request
        return error


def _set(waiter: asyncio.Future[A | Exception], answer: A | Exception) -> None:
    # As a result even when it is an error: an exception that nobody picks up would be reported as lost.
    if not waiter.done():
        waiter.set_result(answer)
