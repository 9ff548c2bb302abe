"""What the settings of authentication take and refuse."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from api_gateway.config.auth_settings import AuthSettings, JwtSettings


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({}, id="none"),
        pytest.param({"secret": "s", "jwks_url": "https://a/keys"}, id="two"),
        pytest.param({"secret": "s", "jwks_url": "https://a/keys", "public_key": "k"}, id="three"),
    ],
)
def test_tokens_are_checked_with_exactly_one_kind_of_key(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="give exactly one of secret, public_key, jwks_url"):
        JwtSettings.model_validate(given)


def test_auth_without_any_validator_is_refused() -> None:
    """A section that could only ever refuse, or worse pass, is a mistake."""
    with pytest.raises(ValidationError, match="give service_endpoint or jwt"):
        AuthSettings()
