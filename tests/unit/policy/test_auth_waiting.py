"""Requests that wait for an answer about them: deadlines, cancels, shutting down."""

from __future__ import annotations

import asyncio

import pytest

from api_gateway.model.exchange import Exchange
from api_gateway.model.status import Code
from api_gateway.policy.chain import abide_by
from api_gateway.waiting import Runner
from tests.support.auth_bench import GOOD, JWT, Bench
from tests.support.auth_upstream import exchange, turns, upstream_error


async def test_question_gets_the_auth_timeout() -> None:
    """semantics 30, 34: a question may take `auth.timeout_ms`, whatever the first asker's deadline is."""
    bench = Bench(timeout_ms=1500)
    now_s = bench.now_s()
    await bench.pass_in(exchange(GOOD, deadline_s=now_s + 30))
    assert bench.backend.deadlines[0] == pytest.approx(now_s + 1.5, abs=0.5)
    assert bench.validator.deadlines[0] == pytest.approx(now_s + 1.5, abs=0.5)


async def test_request_does_not_wait_beyond_its_deadline() -> None:
    """semantics 30: the deadline covers auth calls; the question goes on for the others."""
    bench = Bench()
    bench.backend.gate = asyncio.Event()
    error = await bench.refused(exchange(GOOD, deadline_s=bench.now_s() + 0.01))
    assert (error.http, error.code) == (504, Code.DEADLINE_EXCEEDED)
    assert bench.failures == ["deadline"]
    bench.backend.gate.set()
    await bench.pass_in(exchange(GOOD))
    assert len(bench.backend.calls) == 1


@pytest.mark.parametrize("asked", ["backend", "validator"])
async def test_the_deadline_of_the_request_comes_before_the_auth_timeout(asked: str) -> None:
    """semantics 30: whoever is asked, the request waits until its own deadline only."""
    bench = Bench(timeout_ms=600_000)
    upstream = bench.backend if asked == "backend" else bench.validator
    upstream.gate = asyncio.Event()
    async with asyncio.timeout(60):
        error = await bench.refused(exchange(GOOD, deadline_s=bench.now_s() + 0.01))
    assert (error.http, bench.failures) == (504, ["deadline"])
    await bench.auth.aclose()


async def test_questions_learn_of_no_identity() -> None:
    """semantics 28: a question in the background tells nobody who the caller is that made it due."""
    bench = Bench(jwt=JWT)
    await bench.pass_in(exchange(GOOD))
    bench.backend.answer = upstream_error(Code.UNAVAILABLE)
    for bench.ahead_s in (301.0, 303.0):
        made = exchange(GOOD)
        made.metadata.append((b"x-request-id", b"r"))
        await bench.pass_in(made)
        assert (b"x-user-id", b"alice") in made.metadata
    await turns(lambda: len(bench.backend.calls) == 3)
    assert bench.backend.metadata[1:] == [[(b"x-request-id", b"r")]] * 2


async def test_cancelled_request_leaves_the_question_alone() -> None:
    """A request is stepped by a Runner; cancelling it takes only its own waiting with it."""
    bench = Bench(jwt=JWT)
    bench.backend.gate = asyncio.Event()
    ends: list[tuple[str, BaseException | None]] = []

    async def request(made: Exchange) -> None:
        pending = bench.policy.admit(made, bench.now_s())
        assert pending is not None
        await abide_by(pending)

    runners = []
    for name in ("cancelled", "patient"):
        runner = Runner(request(exchange(GOOD)), lambda _, error, name=name: ends.append((name, error)))  # type: ignore[misc]  # mypy takes no default in a lambda
        runner.start()
        runners.append(runner)
    runners[0].cancel()
    await asyncio.sleep(0)
    bench.backend.gate.set()
    await turns(lambda: len(ends) == 2)
    assert [(name, type(error)) for name, error in ends] == [
        ("cancelled", asyncio.CancelledError),
        ("patient", type(None)),
    ]
    assert len(bench.backend.calls) == 1


async def test_closing_answers_who_waits() -> None:
    """Shutting down answers 503 and leaves no task behind."""
    bench = Bench()
    bench.backend.gate = asyncio.Event()
    waiting = asyncio.ensure_future(bench.refused(exchange(GOOD)))  # noqa: TID251  # awaited below
    await turns(lambda: len(bench.backend.calls) == 1)
    await bench.auth.aclose()
    assert (await waiting).http == 503
    assert (await bench.refused(exchange(GOOD))).http == 503
    assert len(asyncio.all_tasks()) == 1
