"""What the section `observability` takes and refuses."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from api_gateway.config.observability_settings import ObservabilitySettings


def test_headers_are_sent_in_lower_case_and_never_shown() -> None:
    """HTTP/2 knows no upper case; the values are secrets."""
    settings = ObservabilitySettings(headers={"Authorization": "Bearer t0p"})
    assert settings.headers == {"authorization": "Bearer t0p"}
    assert "t0p" not in repr(settings)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param({"headers": {"a b": "x"}}, 'a header "a b" cannot be sent', id="name"),
        pytest.param({"headers": {"grpc-timeout": "1S"}}, "cannot be sent", id="belongs_to_grpc"),
        pytest.param({"headers": {"k": "a\nb"}}, 'the value of the header "k" is not printable', id="value"),
        pytest.param({"sample_ratio": 1.1}, "less than or equal to 1", id="ratio"),
        pytest.param({"tls_client_cert_path": "c.pem"}, "belong together", id="certificate_without_key"),
        pytest.param({"tempo_endpoint": "tempo:4317"}, "expected an address", id="endpoint"),
    ],
)
def test_mistakes_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ObservabilitySettings(**values)
