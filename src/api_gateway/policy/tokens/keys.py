"""Keys that verify signatures: from a secret, from PEM text, from a JWK. A key decides which algorithms may use it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.exceptions import InvalidKeyError

from .algorithms import ALGORITHMS, MAX_RSA_BITS, MIN_RSA_BITS
from .base64url import decode_base64url

_NUMBERS: Final = {"RSA": ("n", "e"), "EC": ("x", "y"), "OKP": ("x",), "oct": ("k",)}
"""Members of a JWK that carry the key, by `kty`."""
_CURVES: Final = {"EC": ("P-256", "P-384", "P-521"), "OKP": ("Ed25519",)}
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})
_ONE_ALGORITHM_OF: Final = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA", "oct": "HS256"}
"""Any algorithm of a key type, for its JWK reader."""


class UnusableKeyError(ValueError):
    """A key that must not or cannot verify anything; the text names the fault, never the key."""


class PrivateKeyPublishedError(UnusableKeyError):
    """A private key where only public ones belong: whoever can read it can make tokens."""


@dataclass(frozen=True, slots=True, eq=False)
class VerificationKey:
    """One key with the names of the algorithms it may verify; never empty."""

    material: Any
    algorithms: frozenset[str]
    key_id: str | None
    fingerprint: bytes
    """SHA-256 of the key: equal for the same key in another set."""

    def verify(self, algorithm: str, signing_input: bytes, signature: bytes) -> bool:
        """Whether the signature is good. `algorithm` must be one of `algorithms`."""
        rules = ALGORITHMS[algorithm]
        if len(signature) != rules.signature_bytes(self.material):
            return False
        try:
            return bool(rules.implementation.verify(signing_input, self.material, signature))
        except Exception:  # noqa: BLE001, RUF100  # whatever the library raises, nothing was proven
            return False


def secret_key(secret: str, algorithms: frozenset[str]) -> VerificationKey:
    """Make the key of a shared secret.

    Raises UnusableKeyError when the secret is shorter than an algorithm's hash, or is a public key in disguise.
    """
    material = secret.encode("utf-8")
    try:
        ALGORITHMS["HS256"].implementation.prepare_key(material)
    except (InvalidKeyError, ValueError) as error:
        raise UnusableKeyError("the secret is empty, or an asymmetric key") from error
    need = max(ALGORITHMS[name].min_secret_bytes for name in algorithms)
    if len(material) < need:
        raise UnusableKeyError(f"the secret must have at least {need} bytes")
    return _bind(material, algorithms, None, hashlib.sha256(b"oct" + material).digest())


def pem_key(pem: str, algorithms: frozenset[str]) -> VerificationKey:
    """Make the key of PEM text (`BEGIN PUBLIC KEY`, SubjectPublicKeyInfo).

    Raises UnusableKeyError for private keys, weak keys and keys that none of the algorithms may use.
    """
    if "PRIVATE KEY" in pem:
        raise PrivateKeyPublishedError("expected a public key, got a private one")
    try:
        material = serialization.load_pem_public_key(pem.encode("utf-8"))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnusableKeyError("not a public key in PEM form") from error
    return _public_key(material, algorithms, None)


def jwk_key(jwk: dict[str, Any], algorithms: frozenset[str]) -> VerificationKey:
    """Make the key of one JWK (RFC 7517 section 4) for as many of `algorithms` as it may verify.

    Raises PrivateKeyPublishedError, or UnusableKeyError when it is of an unknown kind, weak, broken, meant for
    something else than signatures, or bound to an algorithm that is not among them.
    """
    kty = jwk.get("kty")
    if type(kty) is not str or kty not in _NUMBERS:
        raise UnusableKeyError("unknown kty")
    if not _PRIVATE.isdisjoint(jwk):
        raise PrivateKeyPublishedError("the private half of a key is published")
    _check_purpose(jwk)
    key_id = jwk.get("kid")
    if key_id is not None and type(key_id) is not str:
        raise UnusableKeyError("kid is not a string")
    if kty in _CURVES and jwk.get("crv") not in _CURVES[kty]:
        raise UnusableKeyError("unknown curve")
    if "alg" in jwk:
        # RFC 7517 section 4.4: the key is for this algorithm and no other.
        algorithms = algorithms & {jwk["alg"]} if type(jwk["alg"]) is str else frozenset()
    material = _jwk_material(kty, jwk)
    if isinstance(material, bytes):
        return _bind(material, algorithms, key_id, hashlib.sha256(b"oct" + material).digest())
    return _public_key(material, algorithms, key_id)


def _check_purpose(jwk: dict[str, Any]) -> None:
    if jwk.get("use", "sig") != "sig":
        raise UnusableKeyError("use is not sig")
    operations = jwk.get("key_ops", ["verify"])
    if type(operations) is not list or "verify" not in operations:
        raise UnusableKeyError("key_ops do not name verify")


def _jwk_material(kty: str, jwk: dict[str, Any]) -> Any:
    try:
        for name in _NUMBERS[kty]:
            decode_base64url(jwk[name].encode("ascii"))
        return ALGORITHMS[_ONE_ALGORITHM_OF[kty]].implementation.from_jwk(jwk)
    except (ValueError, KeyError, AttributeError, TypeError, UnsupportedAlgorithm, InvalidKeyError) as error:
        raise UnusableKeyError("the key's numbers are missing or broken") from error


def _public_key(material: Any, algorithms: frozenset[str], key_id: str | None) -> VerificationKey:
    if isinstance(material, rsa.RSAPublicKey):
        _check_rsa(material)
    try:
        text = material.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, AttributeError) as error:
        raise UnusableKeyError("not a public key") from error
    return _bind(material, algorithms, key_id, hashlib.sha256(text).digest())


def _bind(material: Any, algorithms: frozenset[str], key_id: str | None, fingerprint: bytes) -> VerificationKey:
    accepted = frozenset(name for name in algorithms if ALGORITHMS[name].accepts(material))
    if not accepted:
        raise UnusableKeyError(f"the key fits none of the algorithms {', '.join(sorted(algorithms)) or '(none)'}")
    return VerificationKey(material, accepted, key_id, fingerprint)


def _check_rsa(key: rsa.RSAPublicKey) -> None:
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise UnusableKeyError(f"an RSA key has {key.key_size} bits; {MIN_RSA_BITS} to {MAX_RSA_BITS} are accepted")
    numbers = key.public_numbers()
    if numbers.e < 3 or numbers.e % 2 == 0:
        raise UnusableKeyError("the RSA exponent is too small or even")
    if _is_roca(numbers.n):
        raise UnusableKeyError("the RSA modulus was made by the flawed Infineon library (CVE-2017-15361)")


def _powers(generator: int, prime: int) -> frozenset[int]:
    powers, value = {1}, generator % prime
    while value != 1:
        powers.add(value)
        value = value * generator % prime
    return frozenset(powers)


_ROCA_PRIMES: Final = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
"""The primes up to 157 whose residues are not all powers of 65537: a sound modulus is caught by chance once in 2^27."""
_ROCA: Final = tuple((prime, _powers(65_537, prime)) for prime in _ROCA_PRIMES)


def _is_roca(modulus: int) -> bool:
    """Whether a modulus has the form k*M + 65537^a: then it is a power of 65537 modulo each small prime."""
    return all(modulus % prime in powers for prime, powers in _ROCA)
