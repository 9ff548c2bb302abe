"""Pending results, and coroutines stepped by a runner or by asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from api_gateway.waiting import Pending, Runner


class Ends:
    """Remembers how a runner ended."""

    def __init__(self) -> None:
        self.ends: list[tuple[Any, BaseException | None]] = []

    def __call__(self, value: Any, error: BaseException | None) -> None:
        self.ends.append((value, error))


def run(coroutine: Coroutine[Any, None, Any]) -> tuple[Runner, Ends]:
    """Start a coroutine."""
    ends = Ends()
    runner = Runner(coroutine, ends)
    runner.start()
    return runner, ends


async def wait_for(pending: Pending[Any]) -> Any:
    """Wait once."""
    return await pending


def test_a_coroutine_that_never_waits_ends_at_once() -> None:
    """No loop is needed."""

    async def answer() -> int:
        return 7

    assert run(answer())[1].ends == [(7, None)]


def test_resumes_inside_resolve() -> None:
    """The waiter runs before `resolve` returns."""
    pending: Pending[int] = Pending()
    _, ends = run(wait_for(pending))
    assert ends.ends == []
    pending.resolve(3)
    assert ends.ends == [(3, None)]


def test_errors_come_out_where_they_are_awaited() -> None:
    """`fail` raises in the coroutine."""
    pending: Pending[int] = Pending()
    _, ends = run(wait_for(pending))
    error = ValueError("no")
    pending.fail(error)
    assert ends.ends == [(None, error)]


def test_only_the_first_result_counts() -> None:
    """Late answers change nothing."""
    pending: Pending[int] = Pending()
    pending.resolve(1)
    pending.resolve(2)
    pending.fail(ValueError())
    assert pending.result() == 1


def test_cancel_reaches_the_work_behind() -> None:
    """Cancelling the runner cancels what is awaited, once."""
    cancelled = []

    class Work(Pending[int]):
        __slots__ = ()

        def _cancelled(self) -> None:
            cancelled.append(self)

    work = Work()
    runner, ends = run(wait_for(work))
    runner.cancel()
    runner.cancel()
    assert cancelled == [work]
    assert len(ends.ends) == 1
    assert isinstance(ends.ends[0][1], asyncio.CancelledError)
    assert work.cancelled()
    work.resolve(1)
    assert len(ends.ends) == 1


def test_cancel_after_the_end_does_nothing() -> None:
    """A runner that has ended cannot be cancelled."""
    pending: Pending[int] = Pending()
    runner, ends = run(wait_for(pending))
    pending.resolve(1)
    runner.cancel()
    assert ends.ends == [(1, None)]


def test_cleanup_may_wait_again() -> None:
    """A `finally` that awaits is stepped too."""
    first: Pending[None] = Pending()
    second: Pending[None] = Pending()

    async def careful() -> str:
        try:
            await first
        finally:
            await second
        return "unreachable"

    runner, ends = run(careful())
    runner.cancel()
    assert ends.ends == []
    second.resolve(None)
    assert isinstance(ends.ends[0][1], asyncio.CancelledError)


async def test_a_task_may_await_a_pending() -> None:
    """The plain path: asyncio.Task gives the same results as the runner."""
    pending: Pending[int] = Pending()
    task = asyncio.get_running_loop().create_task(wait_for(pending))
    await asyncio.sleep(0)
    pending.resolve(5)
    assert await task == 5


async def test_a_cancelled_task_cancels_the_pending() -> None:
    """The plain path of cancelling."""
    pending: Pending[int] = Pending()
    task = asyncio.get_running_loop().create_task(wait_for(pending))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pending.cancelled()


async def test_a_runner_may_await_futures_and_turns_of_the_loop() -> None:
    """Slow paths use asyncio as always."""
    future = asyncio.get_running_loop().create_future()

    async def slow() -> int:
        await asyncio.sleep(0)
        return int(await future) + 1

    _, ends = run(slow())
    future.set_result(1)
    await future
    await asyncio.sleep(0)
    assert ends.ends == [(2, None)]


async def test_a_cancelled_runner_leaves_a_shared_future_alone() -> None:
    """Others may wait for the same future."""
    future = asyncio.get_running_loop().create_future()

    async def slow() -> None:
        await asyncio.shield(future)

    runner, ends = run(slow())
    runner.cancel()
    assert isinstance(ends.ends[0][1], asyncio.CancelledError)
    assert not future.cancelled()
    future.set_result(None)
