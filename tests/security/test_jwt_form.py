"""The form of a token, and what looking at a bad one costs: J18 to J26 and J39 to J41."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK

from api_gateway.policy.refusal import Reason, Refused
from tests.support.cpu_time import cheapest_cpu_s
from tests.support.token_checks import header, refused, verify
from tests.support.token_factory import (
    SECRET,
    b64,
    claims,
    hs256,
)


@pytest.mark.parametrize(
    "critical",
    [["exp"], ["b64"], [], "exp", None, 1, ["unknown"], ["exp", "exp"], [1], {"exp": 1}, ["alg"]],
    ids=repr,
)
def test_critical_extensions(critical: Any) -> None:
    """J18: we understand none, so none may be critical; malformed lists are refused too."""
    assert refused(hs256(header(crit=critical, exp=1, unknown=1), claims())) is Reason.HEADER


@pytest.mark.parametrize("value", [False, None, 0, "false"])
@pytest.mark.parametrize("critical", [True, False])
def test_unencoded_payloads(value: Any, critical: bool) -> None:
    """J19: RFC 7797 is not for tokens."""
    assert refused(hs256(header(b64=value, **({"crit": ["b64"]} if critical else {})), claims())) is Reason.HEADER


GOOD = hs256(header(), claims())
HEAD, PAYLOAD, SIGNATURE = GOOD.split(b".")


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b".", id="dot"),
        pytest.param(b"..", id="dots"),
        pytest.param(HEAD + b"." + PAYLOAD, id="two_segments"),
        pytest.param(HEAD + b"." + PAYLOAD + b".", id="no_signature"),
        pytest.param(b"." + PAYLOAD + b"." + SIGNATURE, id="no_header"),
        pytest.param(HEAD + b".." + SIGNATURE, id="no_payload"),
        pytest.param(GOOD + b".", id="four_segments"),
        pytest.param(GOOD + b"." + SIGNATURE, id="four_full_segments"),
        pytest.param(b"." + GOOD, id="leading_dot"),
        pytest.param(
            json.dumps(
                {"protected": HEAD.decode(), "payload": PAYLOAD.decode(), "signature": SIGNATURE.decode()}
            ).encode(),
            id="json_serialization",
        ),
    ],
)
def test_compact_serialization_only(token: bytes) -> None:
    """J20: three full segments."""
    assert refused(token) is Reason.MALFORMED


def _with_segment(position: int, change: Callable[[bytes], bytes]) -> bytes:
    segments = [HEAD, PAYLOAD, SIGNATURE]
    segments[position] = change(segments[position])
    return b".".join(segments)


@pytest.mark.parametrize("position", [0, 1, 2], ids=["header", "payload", "signature"])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: text + b"=", id="padding"),
        pytest.param(lambda text: text + b"==", id="two_paddings"),
        pytest.param(lambda text: text + b" ", id="space"),
        pytest.param(lambda text: text + b"\n", id="line_feed"),
        pytest.param(lambda text: text[:4] + b"\r\n" + text[4:], id="folded"),
        pytest.param(lambda text: b"?" + text, id="unknown_byte"),
        pytest.param(lambda text: text[:5] + b"+" + text[6:], id="plus"),
        pytest.param(lambda text: text[:5] + b"/" + text[6:], id="slash"),
        pytest.param(lambda text: text + b"\x00", id="nul"),
        pytest.param(lambda text: text + "é".encode(), id="utf8"),
        pytest.param(lambda text: text + b"\xff", id="not_utf8"),
        pytest.param(lambda text: text + b"A" * ((1 - len(text)) % 4 or 4), id="impossible_length"),
    ],
)
def test_base64url_is_strict(position: int, change: Callable[[bytes], bytes]) -> None:
    """J21."""
    assert refused(_with_segment(position, change)) is Reason.MALFORMED


def test_unused_bits_must_be_zero() -> None:
    """J21: otherwise one signature has several texts. 32 bytes leave two bits over in the last of 43 characters."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    accepted = []
    for last in alphabet:
        try:
            verify(_with_segment(2, lambda text, last=last: text[:-1] + bytes((last,))))  # type: ignore[misc]  # mypy takes no default in a lambda
            accepted.append(last)
        except Refused as caught:
            assert caught.reason in (Reason.MALFORMED, Reason.SIGNATURE)  # noqa: PT017, RUF100  # both are right
    assert accepted == [SIGNATURE[-1]]


JUNK_JSON = [
    pytest.param(b"[]", id="array"),
    pytest.param(b"null", id="null"),
    pytest.param(b'"text"', id="string"),
    pytest.param(b"1", id="number"),
    pytest.param(b"{", id="open"),
    pytest.param(b"{} {}", id="two_values"),
    pytest.param(b'{"a":1,}', id="trailing_comma"),
    pytest.param(b"{'a':1}", id="single_quotes"),
    pytest.param(b'{"a":NaN}', id="nan"),
    pytest.param(b'{"a":Infinity}', id="infinity"),
    pytest.param(b'{"a":-Infinity}', id="minus_infinity"),
    pytest.param(b'{"a":1e400}', id="beyond_floats"),
    pytest.param(b'{"a":01}', id="leading_zero"),
    pytest.param(b'{"a":"\n"}', id="raw_control_character"),
    pytest.param(b"\xef\xbb\xbf{}", id="byte_order_mark"),
    pytest.param('{"a":"é"}'.encode("latin-1"), id="latin_1"),
    pytest.param('{"alg":"HS256"}'.encode("utf-16"), id="utf_16"),
    pytest.param(b'{"a":"\xed\xa0\x80"}', id="surrogate"),
    pytest.param(b'{"a":1,"a":1}', id="duplicate"),
    pytest.param(b'{"a":{"b":1,"b":2}}', id="duplicate_inside"),
    pytest.param(b'{"a":1,"\\u0061":2}', id="duplicate_by_escape"),
]


@pytest.mark.parametrize("text", JUNK_JSON)
def test_header_is_strict_json(text: bytes) -> None:
    """J22: a UTF-8 JSON object without duplicates, NaN and the like."""
    assert refused(hs256(text, claims())) is Reason.MALFORMED


@pytest.mark.parametrize("text", JUNK_JSON)
def test_claims_are_strict_json(text: bytes) -> None:
    """J22: with a right signature."""
    assert refused(hs256(header(), text)) is Reason.MALFORMED


def test_duplicate_members_that_matter() -> None:
    """J22: `alg` and `exp` twice."""
    assert refused(hs256(b'{"alg":"none","alg":"HS256"}', claims())) is Reason.MALFORMED
    assert refused(hs256(header(), b'{"sub":"a","exp":1,"exp":9999999999}')) is Reason.MALFORMED


def test_encrypted_tokens() -> None:
    """J23: five segments are not looked into; `zip`, `enc` and `p2c` do nothing."""
    encrypted = b".".join(
        (b64('{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2c":2147483647,"p2s":"AA"}'), *[b"AAAA"] * 4)
    )
    counting = hs256(header(alg="PBES2-HS512+A256KW", p2c=2**31 - 1), claims())

    def refuse() -> None:
        assert refused(encrypted) is Reason.MALFORMED
        assert refused(counting) is Reason.ALGORITHM

    assert cheapest_cpu_s(refuse, enough_s=0.5) <= 0.5
    assert verify(hs256(header(zip="DEF"), claims())).identity.user_id == "alice"


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize(
    ("management", "key"),
    [
        pytest.param("dir", lambda: JWK.generate(kty="oct", size=256), id="dir"),
        pytest.param("A256KW", lambda: JWK.generate(kty="oct", size=256), id="A256KW"),
        pytest.param("PBES2-HS256+A128KW", lambda: JWK.from_password(SECRET), id="PBES2"),
        pytest.param("RSA-OAEP-256", lambda: JWK.generate(kty="RSA", size=2_048), id="RSA-OAEP"),
        pytest.param("ECDH-ES", lambda: JWK.generate(kty="EC", crv="P-256"), id="ECDH-ES"),
    ],
)
def test_real_encrypted_tokens(management: str, key: Callable[[], JWK], compressed: bool) -> None:
    """J23: of every kind, made by jwcrypto around a good token and around its claims."""
    made = {"alg": management, "enc": "A256GCM", **({"zip": "DEF"} if compressed else {})}
    for inside in (GOOD, json.dumps(claims()).encode()):
        token = JWE(inside, json.dumps(made), algs=[management, "A256GCM"])
        token.add_recipient(key())
        assert refused(token.serialize(compact=True).encode()) is Reason.MALFORMED


@pytest.mark.parametrize("value", ["JWT", "jwt", "application/jwt"])
def test_nested_tokens(value: str) -> None:
    """J24: not unwrapped."""
    assert refused(hs256(header(cty=value), GOOD)) is Reason.HEADER
    assert refused(hs256(header(), GOOD)) is Reason.MALFORMED


@pytest.mark.parametrize(
    ("value", "is_good"),
    [
        ("at+jwt", True),
        ("AT+JWT", True),
        ("application/at+jwt", True),
        ("JWT", False),
        (None, False),
        ("at+jwtx", False),
        (1, False),
    ],
)
def test_type(value: Any, is_good: bool) -> None:
    """J25, J26: `typ` when configured; an ID token (`JWT` or nothing) is no access token."""
    token = hs256(header() if value is None else header(typ=value), claims())
    if is_good:
        verify(token, typ="application/at+jwt")
        verify(token, typ="at+JWT")
    else:
        assert refused(token, typ="at+jwt") is Reason.HEADER


# Cost


def test_size_is_checked_first() -> None:
    """J39: 8 KiB and one byte; a megabyte costs no more."""
    token = hs256(header(), claims(filler="x" * 5_800))
    assert 7_500 < len(token) < 8_192
    verify(token)
    assert refused(token + b"A" * (8_193 - len(token))) is Reason.TOO_LARGE
    huge = b"?" * 1_048_576

    def refuse() -> None:
        for _ in range(1_000):
            assert refused(huge) is Reason.TOO_LARGE

    assert cheapest_cpu_s(refuse, enough_s=1.0) <= 1.0


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"[" * 10_000, id="10000_open"),
        pytest.param(b"[" * 1_500, id="1500_open"),
        pytest.param(b'{"alg":"HS256","x":' + b"[" * 900 + b"]" * 900 + b"}", id="900_levels"),
        pytest.param(b'{"alg":"HS256","x":' + b"[" * 8 + b"]" * 8 + b"}", id="9_levels"),
        pytest.param(b'{"alg":"HS256","x":"' + b"y" * 2_048 + b'"}', id="too_long"),
    ],
)
def test_header_is_bounded(text: bytes) -> None:
    """J40: at most 8 levels and 2 KiB, no RecursionError, little time."""
    token = hs256(text, {})

    def refuse() -> None:
        assert refused(token) in (Reason.MALFORMED, Reason.TOO_LARGE)

    assert cheapest_cpu_s(refuse, enough_s=0.05) <= 0.05
    verify(hs256(b'{"alg":"HS256","x":' + b"[" * 7 + b"]" * 7 + b"}", claims()))


def test_claims_are_bounded_too() -> None:
    """J40: a signer gone mad."""
    for depth in (40, 2_900):
        assert refused(hs256(header(), b'{"exp":1,"x":' + b"[" * depth + b"]" * depth + b"}")) is Reason.MALFORMED


def test_claims_mean_nothing_before_the_signature() -> None:
    """J41: with a wrong signature the claims are not even parsed."""
    for payload in (b"{", claims(exp=1), claims(iss=1)):
        assert refused(hs256(header(), payload, "y" * 32)) is Reason.SIGNATURE
