"""Policies of methods: shared, and gone with their last route. How they are asked for is in test_auth.py."""

from __future__ import annotations

import gc
import weakref

from api_gateway.policy.method_policy import MethodPolicies
from api_gateway.policy.questions import Asker
from tests.support.auth_upstream import FakeUpstream


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
