"""What never reaches a log."""

from __future__ import annotations

import pytest

from api_gateway.telemetry.redaction import REDACTED, redact_fields, redact_text

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "Authorization",
        "proxy-authorization",
        "cookie",
        "Set-Cookie",
        "token",
        "access_token",
        "client-secret",
        "secret",
        "password",
        "x-api-key",
        "private_key",
    ],
)
def test_secret_names_lose_their_value(name: str) -> None:
    """H19: wherever the name stands."""
    assert redact_fields({name: "hidden"}) == {name: REDACTED}
    assert redact_fields({"headers": {name: "hidden"}}) == {"headers": {name: REDACTED}}
    assert redact_fields({"headers": [(name.encode(), b"hidden")]}) == {"headers": [(name.encode(), REDACTED)]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(f"got Bearer {JWT} from peer", f"got Bearer {REDACTED} from peer", id="bearer"),
        pytest.param("basic dXNlcjpwYXNz", f"basic {REDACTED}", id="basic"),
        pytest.param(f"/reset/{JWT}/now", f"/reset/{REDACTED}/now", id="bare_jwt"),
        pytest.param("bearer token expired", "bearer token expired", id="plain_words"),
        pytest.param("basic authentication", "basic authentication", id="more_plain_words"),
    ],
)
def test_credentials_within_texts(text: str, expected: str) -> None:
    assert redact_text(text) == expected


def test_numbers_and_absent_values_stay() -> None:
    fields = {"cached_tokens": 5, "token": None, "cookie_count": 1.5, "service": "users"}
    assert redact_fields(fields) == fields


def test_depth_is_bounded() -> None:
    value: object = "Bearer A1"
    for _ in range(50):
        value = [value]
    assert "A1" not in repr(redact_fields({"value": value}))
