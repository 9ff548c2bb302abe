"""Which key an algorithm may use: decided by the key alone. tests/security/test_jwt_keys.py attacks it."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from api_gateway.policy.tokens.algorithms import ALGORITHMS
from tests.support.token_factory import ALL_ALGORITHMS, rsa_key

KEYS: dict[str, Any] = {
    "RSA": rsa_key().public_key,
    "P-256": ec.generate_private_key(ec.SECP256R1()).public_key(),
    "P-384": ec.generate_private_key(ec.SECP384R1()).public_key(),
    "P-521": ec.generate_private_key(ec.SECP521R1()).public_key(),
    "secp256k1": ec.generate_private_key(ec.SECP256K1()).public_key(),
    "Ed25519": ed25519.Ed25519PrivateKey.generate().public_key(),
    "Ed448": ed448.Ed448PrivateKey.generate().public_key(),
    "32 bytes": b"x" * 32,
    "64 bytes": b"x" * 64,
    "text": "x" * 64,
}


def test_there_are_these_algorithms_and_no_other() -> None:
    """J2: `none` cannot be switched on."""
    assert frozenset(ALGORITHMS) == ALL_ALGORITHMS


@pytest.mark.parametrize(
    ("algorithm", "accepted"),
    [
        ("HS256", {"32 bytes", "64 bytes"}),
        ("HS384", {"64 bytes"}),
        ("HS512", {"64 bytes"}),
        *((name, {"RSA"}) for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        ("ES256", {"P-256"}),
        ("ES384", {"P-384"}),
        ("ES512", {"P-521"}),
        ("EdDSA", {"Ed25519"}),
        ("Ed25519", {"Ed25519"}),
    ],
)
def test_each_algorithm_takes_one_kind_of_key(algorithm: str, accepted: set[str]) -> None:
    assert isinstance(KEYS["RSA"], rsa.RSAPublicKey)
    assert {name for name, key in KEYS.items() if ALGORITHMS[algorithm].accepts(key)} == accepted
