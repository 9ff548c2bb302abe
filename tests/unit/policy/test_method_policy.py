"""Policies of methods: shared, and gone with their last route. How they are asked for is in test_auth.py."""

from __future__ import annotations

import gc
import weakref

import pytest

from api_gateway.model.status import Code
from api_gateway.policy.method_policy import MethodPolicies, Requirement
from api_gateway.policy.questions import Asker
from api_gateway.policy.refusal import Reason, Refused
from tests.support.auth_upstream import FakeUpstream, turns, upstream_error


async def test_policies_live_as_long_as_their_routes() -> None:
    """C13: methods that left the route table leave nothing behind; those that stay keep what is known."""
    policies = MethodPolicies(default=frozenset(), timeout_s=1.0)
    first = FakeUpstream(b"\x08\x01")
    policy = policies.of("users", "a.B/C", first)
    await policies.learn(policy, Asker(float(2**31), 0.0))
    assert policies.of("users", "a.B/C", first) is policy
    second = FakeUpstream()
    assert policies.of("users", "a.B/C", second).is_known, "a new channel to the same service is no new policy"
    assert policy.caller is second
    gone = weakref.ref(policy)
    del policy
    gc.collect()
    assert gone() is None
    assert not policies.of("users", "a.B/C", first).is_known
    await policies.aclose()


async def test_question_names_the_method() -> None:
    """semantics 33: `package.Service/Method`, as everywhere."""
    policies = MethodPolicies(default=None, timeout_s=1.0)
    upstream = FakeUpstream(b"\x08\x01\x12\x01r")
    assert await policies.learn(policies.of("users", "a.B/C", upstream), Asker(float(2**31), 0.0)) == frozenset({"r"})
    assert upstream.calls == [(b"/gateway.ServiceAuthPolicy/GetAuthPolicy", b"\x0a\x05a.B/C")]
    await policies.aclose()


class Clock:
    """Monotonic time that the test tells."""

    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


async def test_a_stale_policy_ends_after_ten_more_lifetimes_to_the_moment() -> None:
    """semantics 33: a failed question shortly before that does not make it last longer."""
    clock = Clock()
    policies = MethodPolicies(default=None, timeout_s=1.0, clock=clock)
    upstream = FakeUpstream(b"\x08\x01\x18\x0a")
    policy = policies.of("users", "a.B/C", upstream)
    await policies.learn(policy, Asker(float(2**31), clock.now_s))
    upstream.answer = upstream_error(Code.UNAVAILABLE)
    clock.now_s = 1_109.5
    assert await policies.learn(policy, Asker(float(2**31), clock.now_s)) == frozenset()
    assert policy.decided_until_s == 1_110.0
    clock.now_s = 1_110.0
    with pytest.raises(Refused) as caught:
        await policies.learn(policy, Asker(float(2**31), clock.now_s))
    assert caught.value.reason is Reason.POLICY_UNAVAILABLE
    await policies.aclose()


async def test_a_policy_that_was_learnt_again_is_stale_no_more() -> None:
    """semantics 33: when it runs out the next time, the answer is waited for: what was true is no longer enough."""
    clock = Clock()
    policies = MethodPolicies(default=None, timeout_s=1.0, clock=clock)
    upstream = FakeUpstream(b"\x08\x01")
    policy = policies.of("users", "a.B/C", upstream)

    async def learn() -> Requirement:
        return await policies.learn(policy, Asker(float(2**31), clock.now_s))

    await learn()
    good, upstream.answer = upstream.answer, upstream_error(Code.UNAVAILABLE)
    clock.now_s += 301.0
    await learn()
    upstream.answer = good
    clock.now_s += 2.0
    await learn()
    await turns(lambda: not len(policies._questions))
    assert not policy.is_stale
    upstream.answer = b"\x08\x01\x12\x05admin"
    clock.now_s += 301.0
    assert await learn() == frozenset({"admin"})
    await policies.aclose()
