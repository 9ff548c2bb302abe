"""Rules of claims, as a configuration makes them. tests/security/test_jwt_claims.py attacks them with whole tokens."""

from __future__ import annotations

from typing import Any

import pytest

from api_gateway.config.settings import JwtSettings
from api_gateway.policy.refusal import Reason, Refused
from api_gateway.policy.tokens.claims import ClaimRules
from tests.support.token_factory import NOW_S, SECRET, claims


def rules(**settings: Any) -> ClaimRules:
    return ClaimRules.of(JwtSettings(secret=SECRET, **settings))


def test_rules_are_those_of_the_configuration() -> None:
    made = rules(issuer="i", audience="a", leeway_seconds=5, max_lifetime_seconds=60, roles_claim="realm.roles")
    assert (made.issuer, made.audiences, made.leeway_s, made.max_lifetime_s) == ("i", frozenset({"a"}), 5, 60)
    assert made.roles_path == ("realm", "roles")
    assert rules(audience=["a", "b"]).audiences == frozenset({"a", "b"})
    assert rules().audiences is None


def test_good_claims_tell_when_they_end() -> None:
    """semantics 34: the leeway belongs to the lifetime, so that a cache keeps the token as long as a check takes it."""
    assert rules(leeway_seconds=30).check(claims(exp=int(NOW_S) + 600), NOW_S) == NOW_S + 630


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        pytest.param({"exp": None}, Reason.CLAIMS, id="no exp"),
        pytest.param({"exp": True}, Reason.CLAIMS, id="exp is true"),
        pytest.param({"exp": int(NOW_S) - 31}, Reason.EXPIRED, id="expired"),
        pytest.param({"nbf": NOW_S + 31}, Reason.NOT_YET_VALID, id="not yet"),
        pytest.param({"iat": NOW_S + 31}, Reason.NOT_YET_VALID, id="made in the future"),
        pytest.param({"iss": "other"}, Reason.ISSUER, id="issuer"),
        pytest.param({"aud": ["other"]}, Reason.AUDIENCE, id="audience"),
        pytest.param({"aud": {}}, Reason.AUDIENCE, id="audience is an object"),
        pytest.param({"sub": 7}, Reason.CLAIMS, id="sub is a number"),
    ],
)
def test_claims_are_refused_with_their_reason(more: dict[str, Any], reason: Reason) -> None:
    good = claims(iss="issuer", aud="api")
    checked = rules(issuer="issuer", audience="api", leeway_seconds=30)
    checked.check(good, NOW_S)
    found = {name: value for name, value in {**good, **more}.items() if value is not None}
    with pytest.raises(Refused) as caught:
        checked.check(found, NOW_S)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("payload", "user", "roles"),
    [
        pytest.param({"sub": "alice", "roles": ["a", "b"]}, "alice", ("a", "b"), id="list"),
        pytest.param({"sub": "alice", "roles": "a b"}, "alice", ("a", "b"), id="text"),
        pytest.param({"sub": "alice"}, "alice", (), id="no roles"),
        pytest.param({}, "", (), id="nobody"),
    ],
)
def test_identity_comes_from_the_named_claims(payload: dict[str, Any], user: str, roles: tuple[str, ...]) -> None:
    """semantics 28, 34."""
    identity = rules().identify(payload, b"e30")
    assert (identity.user_id, identity.roles) == (user, roles)
    assert (b"x-auth-claims", b"e30") in identity.metadata
