"""What the sections take and refuse, and their defaults."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from api_gateway.config.settings import AuthSettings, JwtSettings, ServerSettings, ServiceSettings, Settings


@pytest.mark.parametrize(
    "endpoint",
    [
        pytest.param("http://localhost:50051", id="http"),
        pytest.param("https://users.internal:443", id="https"),
        pytest.param("http://localhost:50051/", id="trailing_slash"),
        pytest.param("dns:///users:50051", id="dns"),
        pytest.param("http://127.0.0.1:1", id="ipv4"),
        pytest.param("http://[::1]:65535", id="ipv6"),
    ],
)
def test_endpoint_is_taken_as_written(endpoint: str) -> None:
    assert ServiceSettings(endpoint=endpoint).endpoint == endpoint


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        pytest.param("localhost:50051", "expected an address like", id="no_scheme"),
        pytest.param("grpc://localhost:50051", "expected an address like", id="other_scheme"),
        pytest.param("", "expected an address like", id="empty"),
        pytest.param("http://", "the address has no host", id="nothing_behind_the_scheme"),
        pytest.param("http://:50051", "the address has no host", id="no_host"),
        pytest.param("http://localhost", 'write for example "http://localhost:50051"', id="no_port"),
        pytest.param("http://localhost/", 'write for example "http://localhost:50051"', id="no_port_but_slash"),
        pytest.param("http://localhost:x", "the port is not a number from 1 to 65535", id="port_in_letters"),
        pytest.param("http://localhost:0", "the port is not a number from 1 to 65535", id="port_zero"),
        pytest.param("http://localhost:65536", "the port is not a number from 1 to 65535", id="port_too_large"),
        pytest.param("http://a:1/path", "only scheme, host and port", id="path"),
        pytest.param("http://a:1?x=1", "only scheme, host and port", id="query"),
        pytest.param("http://a:1#x", "only scheme, host and port", id="fragment"),
        pytest.param("http://me@a:1", "an address holds no user and no password", id="user"),
        pytest.param("http://:pw@a:1", "an address holds no user and no password", id="password"),
        pytest.param("http://a b:1", "no spaces", id="space"),
        pytest.param("http://a:1\n", "no spaces", id="line_feed"),
        pytest.param("http://a\x00:1", "no control characters", id="nul"),
        pytest.param("http://[::1:1", "IPv6", id="open_bracket"),
    ],
)
def test_endpoint_that_cannot_be_called_is_refused(endpoint: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ServiceSettings(endpoint=endpoint)


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
