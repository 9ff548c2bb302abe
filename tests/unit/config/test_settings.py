"""What the sections take and refuse, and their defaults."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from api_gateway.config.settings import AuthSettings, JwtSettings, ServerSettings, ServiceSettings, Settings


@pytest.mark.parametrize(
    ("endpoint", "tls_enabled", "is_tls"),
    [
        pytest.param("http://a:1", False, False, id="plain"),
        pytest.param("http://a:1", True, True, id="switched_on"),
        pytest.param("https://a:1", False, True, id="by_scheme"),
    ],
)
def test_tls_by_scheme_or_by_switch(endpoint: str, tls_enabled: bool, is_tls: bool) -> None:
    assert ServiceSettings(endpoint=endpoint, tls_enabled=tls_enabled).is_tls is is_tls


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(
            {"endpoint": "http://a:1", "tls_client_cert_path": "c.pem"}, "must be given together", id="certificate"
        ),
        pytest.param({"endpoint": "http://a:1", "tls_client_key_path": "k.pem"}, "must be given together", id="key"),
    ],
)
def test_half_a_client_certificate_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ServiceSettings.model_validate(given)


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


def test_secrets_stay_out_of_the_printed_settings() -> None:
    settings = Settings.model_validate(
        {
            "services": {"a": {"endpoint": "http://a:1"}},
            "auth": {"jwt": {"secret": "hunter2" * 5}},
            "state": {"redis_url": "redis://:hunter2@redis:6379/0"},
        }
    )
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings)


@pytest.mark.parametrize("value", [True, False])
def test_a_bool_is_no_number(value: bool) -> None:
    with pytest.raises(ValidationError, match="expected a number"):
        ServerSettings.model_validate({"port": value})


def test_sections_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ServerSettings().port = 1  # type: ignore[misc] # that is the point


def test_service_is_named_after_its_key_unless_it_has_a_name() -> None:
    settings = Settings.model_validate(
        {"services": {"a": {"endpoint": "http://a:1"}, "b": {"endpoint": "http://b:1", "name": "bee"}}}
    )
    assert (settings.service_name("a"), settings.service_name("b")) == ("a", "bee")


def test_cors_with_credentials_names_its_origins() -> None:
    with pytest.raises(ValidationError, match="cannot be combined with allow_credentials"):
        Settings.model_validate(
            {
                "services": {"a": {"endpoint": "http://a:1"}},
                "cors": {"allowed_origins": ["*"], "allow_credentials": True},
            }
        )
