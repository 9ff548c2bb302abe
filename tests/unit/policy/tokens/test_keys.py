"""Keys from secrets, PEM text and JWKs. tests/security/test_jwt_keys.py attacks them with whole tokens."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization

from api_gateway.policy.tokens.keys import (
    PrivateKeyPublishedError,
    UnusableKeyError,
    VerificationKey,
    jwk_key,
    pem_key,
    secret_key,
)
from tests.support.token_factory import SECRET, ec_key, ed_key, public, rsa_key

ALL = frozenset({"RS256", "PS256", "ES256", "EdDSA"})


def pem(private: bool = False) -> str:
    return rsa_key().as_pem(private=private).decode()


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param(jwk_key(public(rsa_key()), ALL), {"RS256", "PS256"}, id="rsa"),
        pytest.param(jwk_key(public(rsa_key(), alg="PS256"), ALL), {"PS256"}, id="bound to one algorithm"),
        pytest.param(jwk_key(public(ec_key()), ALL), {"ES256"}, id="ec"),
        pytest.param(jwk_key(public(ed_key()), ALL), {"EdDSA"}, id="ed25519"),
        pytest.param(pem_key(pem(), ALL), {"RS256", "PS256"}, id="pem"),
        pytest.param(secret_key(SECRET, frozenset({"HS256"})), {"HS256"}, id="secret"),
    ],
)
def test_a_key_knows_its_algorithms(key: VerificationKey, expected: set[str]) -> None:
    assert key.algorithms == expected


def test_one_key_has_one_fingerprint_whatever_it_was_read_from() -> None:
    assert pem_key(pem(), ALL).fingerprint == jwk_key(public(rsa_key()), ALL).fingerprint
    assert pem_key(pem(), ALL).fingerprint != jwk_key(public(rsa_key("other")), ALL).fingerprint


def test_private_keys_are_refused_wherever_they_stand() -> None:
    with pytest.raises(PrivateKeyPublishedError):
        pem_key(pem(private=True), ALL)
    with pytest.raises(PrivateKeyPublishedError):
        jwk_key(dict(rsa_key().as_dict(private=True)), ALL)


def test_secrets_are_as_long_as_their_longest_hash() -> None:
    secret_key("x" * 32, frozenset({"HS256"}))
    with pytest.raises(UnusableKeyError, match="64 bytes"):
        secret_key("x" * 63, frozenset({"HS256", "HS512"}))
    with pytest.raises(UnusableKeyError, match="asymmetric key"):
        secret_key(pem(), frozenset({"HS256"}))


def test_keys_that_fit_no_algorithm_are_refused() -> None:
    with pytest.raises(UnusableKeyError, match="fits none of the algorithms ES256"):
        pem_key(pem(), frozenset({"ES256"}))


def test_what_the_library_raises_proves_nothing() -> None:
    """A broken signature is a bad one, never an error that could be taken for something else."""
    key = jwk_key(public(ec_key()), ALL)
    assert isinstance(key.material.public_bytes(*_DER), bytes)
    for signature in (b"", b"x", b"\xff" * 64, b"\x00" * 64):
        assert key.verify("ES256", b"input", signature) is False


_DER = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_a_library_that_fails_proves_nothing() -> None:
    """J7: whatever it raises, and for whatever reason, the signature is not good."""
    broken = VerificationKey(object(), frozenset({"RS256"}), None, b"")
    assert not broken.verify("RS256", b"input", b"")


@pytest.mark.parametrize("key_id", [5, True, ["rsa"], {"rsa": 1}])
def test_names_of_keys_are_texts(key_id: object) -> None:
    """J14, J51: a key with another name is left out, for tokens without `kid` as well."""
    with pytest.raises(UnusableKeyError, match="kid is not a string"):
        jwk_key(public(rsa_key(), kid=key_id), ALL)


@pytest.mark.parametrize("change", ["{}=", "{}==", " {}", "{}\n", "{}."])
def test_numbers_of_keys_are_strict_base64url(change: str) -> None:
    """J21, J51: as those of tokens: one key has one text."""
    jwk = public(rsa_key())
    jwk_key(jwk, ALL)
    for name in ("n", "e"):
        with pytest.raises(UnusableKeyError, match="broken"):
            jwk_key({**jwk, name: change.format(jwk[name])}, ALL)
