"""Which key may check which token: J1 to J6 and J10 to J17, with tokens that real signers made and with forged ones."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.jwk import RSAKey
from jwcrypto import jwk as other_jwk
from jwcrypto import jwt as other_jwt

from api_gateway.config.settings import JwtSettings
from api_gateway.policy.refusal import Reason, Refused
from api_gateway.policy.tokens.base64url import decode_base64url
from api_gateway.policy.tokens.key_set import KeySet, KeySetError, parse_key_set
from api_gateway.policy.tokens.verifier import JwtVerifier, configured_keys
from tests.support.token_checks import ASYMMETRIC, fits, header, refused, verify
from tests.support.token_factory import (
    ALL_ALGORITHMS,
    NOW_S,
    SECRET,
    b64,
    claims,
    ec_key,
    ed_key,
    hs256,
    key_set,
    public,
    rsa_key,
    secret_key,
    signed,
)

GOOD = hs256(header(), claims())


@pytest.mark.parametrize(
    ("algorithm", "make_key"),
    [
        *(pytest.param(name, rsa_key, id=name) for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        pytest.param("ES256", ec_key, id="ES256"),
        pytest.param("ES384", lambda: ec_key("ec384", "P-384"), id="ES384"),
        pytest.param("ES512", lambda: ec_key("ec512", "P-521"), id="ES512"),
        pytest.param("EdDSA", ed_key, id="EdDSA"),
        pytest.param("Ed25519", ed_key, id="Ed25519"),
    ],
)
def test_every_algorithm_works(algorithm: str, make_key: Callable[[], Any]) -> None:
    """J1, J8, J9, J12: tokens that joserfc signed, with a key from a set."""
    key = make_key()
    verified = verify(signed(key, algorithm), keys=key_set(key))
    assert (verified.identity.user_id, verified.identity.roles) == ("alice", ("user",))
    for other in ASYMMETRIC:
        if other != algorithm and fits(other, key):
            assert refused(signed(key, algorithm), keys=key_set(key), algorithms=[other]) is Reason.ALGORITHM


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_shared_secrets_work(algorithm: str) -> None:
    """J1: with a configured secret."""
    assert verify(signed(secret_key(), algorithm), algorithms=[algorithm]).identity.user_id == "alice"


@pytest.mark.parametrize(
    ("algorithm", "kty", "more"),
    [
        pytest.param("RS256", "RSA", {"size": 2048}, id="RS256"),
        pytest.param("PS512", "RSA", {"size": 2048}, id="PS512"),
        pytest.param("ES256", "EC", {"crv": "P-256"}, id="ES256"),
        pytest.param("ES512", "EC", {"crv": "P-521"}, id="ES512"),
        pytest.param("EdDSA", "OKP", {"crv": "Ed25519"}, id="EdDSA"),
    ],
)
def test_tokens_of_another_signer(algorithm: str, kty: str, more: dict[str, Any]) -> None:
    """J1: tokens and key sets that jwcrypto made."""
    key = other_jwk.JWK.generate(kty=kty, kid="k", **more)
    token = other_jwt.JWT(header={"alg": algorithm, "kid": "k"}, claims=json.dumps(claims()))
    token.make_signed_token(key)
    assert verify(token.serialize().encode(), keys=key_set(key.export_public(as_dict=True))).identity.user_id == "alice"


def test_mac_under_a_public_key() -> None:
    """J1: the classic confusion. The public key's text is no secret, whatever the token says."""
    pem = rsa_key().as_pem(private=False)
    forged = hs256({"alg": "HS256", "kid": "rsa"}, claims(), pem)
    assert refused(forged, keys=key_set(rsa_key())) is Reason.ALGORITHM
    assert refused(forged, keys=b"", public_key=pem.decode(), algorithms=["RS256"]) is Reason.ALGORITHM


def test_algorithms_of_both_families_cannot_be_configured() -> None:
    """J1: RFC 8725 section 3.1."""
    pem = rsa_key().as_pem(private=False).decode()
    for wrong in ({"secret": SECRET, "algorithms": ["HS256", "RS256"]}, {"public_key": pem, "algorithms": ["HS256"]}):
        with pytest.raises(ValueError, match="cannot be used with"):
            JwtSettings(**wrong)


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", ""])
@pytest.mark.parametrize("signature", [b"", b"AA"])
def test_none_is_refused(name: str, signature: bytes) -> None:
    """J2: in every spelling, with and without a signature; and it cannot be configured."""
    forged = b64(json.dumps(header(alg=name))) + b"." + b64(json.dumps(claims())) + b"." + signature
    assert refused(forged) in (Reason.ALGORITHM, Reason.MALFORMED)
    with pytest.raises(ValueError, match="Input should be"):
        JwtSettings(secret=SECRET, algorithms=[name])


@pytest.mark.parametrize("name", ["hs256", "Hs256", "HS256 ", " HS256", "HS256\u0000", "HS-256"])
def test_algorithm_names_are_compared_exactly(name: str) -> None:
    """J3."""
    assert refused(hs256(header(alg=name), claims())) is Reason.ALGORITHM


@pytest.mark.parametrize("value", [None, 1, True, ["HS256"], {"HS256": 1}])
def test_algorithm_must_be_a_string(value: Any) -> None:
    """J1: anything else is refused before a key is looked for."""
    assert refused(hs256({"alg": value}, claims())) is Reason.HEADER
    assert refused(hs256({}, claims())) is Reason.HEADER


def test_key_bound_to_another_algorithm() -> None:
    """J4: `alg` of the key wins."""
    token = signed(rsa_key(), "RS256")
    assert refused(token, keys=key_set(public(rsa_key(), alg="PS256"))) is Reason.ALGORITHM
    verify(token, keys=key_set(public(rsa_key(), alg="RS256")))


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"use": "enc"}, id="use_enc"),
        pytest.param({"use": ""}, id="use_empty"),
        pytest.param({"use": ["sig"]}, id="use_list"),
        pytest.param({"key_ops": ["encrypt"]}, id="key_ops_encrypt"),
        pytest.param({"key_ops": []}, id="key_ops_empty"),
        pytest.param({"key_ops": "verify"}, id="key_ops_text"),
        pytest.param({"use": "sig", "key_ops": ["sign"]}, id="key_ops_sign"),
    ],
)
def test_keys_for_other_purposes(members: dict[str, Any]) -> None:
    """J5: such a key is as good as absent."""
    jwks = key_set(public(rsa_key(), **members), ec_key())
    assert refused(signed(rsa_key(), "RS256"), keys=jwks) is Reason.UNKNOWN_KEY


@pytest.mark.parametrize(
    ("algorithm", "curve"),
    [(name, curve) for name in ("ES256", "ES384", "ES512") for curve in ("P-256", "P-384", "P-521")],
)
def test_curves_are_bound(algorithm: str, curve: str) -> None:
    """J6: each ECDSA algorithm has one curve."""
    right = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[algorithm] == curve
    assert fits(algorithm, ec_key("bound", curve)) == right


@pytest.mark.parametrize("curve", ["secp256k1", "P-192", "Ed448", 1, None])
def test_other_curves_are_unusable(curve: Any) -> None:
    """J6, J12: no curve beyond the three, and Ed25519."""
    assert not fits("ES256", {**public(ec_key()), "crv": curve}) and not fits(
        "EdDSA", {**public(ed_key()), "crv": curve}
    )


def test_weak_rsa_keys() -> None:
    """J10: fewer than 2048 bits, exponents 1 and 2, moduli of the flawed Infineon generator."""
    weak = rsa.generate_private_key(65537, 1024).public_key().public_numbers()  # noqa: S505, RUF100  # weak on purpose
    n, e = b64(weak.n.to_bytes(128, "big")).decode(), "AQAB"
    assert not fits("RS256", {"kty": "RSA", "n": n, "e": e})
    strong = public(rsa_key())
    one_bit_short = b64((int.from_bytes(decode_base64url(strong["n"].encode())) >> 1 | 1).to_bytes(256, "big")).decode()
    assert not fits("RS256", {"kty": "RSA", "n": one_bit_short, "e": e})
    for exponent in ("AQ", "Ag", "AA", "BA"):
        assert not fits("RS256", {**strong, "e": exponent})
    primorial = 1
    for prime in (p for p in range(2, 702) if all(p % q for q in range(2, p))):
        primorial *= prime
    flawed = (2**1077 * primorial + pow(65537, 12_345, primorial)) | 1
    while flawed.bit_length() < 2048:
        flawed += primorial << 1075
    assert not fits("RS256", {**strong, "n": b64(flawed.to_bytes(-(-flawed.bit_length() // 8), "big")).decode()})
    huge = b64((1 << 16_383 | 1).to_bytes(2048, "big")).decode()
    assert not fits("RS256", {**strong, "n": huge})


@pytest.mark.parametrize(("algorithm", "size"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_short_secrets(algorithm: str, size: int) -> None:
    """J11: as long as the hash, never empty; in the configuration and in a JWK."""
    for length in (0, 1, size - 1):
        with pytest.raises(ValueError, match="secret must have at least"):
            JwtSettings(secret="x" * length, algorithms=[algorithm])
        assert not fits(algorithm, {"kty": "oct", "k": b64("x" * length).decode()})
    assert configured_keys(JwtSettings(secret="x" * size, algorithms=[algorithm]))


def test_secret_that_is_a_key() -> None:
    """J11: a public key pasted where the secret belongs is refused at start."""
    with pytest.raises(ValueError, match="asymmetric"):
        configured_keys(JwtSettings(secret=rsa_key().as_pem(private=False).decode()))


def test_eddsa_is_ed25519_with_canonical_signatures() -> None:
    """J12: S + L is another text for the same signature; Ed448 is not configured."""
    key = ed_key()
    head, payload, right = signed(key, "EdDSA").split(b".")
    raw = other_jwk.base64url_decode(right.decode())
    order = 2**252 + 27742317777372353535851937790883648493
    shifted = (int.from_bytes(raw[32:], "little") + order).to_bytes(33, "little")[:32]
    assert refused(b".".join((head, payload, b64(raw[:32] + shifted))), keys=key_set(key)) is Reason.SIGNATURE
    assert not fits("EdDSA", ed_key("448", "Ed448"))
    assert refused(signed(key, "EdDSA"), keys=key_set(key, rsa_key()), algorithms=["RS256"]) is Reason.ALGORITHM


def own_certificate(key: RSAKey) -> bytes:
    """Return a certificate that the key's owner made for himself."""
    private = key.private_key
    assert isinstance(private, rsa.RSAPrivateKey)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer.example")])
    begins, ends = datetime(2020, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder(name, name, private.public_key(), 1, begins, ends).sign(private, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256"])
def test_keys_in_the_header_are_never_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """J13: the forger's own key in the header; no connection is made and no key is read."""
    import socket

    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    forger = rsa_key("forger")
    certificate = own_certificate(forger)
    value: Any = {"jwk": public(forger), "x5c": [base64.b64encode(certificate).decode()]}.get(
        name, "http://127.0.0.1:1/keys"
    )
    for key_id in (None, "rsa"):
        parameters: dict[str, Any] = {"kid": key_id, name: value}
        token = signed(forger, "RS256", **parameters)
        assert refused(token, keys=key_set(rsa_key())) is Reason.SIGNATURE


@pytest.mark.parametrize(
    "key_id",
    [
        "../../dev/null",
        "/etc/passwd",
        "' OR 1=1 --",
        "a\r\nb",
        "__class__",
        "{0.__class__}",
        "%s%n",
        "http://127.0.0.1/",
        "",
        "\u2028",
        "k" * 1200,
    ],
)
def test_key_ids_are_opaque(key_id: str) -> None:
    """J14: just a name that is not in the set."""
    assert refused(signed(rsa_key(), "RS256", kid=key_id), keys=key_set(rsa_key())) is Reason.UNKNOWN_KEY


@pytest.mark.parametrize("key_id", [None, 1, True, ["rsa"], {"rsa": 1}])
def test_key_ids_must_be_strings(key_id: Any) -> None:
    """J14: and 64 KiB of them do not fit."""
    assert refused(hs256(header(kid=key_id), claims())) is Reason.HEADER
    assert refused(hs256(header(kid="k" * 65_536), claims())) is Reason.TOO_LARGE
    assert refused(hs256(header(kid="k" * 2_048), claims())) is Reason.MALFORMED


def test_unknown_key_id_does_not_try_other_keys() -> None:
    """J15: even if one of them would fit."""
    token = signed(rsa_key(), "RS256", kid="other")
    assert refused(token, keys=key_set(rsa_key())) is Reason.UNKNOWN_KEY
    assert refused(token, keys=key_set({**public(rsa_key()), "kid": None})) is Reason.UNKNOWN_KEY


def test_absent_key_id_tries_few_keys() -> None:
    """J16: only keys of the token's algorithm, at most eight."""
    token = signed(rsa_key(), "RS256", kid=None)
    assert verify(token, keys=key_set(ec_key(), ed_key(), rsa_key())).identity.user_id == "alice"
    others = [{**public(rsa_key(f"k{index}"))} for index in range(2)]
    verify(token, keys=key_set(*others, rsa_key()))
    many = [{**public(others_key), "kid": f"c{index}"} for index, others_key in enumerate([rsa_key("k0")] * 8)]
    assert refused(token, keys=key_set(*many, rsa_key())) is Reason.UNKNOWN_KEY
    assert refused(token, keys=key_set(ec_key())) is Reason.ALGORITHM


@pytest.mark.parametrize(
    ("jwks", "fault"),
    [
        pytest.param(lambda: key_set(rsa_key(), rsa_key()), "same kid", id="twice"),
        pytest.param(lambda: key_set(rsa_key(), public(ec_key(), kid="rsa")), "same kid", id="other_kty"),
        pytest.param(
            lambda: key_set(rsa_key(), {"kty": "oct", "k": b64(SECRET).decode(), "kid": "s"}), "mixed", id="mixed"
        ),
    ],
)
def test_ambiguous_key_sets(jwks: Callable[[], bytes], fault: str) -> None:
    """J17: refused as a whole."""
    with pytest.raises(KeySetError, match=fault):
        parse_key_set(jwks(), ALL_ALGORITHMS)


def test_public_key_from_the_configuration() -> None:
    """semantics 34: PEM text; private and unsuitable keys are refused at start, and `kid` means nothing to it."""
    pem = rsa_key().as_pem(private=False).decode()
    assert verify(signed(rsa_key(), "RS256", kid="anything"), keys=b"", public_key=pem).identity.user_id == "alice"
    private = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for text, fault in (
        (private.decode(), "private"),
        ("junk", "PEM"),
        (ed_key().as_pem(private=False).decode(), "none of the algorithms"),
    ):
        with pytest.raises(ValueError, match=fault):
            configured_keys(JwtSettings(public_key=text))


def test_empty_set_has_no_key() -> None:
    """Nothing verifies with no keys."""
    with pytest.raises(Refused):
        JwtVerifier(JwtSettings(secret=SECRET), max_token_bytes=8_192).verify(GOOD, KeySet(()), NOW_S)


def test_macs_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """J42: every check of a MAC goes through `hmac.compare_digest`, with the whole of both values."""
    compared = []
    compare = hmac.compare_digest

    def watched(ours: bytes, theirs: bytes) -> bool:
        compared.append((len(ours), len(theirs)))
        return compare(ours, theirs)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    good = hs256(header(), claims())
    verify(good)
    assert refused(good[:-4] + b"AAAA") is Reason.SIGNATURE
    assert compared == [(32, 32), (32, 32)]
