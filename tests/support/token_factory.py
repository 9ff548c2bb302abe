"""Tokens and keys for tests: good ones signed by joserfc, bad ones put together by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import warnings
from functools import cache
from typing import Any, Literal

from joserfc import jws, jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

NOW_S = 1_700_000_000.0
"""Wall-clock time of the tests."""
SECRET = "a secret of exactly sixty-four bytes, as HS512 wants it to be....."
ALL_ALGORITHMS = frozenset(f"{family}{bits}" for family in ("HS", "RS", "PS", "ES") for bits in (256, 384, 512)) | {
    "EdDSA",
    "Ed25519",
}
_REGISTRY = jws.JWSRegistry(algorithms=sorted(ALL_ALGORITHMS), strict_check_header=False)


@cache
def rsa_key(name: str = "rsa") -> RSAKey:
    """Return the same RSA key for the same name."""
    return RSAKey.generate_key(2048, {"kid": name}, private=True)


@cache
def ec_key(name: str = "ec", curve: str = "P-256") -> ECKey:
    """Return the same key for the same name."""
    return ECKey.generate_key(curve, {"kid": name}, private=True)


@cache
def ed_key(name: str = "ed", curve: Literal["Ed25519", "Ed448"] = "Ed25519") -> OKPKey:
    """Return the same key for the same name."""
    return OKPKey.generate_key(curve, {"kid": name}, private=True)


def secret_key(secret: str = SECRET) -> OctKey:
    """Return a shared secret."""
    return OctKey.import_key(secret)


def public(key: Key, **more: Any) -> dict[str, Any]:
    """Return the public half of a key as a JWK, with `more` members."""
    return {**key.as_dict(private=False), **more}


def key_set(*jwks: dict[str, Any] | Key) -> bytes:
    """Return a JWK Set."""
    return json.dumps({"keys": [jwk if isinstance(jwk, dict) else public(jwk) for jwk in jwks]}).encode()


def claims(**more: Any) -> dict[str, Any]:
    """Return good claims; a value of None takes one out."""
    made = {"sub": "alice", "roles": ["user"], "exp": int(NOW_S) + 600, **more}
    return {name: value for name, value in made.items() if value is not None}


def signed(key: Key, algorithm: str, payload: dict[str, Any] | None = None, **header: Any) -> bytes:
    """Return a token signed by joserfc."""
    made = {"alg": algorithm, **({"kid": key.kid} if key.kid else {}), **header}
    text = {name: value for name, value in made.items() if value is not None}
    with warnings.catch_warnings():
        # RFC 9864 wants `Ed25519` instead; issuers still write `EdDSA`.
        warnings.simplefilter("ignore", SecurityWarning)
        return jwt.encode(text, claims() if payload is None else payload, key, registry=_REGISTRY).encode()


def b64(data: bytes | str) -> bytes:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data.encode() if isinstance(data, str) else data).rstrip(b"=")


def text_of(value: Any) -> bytes:
    """Return bytes as they are, other values as JSON."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def hs256(header: Any, payload: Any, secret: str | bytes = SECRET) -> bytes:
    """Return a token with a right HS256 signature over whatever header and payload are given (bytes: as they are)."""
    signing_input = b64(text_of(header)) + b"." + b64(text_of(payload))
    key = secret.encode() if isinstance(secret, str) else secret
    return signing_input + b"." + b64(hmac.new(key, signing_input, hashlib.sha256).digest())
