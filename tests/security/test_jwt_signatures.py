"""Signatures that are nearly right: J7 to J9.

All are made with the real key, so that nothing but their form is wrong: a verifier that is lenient somewhere takes one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from itertools import islice

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc.jwk import Key, RSAKey
from jwcrypto.common import base64url_decode

from api_gateway.policy.refusal import Reason
from tests.support.token_checks import refused, verify
from tests.support.token_factory import b64, claims, ec_key, hs256, key_set, rsa_key, signed

TRIES = 20_000
"""Signatures made at most until one has a rare form: the rarest comes once in 256."""
MODULUS_BYTES = 256
ORDERS = {
    "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "ES512": 2**521 - 657877501894328237357444332315020117536923257219387276263472201219398408051703,
}
CURVES = {"ES256": "P-256", "ES512": "P-521"}


def signer(algorithm: str) -> Key:
    return ec_key(algorithm, CURVES[algorithm]) if algorithm in CURVES else rsa_key()


def tokens(algorithm: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield signing inputs, each with its right signature, by the key that `algorithm` wants."""
    key = signer(algorithm)
    for number in range(TRIES):
        signing_input, _, signature = signed(key, algorithm, claims(number=number)).rpartition(b".")
        yield signing_input, base64url_decode(signature.decode())


def refuses(algorithm: str, signing_input: bytes, signature: bytes) -> bool:
    """Whether a signature is not taken."""
    return refused(signing_input + b"." + b64(signature), keys=key_set(signer(algorithm))) is Reason.SIGNATURE


# ECDSA


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(bytes(64), id="r_and_s_zero"),
        pytest.param(bytes(31) + b"\x01" + bytes(32), id="s_zero"),
        pytest.param(bytes(32) + bytes(31) + b"\x01", id="r_zero"),
        pytest.param(b"\xff" * 64, id="beyond_the_order"),
        pytest.param(ORDERS["ES256"].to_bytes(32, "big") * 2, id="the_order"),
        pytest.param(bytes(63), id="short"),
        pytest.param(bytes(65), id="long"),
        pytest.param(b"\x30\x06\x02\x01\x01\x02\x01\x01", id="der"),
    ],
)
def test_ecdsa_signatures_of_nobody(signature: bytes) -> None:
    """J7: psychic signatures, which are good for every message, and other lengths."""
    signing_input, _ = next(tokens("ES256"))
    assert refuses("ES256", signing_input, signature)


@pytest.mark.parametrize("algorithm", CURVES)
def test_ecdsa_signatures_in_another_form(algorithm: str) -> None:
    """J7: exactly r and s, each as long as the order: no DER, nothing before, between or behind them."""
    signing_input, right = next(tokens(algorithm))
    half = len(right) // 2
    r, s = right[:half], right[half:]
    der = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    for wrong in (der, right + b"\0", b"\0" + right, b"\0" + r + b"\0" + s, r, s + r, right + right):
        assert refuses(algorithm, signing_input, wrong)


def test_ecdsa_signature_without_its_leading_zero() -> None:
    """J7: 63 bytes are no signature, even where the byte that is left out says nothing."""
    signing_input, right = next(found for found in tokens("ES256") if found[1][0] == 0)
    assert refuses("ES256", signing_input, right[1:])
    verify(signing_input + b"." + b64(right), keys=key_set(signer("ES256")))


def test_ecdsa_numbers_beyond_the_order() -> None:
    """J7: r, s < n. P-521 has room for s + n, which is the same number to a verifier that reduces first."""
    signing_input, right = next(tokens("ES512"))
    r, s = int.from_bytes(right[:66], "big"), int.from_bytes(right[66:], "big")
    for shifted in ((r, s + ORDERS["ES512"]), (r + ORDERS["ES512"], s)):
        assert refuses("ES512", signing_input, b"".join(number.to_bytes(66, "big") for number in shifted))


# RSA

DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
"""What RFC 8017 section 9.2 puts before a SHA-256 digest."""


def power(block: bytes) -> bytes:
    """Return the signature whose block, once decrypted, is this."""
    numbers = private_key().private_numbers()
    made = pow(int.from_bytes(block, "big"), numbers.d, numbers.public_numbers.n)
    return made.to_bytes(MODULUS_BYTES, "big")


def private_key() -> rsa.RSAPrivateKey:
    found = rsa_key().private_key
    assert isinstance(found, rsa.RSAPrivateKey)
    return found


def pkcs1(info: bytes, *, start: bytes = b"\0\1", filler: bytes = b"\xff", end: bytes = b"") -> bytes:
    """Return a block of full length around what stands for the digest."""
    missing = MODULUS_BYTES - len(start) - 1 - len(info) - len(end)
    return start + filler * missing + b"\0" + info + end


BLOCKS: dict[str, Callable[[bytes], bytes]] = {
    "block type 2": lambda d: pkcs1(DIGEST_INFO + d, start=b"\0\2"),
    "block type 0": lambda d: pkcs1(DIGEST_INFO + d, start=b"\0\0"),
    "padding of other bytes": lambda d: pkcs1(DIGEST_INFO + d, filler=b"\xfe"),
    "one other byte in the padding": lambda d: pkcs1(DIGEST_INFO + d, start=b"\0\1\xff\xfe"),
    "padding of zeros": lambda d: pkcs1(DIGEST_INFO + d, filler=b"\0"),
    "padding that ends with another byte": lambda d: pkcs1(DIGEST_INFO + d)[:204] + b"\1" + DIGEST_INFO + d,
    "rest behind the digest": lambda d: b"\0\1" + b"\xff" * 8 + b"\0" + DIGEST_INFO + d + b"\x5a" * 194,
    "one byte behind the digest": lambda d: pkcs1(DIGEST_INFO + d, end=b"\0"),
    "rest within the structure": lambda d: pkcs1(b"\x30\x33" + DIGEST_INFO[2:] + d + b"\5\0"),
    "without NULL": lambda d: pkcs1(bytes.fromhex("302f300b0609608648016503040201") + b"\4\x20" + d),
    "long form of the outer length": lambda d: pkcs1(b"\x30\x81\x31" + DIGEST_INFO[2:] + d),
    "long form of the digest's length": lambda d: pkcs1(b"\x30\x32" + DIGEST_INFO[2:-2] + b"\4\x81\x20" + d),
    "long form of NULL": lambda d: pkcs1(bytes.fromhex("3032300e06096086480165030402010581000420") + d),
    "endless form": lambda d: pkcs1(b"\x30\x80" + DIGEST_INFO[2:] + d + b"\0\0"),
    "no structure": lambda d: pkcs1(d),
    "SHA-512 by name": lambda d: pkcs1(bytes.fromhex("3031300d060960864801650304020305000420") + d),
    "digest that is cut": lambda d: pkcs1(b"\x30\x30" + DIGEST_INFO[2:-1] + b"\x1f" + d[:-1]),
    "digest of another message": lambda d: pkcs1(DIGEST_INFO + hashlib.sha256(d).digest()),
    "nothing but the digest": lambda d: d.rjust(MODULUS_BYTES, b"\0"),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_pkcs1_padding(name: str) -> None:
    """J8: the whole block is compared, byte by byte, however BER would like to be read."""
    signing_input, right = next(tokens("RS256"))
    digest = hashlib.sha256(signing_input).digest()
    assert power(pkcs1(DIGEST_INFO + digest)) == right, "the right block is made as these are"
    block = BLOCKS[name](digest)
    assert len(block) == MODULUS_BYTES
    assert refuses("RS256", signing_input, power(block))


def pss(signing_input: bytes, salt_bytes: int, mask: hashes.HashAlgorithm, digest: hashes.HashAlgorithm) -> bytes:
    return private_key().sign(signing_input, padding.PSS(mgf=padding.MGF1(mask), salt_length=salt_bytes), digest)


@pytest.mark.parametrize("salt_bytes", [0, 20, 31, 33, 222])
def test_pss_salts_of_another_length(salt_bytes: int) -> None:
    """J9: RFC 7518 section 3.5 wants as many bytes as the hash has."""
    signing_input, _ = next(tokens("PS256"))
    assert refuses("PS256", signing_input, pss(signing_input, salt_bytes, hashes.SHA256(), hashes.SHA256()))
    right = pss(signing_input, 32, hashes.SHA256(), hashes.SHA256())
    verify(signing_input + b"." + b64(right), keys=key_set(rsa_key()))


@pytest.mark.parametrize(
    ("mask", "digest"),
    [
        pytest.param(hashes.SHA1(), hashes.SHA256(), id="mask_of_sha1"),  # noqa: S303, RUF100  # must be refused
        pytest.param(hashes.SHA512(), hashes.SHA256(), id="mask_of_sha512"),
        pytest.param(hashes.SHA256(), hashes.SHA384(), id="sha384"),
        pytest.param(hashes.SHA384(), hashes.SHA384(), id="all_sha384"),
        pytest.param(hashes.SHA512(), hashes.SHA512(), id="all_sha512"),
    ],
)
def test_pss_of_another_hash(mask: hashes.HashAlgorithm, digest: hashes.HashAlgorithm) -> None:
    """J9: one hash for message and mask, the one that `alg` names."""
    signing_input, _ = next(tokens("PS256"))
    for salt_bytes in (32, digest.digest_size):
        assert refuses("PS256", signing_input, pss(signing_input, salt_bytes, mask, digest))


def test_pss_blocks_that_were_changed() -> None:
    """J9: another last byte, and a first bit that must be zero."""
    numbers = private_key().public_key().public_numbers()
    for signing_input, right in islice(tokens("PS256"), 500):
        block = pow(int.from_bytes(right, "big"), numbers.e, numbers.n)
        assert refuses("PS256", signing_input, power((block ^ 0xBC ^ 0xCC).to_bytes(MODULUS_BYTES, "big")))
        if (raised := block | 1 << 2047) < numbers.n:
            assert refuses("PS256", signing_input, power(raised.to_bytes(MODULUS_BYTES, "big")))
            return
    pytest.fail("no block had room for its first bit")


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_rsa_signatures_are_numbers_below_the_modulus(algorithm: str) -> None:
    """J8, J9: as long as the modulus and less than it, or one signature would have several texts."""
    modulus = private_key().public_key().public_numbers().n
    for signing_input, right in islice(tokens(algorithm), 500):
        number = int.from_bytes(right, "big")
        assert refuses(algorithm, signing_input, b"\0" + right)
        assert refuses(algorithm, signing_input, (number + modulus).to_bytes(MODULUS_BYTES + 1, "big"))
        if number + modulus < 1 << 8 * MODULUS_BYTES:
            assert refuses(algorithm, signing_input, (number + modulus).to_bytes(MODULUS_BYTES, "big"))
            return
    pytest.fail("no signature was small enough")


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_rsa_signatures_without_their_leading_zero(algorithm: str) -> None:
    """J8, J9: a byte less is another length."""
    signing_input, right = next(found for found in tokens(algorithm) if found[1][0] == 0)
    assert refuses(algorithm, signing_input, right[1:])
    verify(signing_input + b"." + b64(right), keys=key_set(rsa_key()))


def test_larger_rsa_keys() -> None:
    """J8, J10: a signature has the length of its key's modulus, whatever that is."""
    key = RSAKey.generate_key(3072, {"kid": "large"}, private=True)
    for algorithm in ("RS256", "PS512"):
        assert verify(signed(key, algorithm), keys=key_set(key, rsa_key())).identity.user_id == "alice"


def test_rsa_signatures_of_another_kind() -> None:
    """J8, J9: PKCS #1 under PS256, PSS under RS256, another hash under the same name, and bits changed."""
    signing_input, right = next(tokens("RS256"))
    masked_input, masked = next(tokens("PS256"))
    plain = private_key().sign(masked_input, padding.PKCS1v15(), hashes.SHA256())
    assert refuses("PS256", masked_input, plain)
    assert refuses("RS256", signing_input, pss(signing_input, 32, hashes.SHA256(), hashes.SHA256()))
    assert refuses("RS256", signing_input, private_key().sign(signing_input, padding.PKCS1v15(), hashes.SHA512()))
    for wrong in (right[:-1], right[:-1] + bytes((right[-1] ^ 1,)), bytes(256), b"\0" * 255 + b"\1", b"\xff" * 256):
        assert refuses("RS256", signing_input, wrong)
    assert refuses("PS256", masked_input, masked[::-1])


def test_a_mac_is_compared_whole() -> None:
    """J42: neither the beginning of a MAC nor more than it will do."""
    token = hs256({"alg": "HS256"}, claims())
    signing_input, _, mac = token.rpartition(b".")
    raw = base64url_decode(mac.decode())
    for wrong in (raw[:16], raw[:31], raw + b"\0", raw[:31] + bytes((raw[31] ^ 1,)), bytes((raw[0] ^ 128,)) + raw[1:]):
        assert refused(signing_input + b"." + b64(wrong)) is Reason.SIGNATURE
