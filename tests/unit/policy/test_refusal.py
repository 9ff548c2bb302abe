"""What a client is told of each reason."""

from __future__ import annotations

import pytest

from api_gateway.policy.refusal import Reason, Refused, refusal_error

STATUS = {
    Reason.REPEATED_AUTHORIZATION: 400,
    Reason.MISSING_ROLE: 403,
    Reason.POLICY_UNAVAILABLE: 503,
    Reason.VALIDATOR_UNAVAILABLE: 503,
    Reason.KEYS_UNAVAILABLE: 503,
    Reason.OVERLOADED: 503,
    Reason.DEADLINE: 504,
}


@pytest.mark.parametrize("reason", list(Reason))
def test_status_and_challenge(reason: Reason) -> None:
    """semantics 22, 35, J43: 401 unless stated otherwise; 400, 401 and 403 challenge, 503 says when to come again."""
    error = refusal_error(Refused(reason, "secret detail"))
    assert error.http == STATUS.get(reason, 401)
    headers = dict(error.headers)
    if error.http in (400, 401, 403):
        assert headers[b"www-authenticate"].startswith(b'Bearer error="')
    if error.http == 503:
        assert headers[b"retry-after"] == b"1" and error.retryable
    assert "secret" not in error.message and error.log_reason == f"{reason.value}: secret detail"
    assert error.reason.isupper() and len(error.reason) <= 63


def test_labels_are_few_and_plain() -> None:
    """J41: a fixed set of label values."""
    assert len(Reason) < 30
    assert all(reason.value.replace("_", "").isalpha() and reason.value.islower() for reason in Reason)
