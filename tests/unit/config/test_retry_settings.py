"""The section `retry`, for all services and for one."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from api_gateway.blueprint import retry_policy
from api_gateway.config.retry_settings import RetrySettings
from api_gateway.config.settings import Settings
from api_gateway.grpc.retries import RetryPolicy


@pytest.mark.parametrize(
    "given",
    [
        {"max_attempts": 0},
        {"max_attempts": 6},
        {"multiplier": 0.5},
        {"initial_backoff_ms": 0},
        {"budget": {"token_ratio": 0}},
        {"budget": {"max_tokens": 1_001}},
    ],
)
def test_bounds(given: dict[str, object]) -> None:
    """G61: at most five attempts; gRFC A6: at most 1,000 tokens."""
    with pytest.raises(ValidationError):
        RetrySettings.model_validate(given)


def test_semantics_31_defaults() -> None:
    """Two attempts, a budget of a tenth; the channel's own defaults say the same."""
    assert retry_policy(RetrySettings()) == RetryPolicy()
    assert (RetrySettings().max_attempts, RetrySettings().budget.token_ratio) == (2, 0.1)


def test_a_service_replaces_the_section() -> None:
    """Whole: what it leaves out is the default, not the other section's value."""
    settings = Settings.model_validate(
        {
            "retry": {"max_attempts": 4, "multiplier": 3},
            "services": {
                "a": {"endpoint": "http://a:1"},
                "b": {"endpoint": "http://b:1", "retry": {"max_attempts": 3}},
            },
        }
    )
    assert (settings.retry_of("a").max_attempts, settings.retry_of("a").multiplier) == (4, 3)
    assert (settings.retry_of("b").max_attempts, settings.retry_of("b").multiplier) == (3, 2)
