"""What backends demand of callers: asked once, remembered, stale, never known."""

from __future__ import annotations

import asyncio

import pytest

from api_gateway.model.errors import GatewayError
from api_gateway.model.status import Code
from api_gateway.policy.auth import GuardedRoute, MethodGuard
from tests.support.auth_bench import GOOD, JWT, PUBLIC, REQUIRE_ADMIN, REQUIRE_ANY, ROUTE, Bench
from tests.support.auth_upstream import FakeUpstream, exchange, turns, upstream_error

# How long a policy is remembered


@pytest.mark.parametrize(
    ("answer", "asked_before", "asked_after"),
    [
        pytest.param(REQUIRE_ANY, 299.0, 301.0, id="absent_means_300"),
        pytest.param(REQUIRE_ANY + b"\x18" + b"\xff" * 9 + b"\x01", 299.0, 301.0, id="negative_means_300"),
        pytest.param(REQUIRE_ANY + b"\x18\x0a", 9.0, 11.0, id="10_seconds"),
    ],
)
async def test_policy_is_asked_once_per_ttl(answer: bytes, asked_before: float, asked_after: float) -> None:
    """semantics 33: one question while the answer is fresh, another when it ran out."""
    bench = Bench(jwt=JWT)
    bench.backend.answer = answer
    assert not await bench.pass_in(exchange(GOOD))
    bench.ahead_s = asked_before
    assert await bench.pass_in(exchange(GOOD))
    assert len(bench.backend.calls) == 1
    bench.ahead_s = asked_after
    assert not await bench.pass_in(exchange(GOOD))
    assert len(bench.backend.calls) == 2


async def test_ttl_zero_is_not_remembered() -> None:
    """semantics 33: an explicit 0 means that each request asks, and that nothing serves when the backend is gone."""
    bench = Bench(jwt=JWT)
    bench.backend.answer = REQUIRE_ANY + b"\x18\x00"
    for count in (1, 2, 3):
        await bench.pass_in(exchange(GOOD))
        assert len(bench.backend.calls) == count
    bench.backend.answer = upstream_error(Code.UNAVAILABLE)
    assert (await bench.refused(exchange(GOOD))).http == 503


async def test_a_policy_ends_at_its_moment() -> None:
    """semantics 33: at the end of its lifetime it no longer holds; so with 0 not even for the same moment."""
    bench = Bench(jwt=JWT)
    await bench.pass_in(exchange(GOOD))
    policy = bench.auth.bind(ROUTE, bench.backend)
    assert isinstance(policy, MethodGuard)
    until_s = policy._policy.decided_until_s
    assert policy.admit(exchange(GOOD), until_s - 0.001) is None
    pending = policy.admit(exchange(GOOD), until_s)
    assert pending is not None and not isinstance(pending, GatewayError)
    await pending


async def test_one_question_at_a_time_per_method() -> None:
    """semantics 33: 100 requests, one question."""
    bench = Bench(jwt=JWT)
    bench.backend.gate = asyncio.Event()
    waiting = [asyncio.ensure_future(bench.pass_in(exchange(GOOD))) for _ in range(100)]  # noqa: TID251  # gathered below
    await turns(lambda: len(bench.backend.calls) == 1)
    bench.backend.gate.set()
    await asyncio.gather(*waiting)
    assert len(bench.backend.calls) == 1


async def test_routes_of_one_method_share_what_is_known() -> None:
    """semantics 33: a new route table, or a second route, does not ask again."""
    bench = Bench(jwt=JWT)
    await bench.pass_in(exchange(GOOD))
    other = bench.auth.bind(
        GuardedRoute(service="users", method=ROUTE.method, template="/v2/users/{id}", verb="GET"), bench.backend
    )
    assert await bench.pass_in(exchange(GOOD), other)
    assert len(bench.backend.calls) == 1


async def test_same_method_of_another_service_is_another_policy() -> None:
    """semantics 33: each backend speaks for itself."""
    bench = Bench(jwt=JWT)
    await bench.pass_in(exchange(GOOD))
    other = FakeUpstream(PUBLIC)
    policy = bench.auth.bind(GuardedRoute(service="other", method=ROUTE.method, template="/other", verb="GET"), other)
    await bench.pass_in(exchange(), policy)
    assert len(other.calls) == 1


async def test_forgotten_policies_are_asked_again() -> None:
    """An operator's refresh reaches the policies too."""
    bench = Bench(jwt=JWT)
    await bench.pass_in(exchange(GOOD))
    bench.auth.forget_policies()
    bench.backend.answer = REQUIRE_ADMIN
    assert (await bench.refused(exchange(GOOD))).http == 403


async def test_forgotten_policies_serve_while_nobody_can_be_asked() -> None:
    """semantics 33: an operator's refresh while a backend is away locks nobody out, and lets nobody in."""
    bench = Bench(jwt=JWT)
    await bench.pass_in(exchange(GOOD))
    bench.auth.forget_policies()
    bench.backend.answer = upstream_error(Code.UNAVAILABLE)
    await bench.pass_in(exchange(GOOD))
    assert (await bench.refused(exchange())).http == 401


# Backends that cannot say


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(upstream_error(Code.UNAVAILABLE, "UPSTREAM_UNAVAILABLE"), id="unreachable"),
        pytest.param(upstream_error(Code.DEADLINE_EXCEEDED), id="too_slow"),
        pytest.param(upstream_error(Code.INTERNAL), id="internal"),
        pytest.param(upstream_error(Code.UNIMPLEMENTED, "NO_MESSAGE"), id="unimplemented_by_a_broken_answer"),
        pytest.param(upstream_error(Code.PERMISSION_DENIED), id="denied"),
        pytest.param(b"\xff\xff", id="junk"),
        pytest.param(b"\x12\x02\xff\xfe", id="not_utf8"),
    ],
)
@pytest.mark.parametrize("default_policy", ["public", "require_auth"])
async def test_never_known_policy_refuses(answer: bytes | Exception, default_policy: str) -> None:
    """semantics 33: never known and not to be had is 503, even where the default is public. Nothing fails open."""
    bench = Bench(jwt=JWT, default_policy=default_policy)
    bench.backend.answer = answer
    error = await bench.refused(exchange(GOOD))
    assert (error.http, error.reason, error.retryable) == (503, "AUTH_UNAVAILABLE", True)
    assert (b"retry-after", b"1") in error.headers
    assert bench.failures == ["policy_unavailable"]


async def test_stale_policy_serves_for_ten_more_ttls_then_refuses() -> None:
    """semantics 33: expired but unreachable; and it is the old answer that holds, not a weaker one."""
    bench = Bench(jwt=JWT)
    bench.backend.answer = REQUIRE_ANY + b"\x18\x0a"
    await bench.pass_in(exchange(GOOD))
    bench.backend.answer = upstream_error(Code.UNAVAILABLE)
    for bench.ahead_s in (11.0, 50.0, 109.0):
        await bench.pass_in(exchange(GOOD))
        assert (await bench.refused(exchange())).http == 401
    bench.ahead_s = 111.0
    assert (await bench.refused(exchange(GOOD))).http == 503
    assert bench.failures == ["missing_token"] * 3 + ["policy_unavailable"]


async def test_stale_policy_does_not_wait_for_a_backend_that_hangs() -> None:
    """semantics 33: after one failed question, nobody waits for the next one while the old answer may serve."""
    bench = Bench(jwt=JWT)
    await bench.pass_in(exchange(GOOD))
    bench.backend.answer = upstream_error(Code.UNAVAILABLE)
    bench.ahead_s = 301.0
    await bench.pass_in(exchange(GOOD))
    bench.backend.gate = asyncio.Event()
    bench.ahead_s = 303.0
    for _ in range(3):
        async with asyncio.timeout(30):
            await bench.pass_in(exchange(GOOD))
    await turns(lambda: len(bench.backend.calls) == 3)
    bench.backend.answer = REQUIRE_ADMIN
    bench.backend.gate.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert (await bench.refused(exchange(GOOD))).http == 403
    assert len(bench.backend.calls) == 3


@pytest.mark.parametrize(
    ("default_policy", "status"),
    [pytest.param("public", None, id="public"), pytest.param("require_auth", 401, id="auth")],
)
async def test_backend_without_the_policy_service_gets_the_default(default_policy: str, status: int | None) -> None:
    """semantics 33: UNIMPLEMENTED from the backend means `auth.default_policy`, remembered like an answer."""
    bench = Bench(jwt=JWT, default_policy=default_policy)
    bench.backend.answer = upstream_error(Code.UNIMPLEMENTED)
    for _ in range(2):
        if status is None:
            await bench.pass_in(exchange())
        else:
            assert (await bench.refused(exchange())).http == status
    assert len(bench.backend.calls) == 1


async def test_roles_without_require_auth_are_required() -> None:
    """A backend that contradicts itself gets the stricter half: nothing fails open."""
    bench = Bench(jwt=JWT)
    bench.backend.answer = b"\x12\x05admin"
    assert (await bench.refused(exchange())).http == 401
