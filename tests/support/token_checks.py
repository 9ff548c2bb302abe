"""A token against a verifier, in one line."""

from __future__ import annotations

from typing import Any

import pytest

from api_gateway.config.settings import JwtSettings
from api_gateway.policy.refusal import Reason, Refused
from api_gateway.policy.tokens.key_set import KeySetError, parse_key_set
from api_gateway.policy.tokens.verifier import JwtVerifier, Verified, configured_keys
from tests.support.token_factory import (
    ALL_ALGORITHMS,
    NOW_S,
    SECRET,
    key_set,
)

ASYMMETRIC = sorted(name for name in ALL_ALGORITHMS if not name.startswith("HS"))
URL = "https://issuer.example/keys"


def verify(token: bytes, *, keys: bytes | None = None, now_s: float = NOW_S, **settings: Any) -> Verified:
    """Check a token, with a published key set or with the shared secret."""
    if keys is None:
        settings.setdefault("secret", SECRET)
    elif "public_key" not in settings:
        settings.setdefault("jwks_url", URL)
        settings.setdefault("algorithms", ASYMMETRIC)
    made = JwtSettings(**settings)
    found = configured_keys(made) or parse_key_set(keys or b"", frozenset(made.algorithms))
    return JwtVerifier(made, max_token_bytes=8_192).verify(token, found, now_s)


def refused(token: bytes, **arguments: Any) -> Reason:
    """Return why a token is refused."""
    with pytest.raises(Refused) as caught:
        verify(token, **arguments)
    return caught.value.reason


def header(**more: Any) -> dict[str, Any]:
    """Return a header for HS256."""
    return {"alg": "HS256", **more}


def fits(algorithm: str, key: Any) -> bool:
    """Whether a key may check tokens of an algorithm."""
    try:
        parse_key_set(key_set(key), frozenset({algorithm}))
    except KeySetError:
        return False
    return True
