"""Configured retries (gRFC A6): which failed calls are tried again, when, and how many of them.

Transparent retries, of calls that the backend provably did not see, are `call.py`'s own and are not counted here.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ..model.errors import GatewayError

JITTER: Final = 0.2
"""Delays are multiplied with something between 0.8 and 1.2."""
MAX_PUSHBACK_DIGITS: Final = 9
"""A backend that wants more milliseconds than this has digits for means never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How a service's idempotent calls are tried again."""

    max_attempts: int = 2
    """The first one included; 1 means never again."""
    initial_backoff_s: float = 0.05
    max_backoff_s: float = 1.0
    multiplier: float = 2.0
    max_tokens: int = 100
    """What the budget holds at most, and at first."""
    token_ratio: float = 0.1
    """What a success puts back; a failure takes 1."""

    def backoff_s(self, retry: int) -> float:
        """Return the delay before the retry of this number, 1 for the first, without jitter."""
        longest: float = self.max_backoff_s
        return min(self.initial_backoff_s * self.multiplier ** (retry - 1), longest)


RESULTS: Final = ("succeeded", "failed", "throttled", "refused")
"""What becomes of a retry, or of the wish for one."""
NO_RETRIES: Final = RetryPolicy(max_attempts=1)


class RetryBudget:
    """The token bucket of gRFC A6: while it is at most half full, nothing is tried again.

    A failure takes a token, a success puts `token_ratio` back. So in the long run at most `token_ratio` retries go with
    each success, and half of `max_tokens` at once when everything fails.
    """

    __slots__ = ("_max_tokens", "_ratio", "tokens")

    def __init__(self, max_tokens: float, ratio: float) -> None:
        self._max_tokens = max_tokens
        self._ratio = ratio
        self.tokens = max_tokens
        """What is left."""

    def succeeded(self) -> None:
        """Put back what a success is worth."""
        if self.tokens < self._max_tokens:
            self.tokens = min(self.tokens + self._ratio, self._max_tokens)

    def failed(self) -> bool:
        """Take a token; return whether there may be a retry."""
        self.tokens = max(self.tokens - 1.0, 0.0)
        return self.tokens > self._max_tokens / 2


class Retryable(Protocol):
    """A call, as its channel's retries see it."""

    attempts: int
    backoffs: int
    deadline_s: float
    is_waiting: bool

    def abandon(self, error: GatewayError) -> None:
        """End: there will be no other attempt."""


class Retries:
    """Decides for the calls of one channel, and holds those that wait for their next attempt.

    `on_result` hears `succeeded` or `failed` at the end of every retry, `throttled` when the budget forbade one and
    `refused` when the backend did.
    """

    __slots__ = ("_budget", "_loop", "_on_result", "_place", "_policy", "_timers")

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        loop: asyncio.AbstractEventLoop,
        place: Callable[[Any], None],
        on_result: Callable[[str], None],
    ) -> None:
        """Prepare. `place` starts the next attempt of a call."""
        self._policy = policy
        self._budget = RetryBudget(policy.max_tokens, policy.token_ratio)
        self._loop = loop
        self._place = place
        self._on_result = on_result
        self._timers: dict[Retryable, asyncio.TimerHandle] = {}

    def try_again(self, call: Retryable, pushback: bytes | None) -> bool:
        """Let a call wait for another attempt and return True, if it may have one.

        It failed with UNAVAILABLE before it was committed. `pushback` is the backend's `grpc-retry-pushback-ms`.
        """
        policy = self._policy
        if policy.max_attempts < 2:
            return False
        is_affordable = self._budget.failed()
        if call.attempts >= policy.max_attempts:
            return False
        delay_s = self._delay_s(call, pushback)
        if delay_s < 0:
            self._on_result("refused")
            return False
        if not is_affordable:
            self._on_result("throttled")
            return False
        if self._loop.time() + delay_s >= call.deadline_s:
            # It would wait for nothing but its deadline, and the error there is tells more than that one.
            return False
        if call.attempts > 1:
            self._on_result("failed")
        call.is_waiting = True
        self._timers[call] = self._loop.call_later(delay_s, self._due, call)
        return True

    def forget(self, call: Retryable) -> None:
        """Let a call wait no longer: it was cancelled, or its deadline came."""
        call.is_waiting = False
        timer = self._timers.pop(call, None)
        if timer is not None:
            timer.cancel()

    def ended(self, call: Retryable, error: GatewayError | None) -> None:
        """Hear how an idempotent call ended; None means well."""
        if error is None:
            self._budget.succeeded()
        if call.attempts > 1:
            self._on_result("succeeded" if error is None else "failed")
            if error is not None:
                error.attempts = call.attempts

    def close(self, error: Callable[[], GatewayError]) -> None:
        """End the calls that wait."""
        for call in list(self._timers):
            self.forget(call)
            call.abandon(error())

    def _due(self, call: Retryable) -> None:
        self.forget(call)
        call.attempts += 1
        self._place(call)

    def _delay_s(self, call: Retryable, pushback: bytes | None) -> float:
        """Return how long to wait, less than 0 when the backend forbids another attempt."""
        if pushback is None:
            call.backoffs += 1
            return self._policy.backoff_s(call.backoffs) * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - not a secret
        # Backoff starts over after a delay that the backend chose (gRFC A6, "Pushback").
        call.backoffs = 0
        if len(pushback) > MAX_PUSHBACK_DIGITS or not pushback.isdigit():
            return -1.0
        return int(pushback) / 1000
