"""Whatever comes as a token: refused, or verified because it was signed. Nothing else ever happens."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from api_gateway.config.settings import JwtSettings
from api_gateway.policy.refusal import Refused
from api_gateway.policy.token_service import read_expiry
from api_gateway.policy.tokens.key_set import KeySet, KeySetError, parse_key_set
from api_gateway.policy.tokens.keys import UnusableKeyError, jwk_key
from api_gateway.policy.tokens.verifier import JwtVerifier, configured_keys
from tests.support.token_factory import (
    ALL_ALGORITHMS,
    NOW_S,
    SECRET,
    b64,
    claims,
    ec_key,
    hs256,
    key_set,
    public,
    rsa_key,
)

SETTINGS = JwtSettings(secret=SECRET, algorithms=["HS256", "HS384", "HS512"], issuer="i", audience="a")
VERIFIER = JwtVerifier(SETTINGS, max_token_bytes=8_192)
KEYS = configured_keys(SETTINGS) or KeySet(())
GOOD_CLAIMS = claims(iss="i", aud="a")
GOOD = hs256({"alg": "HS256"}, GOOD_CLAIMS)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
header_names = st.sampled_from(["alg", "kid", "typ", "cty", "crit", "b64", "zip", "jwk", "jku", "x5c"])
claim_names = st.sampled_from(["sub", "exp", "nbf", "iat", "iss", "aud", "jti", "roles"])


def is_accepted(token: bytes) -> bool:
    try:
        VERIFIER.verify(token, KEYS, NOW_S)
    except Refused:
        return False
    return True


@given(st.binary(max_size=300))
@example(GOOD[:-1])
def test_any_bytes(token: bytes) -> None:
    """H22: arbitrary bytes are refused, and by nothing but Refused."""
    assert not is_accepted(token)
    read_expiry(token)


@given(st.binary(), st.binary(), st.binary())
def test_any_three_segments(header: bytes, payload: bytes, signature: bytes) -> None:
    """H22: three well-formed segments of anything."""
    assert not is_accepted(b".".join(map(b64, (header, payload, signature))))


@given(st.dictionaries(header_names, json_values))
def test_any_header(header: dict[str, Any]) -> None:
    """H22: any header over a right signature; only plain ones pass."""
    text = json.dumps({"alg": "HS256", **header}).encode()
    token = hs256(text, GOOD_CLAIMS)
    if is_accepted(token):
        assert header.get("alg", "HS256") == "HS256" and "crit" not in header and header.get("b64", True) is True


@given(st.dictionaries(claim_names, json_values))
def test_any_claims(more: dict[str, Any]) -> None:
    """H22: any claims over a right signature; what passes has right times and names, and fits into headers."""
    token = hs256({"alg": "HS256"}, json.dumps({**GOOD_CLAIMS, **more}).encode())
    try:
        verified = VERIFIER.verify(token, KEYS, NOW_S)
    except Refused:
        return
    payload = {**GOOD_CLAIMS, **more}
    assert type(payload["exp"]) in (int, float) and payload["exp"] > NOW_S - 30
    assert payload["iss"] == "i" and "a" in payload["aud"]
    for name, value in verified.identity.metadata:
        assert value.isascii() and value.decode().isprintable() and value.strip() == value, name


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_any_changed_byte(position: int, value: int) -> None:
    """H22, J21: one changed byte anywhere makes another token."""
    token = GOOD[:position] + bytes((value,)) + GOOD[position + 1 :]
    assert is_accepted(token) == (token == GOOD)


@given(st.binary(max_size=200))
@example(b'{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}')
def test_any_key_set(data: bytes) -> None:
    """J48: whatever a publisher sends is a set or a KeySetError."""
    with contextlib.suppress(KeySetError):
        parse_key_set(data, ALL_ALGORITHMS)


jwk_names = st.sampled_from(["kty", "crv", "alg", "use", "key_ops", "kid", "n", "e", "x", "y", "k", "d"])
jwk_values = json_values | st.sampled_from(["RSA", "EC", "oct", "AQAB"])


@given(st.sampled_from([rsa_key(), ec_key()]), st.dictionaries(jwk_names, jwk_values))
def test_any_changed_key(key: Any, more: dict[str, Any]) -> None:
    """J51: a damaged key is left out, whatever the damage; a good one beside it serves."""
    damaged = {**public(key), **more}
    with contextlib.suppress(UnusableKeyError):
        assert jwk_key(damaged, ALL_ALGORITHMS).algorithms
    with contextlib.suppress(KeySetError):  # mixed with a secret, or of one name
        assert parse_key_set(key_set(damaged, public(ec_key("other"))), ALL_ALGORITHMS).keys
