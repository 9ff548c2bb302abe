"""The section `retry`: how calls are tried again."""

from __future__ import annotations

from pydantic import Field

from api_gateway.config.section import Section
from api_gateway.config.values import PositiveMs


class RetryBudgetSettings(Section):
    """How many calls may be tried again, for each worker and service.

    A bucket of tokens: a call that fails as unavailable takes one, a call that succeeds puts `token_ratio` back, and
    while the bucket is at most half full nothing is tried again. So retries are at most that share of the requests, and
    half a bucket at once when everything fails.
    """

    max_tokens: int = Field(default=100, ge=1, le=1_000)
    """Size of the bucket, which is full at first."""
    token_ratio: float = Field(default=0.1, gt=0, le=1)
    """What one success puts back: 0.1 keeps retries to a tenth of the requests."""


class RetrySettings(Section):
    """How calls are tried again that a backend could not take.

    Only calls of idempotent routes that end with UNAVAILABLE before any answer: GET, methods declared with
    `idempotency_level`, and `route_overrides` with `idempotent: true`.
    """

    max_attempts: int = Field(default=2, ge=1, le=5)
    """Most attempts, the first one included. 1: nothing is tried again."""
    initial_backoff_ms: PositiveMs = 50
    """Wait before the first retry, in milliseconds; every wait is spread by 20 %."""
    max_backoff_ms: PositiveMs = 1_000
    """Longest wait, in milliseconds."""
    multiplier: float = Field(default=2.0, ge=1, le=10)
    """By how much each wait is longer than the one before."""
    budget: RetryBudgetSettings = RetryBudgetSettings()
