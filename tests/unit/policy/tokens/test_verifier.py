"""From the bytes of a token to a caller. tests/security attacks this from every side."""

from __future__ import annotations

import pytest

from api_gateway.config.settings import JwtSettings
from api_gateway.policy.refusal import Reason, Refused
from api_gateway.policy.tokens.compact import parse_compact
from api_gateway.policy.tokens.key_set import parse_key_set
from api_gateway.policy.tokens.verifier import check_signature, configured_keys
from tests.support.token_checks import refused, verify
from tests.support.token_factory import NOW_S, SECRET, b64, claims, hs256, key_set, rsa_key, signed, text_of


def test_a_good_token_tells_who_when_and_by_which_key() -> None:
    verified = verify(hs256({"alg": "HS256"}, claims()), leeway_seconds=0)
    assert (verified.identity.user_id, verified.identity.roles) == ("alice", ("user",))
    assert (b"x-auth-claims", b64(text_of(claims()))) in verified.identity.metadata
    assert verified.expires_wall_s == NOW_S + 600
    assert len(verified.key) == 32


def test_keys_of_a_set_are_tried_until_one_fits() -> None:
    keys = parse_key_set(key_set(rsa_key("one"), rsa_key("two")), frozenset({"RS256"}))
    token = parse_compact(signed(rsa_key("two"), "RS256", kid=None), max_bytes=8_192)
    assert check_signature(token, keys).key_id == "two"
    with pytest.raises(Refused) as caught:
        check_signature(parse_compact(signed(rsa_key("three"), "RS256", kid=None), max_bytes=8_192), keys)
    assert caught.value.reason is Reason.SIGNATURE


def test_order_of_the_checks() -> None:
    """What is cheap comes first, and claims mean nothing before the signature."""
    expired = claims(exp=1)
    assert refused(hs256({"alg": "none"}, expired, "x" * 64)) is Reason.ALGORITHM
    assert refused(hs256({"alg": "HS256"}, expired, "x" * 64)) is Reason.SIGNATURE
    assert refused(hs256({"alg": "HS256"}, expired)) is Reason.EXPIRED
    assert refused(hs256({"alg": "HS256", "typ": "x"}, expired, "x" * 64), typ="at+jwt") is Reason.HEADER


def test_configured_keys() -> None:
    assert configured_keys(JwtSettings(jwks_url="https://issuer.example/keys")) is None
    from_secret = configured_keys(JwtSettings(secret=SECRET))
    assert from_secret is not None
    assert [key.algorithms for key in from_secret.keys] == [frozenset({"HS256"})]
    public_key = rsa_key().as_pem(private=False).decode()
    from_pem = configured_keys(JwtSettings(public_key=public_key, algorithms=["RS256"]))
    assert from_pem is not None
    assert [key.algorithms for key in from_pem.keys] == [frozenset({"RS256"})]
