"""Identity headers: which names are ours alone, and which values fit."""

from __future__ import annotations

import base64
import json

import pytest

from api_gateway.policy.identity import IDENTITY_HEADERS, encode_claims, make_identity


@pytest.mark.parametrize(
    "name",
    [
        b"x-user-id",
        b"x_user_id",
        b"x-user_id",
        b"x_user-id",
        b"x-user-roles",
        b"x_user_roles",
        b"x-auth-claims",
        b"x_auth-claims",
    ],
)
def test_names_in_every_spelling(name: bytes) -> None:
    """semantics 28: `_` for `-` too, mixed as well."""
    assert name in IDENTITY_HEADERS and len(IDENTITY_HEADERS) == 12


@pytest.mark.parametrize("name", [b"x-user-ids", b"user-id", b"x-userid", b"x-request-id"])
def test_other_names(name: bytes) -> None:
    """Nobody else's header is taken."""
    assert name not in IDENTITY_HEADERS


def test_metadata() -> None:
    """semantics 28: comma separated roles, claims as they are given; what is empty is not sent."""
    identity = make_identity("alice@example.com", ("a", "b c"), b"e30")
    assert identity.metadata == (
        (b"x-user-id", b"alice@example.com"),
        (b"x-user-roles", b"a,b c"),
        (b"x-auth-claims", b"e30"),
    )
    assert make_identity("", (), b"e30").metadata == ((b"x-auth-claims", b"e30"),)


@pytest.mark.parametrize(
    ("user_id", "roles"),
    [
        pytest.param("a\r\nb", (), id="line_break"),
        pytest.param("a\n", (), id="final_line_feed"),
        pytest.param("a\x00", (), id="nul"),
        pytest.param("\x7f", (), id="del"),
        pytest.param("é", (), id="non_ascii"),
        pytest.param(" a", (), id="leading_space"),
        pytest.param("a ", (), id="trailing_space"),
        pytest.param("a" * 1_025, (), id="long"),
        pytest.param("a", ("b,c",), id="comma"),
        pytest.param("a", ("b\n",), id="role_line_feed"),
        pytest.param("a", ("",), id="empty_role"),
        pytest.param("a", ("r" * 100,) * 100, id="many_roles"),
    ],
)
def test_values_that_do_not_fit(user_id: str, roles: tuple[str, ...]) -> None:
    """semantics 28: ValueError, never a shortened or changed value."""
    with pytest.raises(ValueError, match=r"."):
        make_identity(user_id, roles, b"e30")


def test_claims_of_the_service() -> None:
    """ASCII base64url of a JSON object, whatever the names are."""
    text = encode_claims("Jürgen\n", ("a,b",))
    assert json.loads(base64.urlsafe_b64decode(text + b"==")) == {"sub": "Jürgen\n", "roles": ["a,b"]}
