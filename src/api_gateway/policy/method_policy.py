"""What each backend demands of the callers of its methods, asked over gRPC and remembered (semantics 33)."""

from __future__ import annotations

import math
import weakref
from typing import Final

from ..model.errors import GatewayError, Source
from ..model.status import Code
from ..model.upstream import UnaryCaller
from .contracts import GET_AUTH_POLICY, PolicyAnswer, decode_policy_answer, encode_policy_request
from .questions import Asker, Clock, Questions, loop_time
from .refusal import Reason, Refused

DEFAULT_TTL_S: Final = 300.0
"""How long an answer without a usable `cache_ttl_seconds` is remembered."""
STALE_TTLS: Final = 10
"""How many more times its lifetime an answer serves while the backend cannot be asked."""
RETRY_PAUSE_S: Final = 1.0
"""Time between two questions about one method while its backend cannot be reached."""
MAX_OPEN: Final = 10_000
"""Most questions open at a time: one per method."""

Requirement = frozenset[str] | None
"""The roles of which a caller needs one, empty for any authenticated caller; None when everybody may call."""


class MethodPolicy:
    """What is known about one method. All its routes share it, and so do route tables that follow each other."""

    __slots__ = (
        "__weakref__",
        "caller",
        "decided_until_s",
        "is_known",
        "is_stale",
        "key",
        "request",
        "requirement",
        "usable_until_s",
    )

    def __init__(self, key: tuple[str, str], caller: UnaryCaller) -> None:
        self.key = key
        self.caller = caller
        self.request = encode_policy_request(key[1])
        self.requirement: Requirement = frozenset()
        """Means nothing before `is_known`."""
        self.is_known = False
        self.decided_until_s = -math.inf
        """Until this monotonic time `requirement` holds without asking anybody."""
        self.usable_until_s = -math.inf
        """Until this monotonic time it may serve while the backend cannot be asked."""
        self.is_stale = False
        """Whether the last question failed."""


class MethodPolicies:
    """All methods' policies. `aclose` ends open questions."""

    def __init__(self, *, default: Requirement, timeout_s: float, clock: Clock = loop_time) -> None:
        self._clock = clock
        self._default = default
        self._timeout_s = timeout_s
        # Weak, so that the policies of methods that left the route table go with their last route.
        self._policies: weakref.WeakValueDictionary[tuple[str, str], MethodPolicy] = weakref.WeakValueDictionary()
        self._questions: Questions[Requirement] = Questions(max_open=MAX_OPEN)

    def of(self, service: str, method: str, caller: UnaryCaller) -> MethodPolicy:
        """Return the policy of a method (`package.Service/Method`) of a service (its key), asked over `caller`."""
        key = (service, method)
        policy = self._policies.get(key)
        if policy is None:
            policy = self._policies[key] = MethodPolicy(key, caller)
        policy.caller = caller
        return policy

    async def learn(self, policy: MethodPolicy, asker: Asker) -> Requirement:
        """Return the requirement of a method whose answer ran out, asking its backend.

        Raises Refused: POLICY_UNAVAILABLE when the backend cannot be asked and nothing usable is known, DEADLINE,
        OVERLOADED.
        """

        async def ask() -> Requirement:
            return await self._ask(policy, asker)

        if policy.is_stale and asker.now_s < policy.usable_until_s:
            # The last question failed: nobody waits for the next one while the old answer may serve.
            self._questions.begin(policy.key, ask)
            return policy.requirement
        return await self._questions.ask(policy.key, ask, asker.deadline_s)

    def forget(self) -> None:
        """Ask again for every method at its next request. Old answers still serve if that fails."""
        for policy in self._policies.values():
            policy.decided_until_s = -math.inf

    async def aclose(self) -> None:
        """Give up open questions."""
        await self._questions.aclose()

    async def _ask(self, policy: MethodPolicy, asker: Asker) -> Requirement:
        clock = self._clock
        try:
            reply = await policy.caller.unary(
                GET_AUTH_POLICY,
                policy.request,
                deadline_s=clock() + self._timeout_s,
                metadata=asker.metadata,
                trace=asker.trace,
            )
            answer = decode_policy_answer(reply.message)
        except GatewayError as error:
            if _is_unimplemented(error):
                return _remember(policy, self._default, DEFAULT_TTL_S, clock())
            return _serve_stale(policy, clock(), error)
        except ValueError as error:
            return _serve_stale(policy, clock(), error)
        return _remember(policy, _requirement(answer), _ttl_s(answer), clock())


def _is_unimplemented(error: GatewayError) -> bool:
    """Whether the backend itself said that it has no such method: errors the gateway makes carry a reason."""
    return error.code == Code.UNIMPLEMENTED and error.source is Source.UPSTREAM and not error.reason


def _requirement(answer: PolicyAnswer) -> Requirement:
    """Return what an answer demands. Roles without `require_auth` contradict each other: the stricter half holds."""
    if answer.require_auth or answer.required_roles:
        return frozenset(answer.required_roles)
    return None


def _ttl_s(answer: PolicyAnswer) -> float:
    ttl = answer.cache_ttl_seconds
    return DEFAULT_TTL_S if ttl is None or ttl < 0 else float(ttl)


def _remember(policy: MethodPolicy, requirement: Requirement, ttl_s: float, now_s: float) -> Requirement:
    policy.requirement = requirement
    policy.is_known = True
    policy.is_stale = False
    policy.decided_until_s = now_s + ttl_s
    policy.usable_until_s = now_s + ttl_s * (1 + STALE_TTLS)
    return requirement


def _serve_stale(policy: MethodPolicy, now_s: float, cause: Exception) -> Requirement:
    if not policy.is_known or now_s >= policy.usable_until_s:
        told = cause.for_log() if isinstance(cause, GatewayError) else str(cause)
        raise Refused(Reason.POLICY_UNAVAILABLE, f"{policy.key[1]}: {told}") from cause
    policy.is_stale = True
    policy.decided_until_s = min(now_s + RETRY_PAUSE_S, policy.usable_until_s)
    return policy.requirement
