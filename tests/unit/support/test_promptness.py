"""One prompt attempt among late ones is enough, and none is not."""

from __future__ import annotations

from tests.support.promptness import ATTEMPTS, quickest_async_s, quickest_s


def test_the_first_prompt_attempt_settles_it() -> None:
    took_s = iter((3.0, 0.2, 0.1))
    assert quickest_s(lambda: next(took_s), enough_s=0.5) == 0.2
    assert list(took_s) == [0.1]


def test_what_is_always_late_is_late() -> None:
    count = 0

    def attempt() -> float:
        nonlocal count
        count += 1
        return 2.0 - count / 100

    assert quickest_s(attempt, enough_s=0.5) == 2.0 - ATTEMPTS / 100
    assert count == ATTEMPTS


async def test_attempts_that_wait() -> None:
    took_s = iter((3.0, 0.2, 0.1))

    async def attempt() -> float:
        return next(took_s)

    assert await quickest_async_s(attempt, enough_s=0.5) == 0.2
