"""What the sections take and refuse, and their defaults."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from api_gateway.config.settings import CorsSettings, ServiceSettings, Settings


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


def test_service_is_named_after_its_key_unless_it_has_a_name() -> None:
    settings = Settings.model_validate(
        {"services": {"a": {"endpoint": "http://a:1"}, "b": {"endpoint": "http://b:1", "name": "bee"}}}
    )
    assert (settings.service_name("a"), settings.service_name("b")) == ("a", "bee")


def test_cors_for_nobodys_origin_is_refused() -> None:
    """H18: `null` is what every sandboxed page and every local file calls itself."""
    with pytest.raises(ValidationError, match="every sandboxed page"):
        CorsSettings(allowed_origins=["https://app.example.com", "null"])


def test_cors_with_credentials_names_its_origins() -> None:
    with pytest.raises(ValidationError, match="cannot be combined with allow_credentials"):
        Settings.model_validate(
            {
                "services": {"a": {"endpoint": "http://a:1"}},
                "cors": {"allowed_origins": ["*"], "allow_credentials": True},
            }
        )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"endpoint": []}, "the list has no address", id="none"),
        pytest.param({"endpoint": ["http://a:1", "https://b:1"]}, "the same scheme", id="schemes"),
        pytest.param({"endpoint": ["http://a:1", "http://a:1"]}, "listed twice", id="twice"),
        pytest.param({"endpoint": ["http://a:1", "b:1"]}, "expected an address", id="no_address"),
        pytest.param({"endpoint": "http://a:1", "keepalive_interval_ms": 9_999}, "at least 10000", id="keepalive"),
    ],
)
def test_services_that_are_refused(given: dict[str, object], message: str) -> None:
    """Reliability G51, and issue 3: the addresses of a list are one service."""
    with pytest.raises(ValidationError, match=message):
        ServiceSettings.model_validate(given)


def test_an_endpoint_may_be_a_list() -> None:
    """Each is used; people see them joined."""
    service = ServiceSettings(endpoint=["https://a:1", "https://b:2"], keepalive_interval_ms=10_000)
    assert service.endpoints == ("https://a:1", "https://b:2")
    assert (service.endpoint_text, service.is_tls) == ("https://a:1, https://b:2", True)
    assert ServiceSettings(endpoint="http://a:1").endpoints == ("http://a:1",)
