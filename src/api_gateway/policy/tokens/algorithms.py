"""Signature algorithms (RFC 7518 section 3, RFC 8037, RFC 9864), each bound to the one kind of key it may use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import (
    Algorithm,
    ECAlgorithm,
    HMACAlgorithm,
    OKPAlgorithm,
    RSAAlgorithm,
    RSAPSSAlgorithm,
)

MIN_RSA_BITS: Final = 2_048
"""RFC 7518 section 3.3."""
MAX_RSA_BITS: Final = 8_192
"""Beyond this one check costs milliseconds, for which no issuer has a use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureAlgorithm:
    """One algorithm. PyJWT computes; which key it may use is decided here, from the key alone."""

    name: str
    implementation: Algorithm
    min_secret_bytes: int = 0
    """For HMAC, the size of the hash: a shorter secret is weaker (RFC 7518 section 3.2)."""
    curve: type[ec.EllipticCurve] | None = None
    kty: str = ""
    """`kty` of its keys in a JWK."""

    def accepts(self, material: Any) -> bool:
        """Whether a key is of the kind, curve and size that this algorithm demands."""
        match material:
            case bytes():
                return self.kty == "oct" and len(material) >= self.min_secret_bytes
            case rsa.RSAPublicKey():
                return self.kty == "RSA"
            case ec.EllipticCurvePublicKey():
                return self.curve is not None and isinstance(material.curve, self.curve)
            case ed25519.Ed25519PublicKey():
                return self.kty == "OKP"
            case _:
                return False

    def signature_bytes(self, material: Any) -> int:
        """Return the one length that a signature under a key has: shorter ones pass some libraries as if padded."""
        match material:
            case rsa.RSAPublicKey():
                return (material.key_size + 7) // 8
            case ec.EllipticCurvePublicKey():
                return 2 * ((material.curve.key_size + 7) // 8)
            case ed25519.Ed25519PublicKey():
                return 64
            case _:
                return self.min_secret_bytes


def _hmac(name: str, hash_algorithm: Any, size_bytes: int) -> SignatureAlgorithm:
    return SignatureAlgorithm(
        name=name, implementation=HMACAlgorithm(hash_algorithm), min_secret_bytes=size_bytes, kty="oct"
    )


def _ecdsa(name: str, hash_algorithm: Any, curve: type[ec.EllipticCurve]) -> SignatureAlgorithm:
    return SignatureAlgorithm(name=name, implementation=ECAlgorithm(hash_algorithm, curve), curve=curve, kty="EC")


def _rsa(name: str, implementation: Algorithm) -> SignatureAlgorithm:
    return SignatureAlgorithm(name=name, implementation=implementation, kty="RSA")


ALGORITHMS: Final[dict[str, SignatureAlgorithm]] = {
    algorithm.name: algorithm
    for algorithm in (
        _hmac("HS256", HMACAlgorithm.SHA256, 32),
        _hmac("HS384", HMACAlgorithm.SHA384, 48),
        _hmac("HS512", HMACAlgorithm.SHA512, 64),
        _rsa("RS256", RSAAlgorithm(RSAAlgorithm.SHA256)),
        _rsa("RS384", RSAAlgorithm(RSAAlgorithm.SHA384)),
        _rsa("RS512", RSAAlgorithm(RSAAlgorithm.SHA512)),
        _rsa("PS256", RSAPSSAlgorithm(RSAPSSAlgorithm.SHA256)),
        _rsa("PS384", RSAPSSAlgorithm(RSAPSSAlgorithm.SHA384)),
        _rsa("PS512", RSAPSSAlgorithm(RSAPSSAlgorithm.SHA512)),
        _ecdsa("ES256", ECAlgorithm.SHA256, ec.SECP256R1),
        _ecdsa("ES384", ECAlgorithm.SHA384, ec.SECP384R1),
        _ecdsa("ES512", ECAlgorithm.SHA512, ec.SECP521R1),
        SignatureAlgorithm(name="EdDSA", implementation=OKPAlgorithm(), kty="OKP"),
        SignatureAlgorithm(name="Ed25519", implementation=OKPAlgorithm(), kty="OKP"),
    )
}
"""Every algorithm there is here. `none` is not among them, so nothing can switch it on. EdDSA is Ed25519 only."""
