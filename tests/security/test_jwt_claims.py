"""What the claims must say: J27 to J36, with a right signature over them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api_gateway.config.settings import JwtSettings
from api_gateway.policy.refusal import Reason
from tests.support.token_checks import header, refused, verify
from tests.support.token_factory import (
    NOW_S,
    SECRET,
    claims,
    hs256,
    key_set,
    rsa_key,
    signed,
)

LEEWAY_S = 30


@pytest.mark.parametrize(("offset_s", "is_good"), [(-1, True), (-0.001, True), (0, False), (0.001, False), (1, False)])
def test_expiry(offset_s: float, is_good: bool) -> None:
    """J27, J30: good until just before `exp` plus the leeway, which is applied once."""
    token = hs256(header(), claims(exp=NOW_S))
    now_s = NOW_S + LEEWAY_S + offset_s
    if is_good:
        assert verify(token, now_s=now_s).expires_wall_s == NOW_S + LEEWAY_S
    else:
        assert refused(token, now_s=now_s) is Reason.EXPIRED


def test_expiry_is_required() -> None:
    """J27."""
    assert refused(hs256(header(), claims(exp=None))) is Reason.CLAIMS


NOT_TIMES = [
    pytest.param(text, id=text[:12])
    for text in ('"1900000000"', "true", "[1900000000]", "{}", "null", "9223372036854775807", "1" + "0" * 300, "1e300")
]


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("text", NOT_TIMES)
def test_times_must_be_numbers(name: str, text: str) -> None:
    """J28, J29: strings, bools, lists and numbers beyond reason are refused, never a crash."""
    payload = json.dumps(claims(**{name: 987654321})).replace("987654321", text)
    assert refused(hs256(header(), payload.encode())) is Reason.CLAIMS


@pytest.mark.parametrize("text", ["1e400", "NaN", "1" * 5_000], ids=["1e400", "nan", "5000_digits"])
def test_numbers_that_python_trips_over(text: str) -> None:
    """J28: more digits than `int()` takes, and floats that are none."""
    assert refused(hs256(header(), b'{"sub":"a","exp":' + text.encode() + b"}")) is Reason.MALFORMED


def test_expiry_before_1970() -> None:
    """J28: -1 is a time, long past."""
    assert refused(hs256(header(), claims(exp=-1))) is Reason.EXPIRED


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_not_yet_valid(name: str) -> None:
    """J29: up to the leeway ahead."""
    verify(hs256(header(), claims(**{name: NOW_S + LEEWAY_S})))
    assert refused(hs256(header(), claims(**{name: NOW_S + LEEWAY_S + 1}))) is Reason.NOT_YET_VALID
    verify(hs256(header(), claims(**{name: NOW_S - 1.5})))


@pytest.mark.parametrize("leeway_s", [-1, 61, float("nan"), float("inf")])
def test_leeway_is_bounded(leeway_s: float) -> None:
    """J30: 0 to 60 seconds."""
    with pytest.raises(ValueError, match="leeway_seconds"):
        JwtSettings(secret=SECRET, leeway_seconds=leeway_s)


def test_lifetime() -> None:
    """J31: `exp` - `iat` when configured; then `iat` is required."""
    issued = claims(iat=NOW_S, exp=NOW_S + 3600)
    verify(hs256(header(), issued), max_lifetime_seconds=3600)
    assert refused(hs256(header(), issued), max_lifetime_seconds=3599) is Reason.LIFETIME
    assert refused(hs256(header(), claims()), max_lifetime_seconds=3600) is Reason.LIFETIME


@pytest.mark.parametrize(
    "issuer",
    [
        None,
        "",
        "https://issuer",
        "https://issuer.example/",
        "https://issuer.example.evil",
        "https://ISSUER.example",
        ["https://issuer.example"],
        1,
        True,
    ],
)
def test_issuer(issuer: Any) -> None:
    """J32: equality, no prefix, no substring, no other type."""
    payload = claims()
    if issuer is not None:
        payload["iss"] = issuer
    assert refused(hs256(header(), payload), issuer="https://issuer.example") is Reason.ISSUER
    verify(hs256(header(), claims(iss="https://issuer.example")), issuer="https://issuer.example")


def test_keys_are_bound_to_their_issuer() -> None:
    """J33: a key of A never verifies a token of B, whoever signed it."""
    for signer, issuer, is_good in (("a", "A", True), ("a", "B", False), ("b", "A", False), ("b", "B", False)):
        token = signed(rsa_key(signer), "RS256", claims(iss=issuer))
        arguments: dict[str, Any] = {"keys": key_set(rsa_key("a")), "issuer": "A"}
        if is_good:
            verify(token, **arguments)
        else:
            assert refused(token, **arguments) in (Reason.ISSUER, Reason.UNKNOWN_KEY)
    under_its_name = signed(rsa_key("b"), "RS256", claims(iss="A"), kid="a")
    assert refused(under_its_name, keys=key_set(rsa_key("a")), issuer="A") is Reason.SIGNATURE


@pytest.mark.parametrize(
    ("audience", "is_good"),
    [
        ("api", True),
        (["other", "api"], True),
        (["api"], True),
        ("other", False),
        ("api2", False),
        ("ap", False),
        ([], False),
        (["other"], False),
        (None, False),
        (1, False),
        (["api", 1], False),
        ({"api": 1}, False),
        ([["api"]], False),
    ],
    ids=repr,
)
@pytest.mark.parametrize("configured", ["api", ["api", "web"]], ids=["one", "list"])
def test_audience(audience: Any, is_good: bool, configured: Any) -> None:
    """J34: any one of them."""
    token = hs256(header(), {**claims(), "aud": audience})
    if is_good:
        verify(token, audience=configured)
    else:
        assert refused(token, audience=configured) is Reason.AUDIENCE


def test_audience_missing_or_not_configured() -> None:
    """J34: missing is refused when one is configured; otherwise only the form is checked."""
    assert refused(hs256(header(), claims()), audience="api") is Reason.AUDIENCE
    verify(hs256(header(), claims(aud="anybody")))
    assert refused(hs256(header(), claims(aud=7))) is Reason.AUDIENCE


@pytest.mark.parametrize("name", ["sub", "jti"])
@pytest.mark.parametrize("value", [1, True, ["a"], {"a": 1}])
def test_names_are_strings(name: str, value: Any) -> None:
    """J35."""
    assert refused(hs256(header(), claims(**{name: value}))) is Reason.CLAIMS


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"sub": "a\r\nx-user-roles: admin"}, id="header_injection"),
        pytest.param({"sub": "a\u0000b"}, id="nul"),
        pytest.param({"sub": "Jürgen"}, id="non_ascii"),
        pytest.param({"sub": " alice"}, id="leading_space"),
        pytest.param({"sub": "alice "}, id="trailing_space"),
        pytest.param({"sub": "a" * 1_025}, id="long_user"),
        pytest.param({"sub": "\ud800"}, id="lone_surrogate"),
        pytest.param({"roles": ["user,admin"]}, id="comma_in_role"),
        pytest.param({"roles": ["ad\nmin"]}, id="line_feed_in_role"),
        pytest.param({"roles": [""]}, id="empty_role"),
        pytest.param({"roles": ["rôle"]}, id="non_ascii_role"),
        pytest.param({"roles": [1]}, id="number_role"),
        pytest.param({"roles": {"admin": True}}, id="object_roles"),
        pytest.param({"roles": True}, id="bool_roles"),
        pytest.param({"roles": "user  admin"}, id="two_spaces"),
        pytest.param({"roles": "user\tadmin"}, id="tab"),
    ],
)
def test_identity_must_fit_into_headers(more: dict[str, Any]) -> None:
    """J36, semantics 28: such a token is refused, not cut."""
    assert refused(hs256(header(), claims(**more))) is Reason.IDENTITY


def test_identity_forms() -> None:
    """semantics 28, 34: no roles, a scope text, a numeric id in a claim of its own, no user."""
    assert verify(hs256(header(), claims(roles=None))).identity.roles == ()
    scope = verify(hs256(header(), claims(scope="read write")), roles_claim="scope").identity
    assert scope.roles == ("read", "write")
    assert verify(hs256(header(), claims(uid=7)), user_claim="uid").identity.user_id == "7"
    assert verify(hs256(header(), claims(sub=None))).identity.user_id == ""
    dotted = claims(realm_access={"roles": ["admin"]})
    assert verify(hs256(header(), dotted), roles_claim="realm_access.roles").identity.roles == ("admin",)
    assert verify(hs256(header(), claims(realm_access=["x"])), roles_claim="realm_access.roles").identity.roles == ()
