"""One question, many who wait."""

from __future__ import annotations

import asyncio
import gc

import pytest

from api_gateway.policy.questions import Questions
from api_gateway.policy.refusal import Reason, Refused
from tests.support.auth_upstream import turns


class Oracle:
    """Answers when it is told to."""

    def __init__(self, answer: str | Exception = "yes") -> None:
        self.answer = answer
        self.gate = asyncio.Event()
        self.asked = 0

    async def __call__(self) -> str:
        self.asked += 1
        await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_all_get_the_answer_of_one_question() -> None:
    """A thousand askers, one question."""
    questions: Questions[str] = Questions(max_open=1)
    oracle = Oracle()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(questions.ask("key", oracle, None)) for _ in range(1_000)]
        await turns(lambda: oracle.asked == 1)
        oracle.gate.set()
    assert {task.result() for task in tasks} == {"yes"}
    assert oracle.asked == 1 and len(questions) == 0


@pytest.mark.parametrize("error", [Refused(Reason.REJECTED, "no"), RuntimeError("broken")])
async def test_all_get_the_error(error: Exception) -> None:
    """And nobody's traceback ends up in another's Refused."""
    questions: Questions[str] = Questions(max_open=1)
    oracle = Oracle(error)
    oracle.gate.set()
    results = await asyncio.gather(*(questions.ask("key", oracle, None) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [type(error)] * 3
    if isinstance(error, Refused):
        assert len(set(map(id, results))) == 3
    assert await questions.ask("key", Oracle2(), None) == "again"


class Oracle2:
    async def __call__(self) -> str:
        return "again"


async def test_too_many_questions() -> None:
    """Bounded: one more is refused; joining an open one is not."""
    questions: Questions[str] = Questions(max_open=1)
    oracle = Oracle()
    questions.begin("one", oracle)
    questions.begin("one", oracle)
    with pytest.raises(Refused) as caught:
        await questions.ask("two", oracle, None)
    assert caught.value.reason is Reason.OVERLOADED
    await questions.aclose()


async def test_deadline_and_cancel_leave_the_question_alone() -> None:
    """Who goes away, by time or by cancel, takes nothing along."""
    questions: Questions[str] = Questions(max_open=1)
    oracle = Oracle()
    async with asyncio.TaskGroup() as group:
        patient = group.create_task(questions.ask("key", oracle, None))
        cancelled = group.create_task(questions.ask("key", oracle, None))
        with pytest.raises(Refused) as caught:
            await questions.ask("key", oracle, asyncio.get_running_loop().time() - 1)
        cancelled.cancel()
        await turns(cancelled.done)
        oracle.gate.set()
    assert caught.value.reason is Reason.DEADLINE
    assert patient.result() == "yes" and oracle.asked == 1


async def test_who_leaves_leaves_nothing_behind() -> None:
    """C13: clients that come and go while a service hangs do not pile up."""
    questions: Questions[str] = Questions(max_open=1)
    oracle = Oracle()
    for _ in range(100):
        task = asyncio.ensure_future(questions.ask("key", oracle, None))  # noqa: TID251  # cancelled below
        await turns(lambda: oracle.asked == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (len(questions), questions._waiters["key"]) == (1, set())
    await questions.aclose()


async def test_deadlines_that_did_not_come_are_forgotten() -> None:
    """C13: an answer leaves nothing behind that would wait for its deadline."""
    questions: Questions[str] = Questions(max_open=1)
    deadline_s = asyncio.get_running_loop().time() + 3_600
    assert await questions.ask("key", Oracle2(), deadline_s) == "again"
    timers = [each for each in gc.get_objects() if isinstance(each, asyncio.TimerHandle) and each.when() == deadline_s]
    assert all(timer.cancelled() for timer in timers)


async def test_closed() -> None:
    """Closing answers who waits, and later askers."""
    questions: Questions[str] = Questions(max_open=1)
    oracle = Oracle()
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(_reason(questions, oracle))
        await turns(lambda: oracle.asked == 1)
        await questions.aclose()
    assert waiting.result() is Reason.OVERLOADED
    assert await _reason(questions, oracle) is Reason.OVERLOADED


async def test_closed_before_the_question_began() -> None:
    """A task that is cancelled before its first step still answers."""
    questions: Questions[str] = Questions(max_open=1)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(_reason(questions, Oracle()))
        await asyncio.sleep(0)
        await questions.aclose()
    assert waiting.result() is Reason.OVERLOADED


async def _reason(questions: Questions[str], oracle: Oracle) -> Reason:
    with pytest.raises(Refused) as caught:
        await questions.ask("key", oracle, None)
    return caught.value.reason
