"""Tokens taken apart. tests/security/test_jwt_form.py attacks this with whole tokens."""

from __future__ import annotations

import pytest

from api_gateway.policy.refusal import Reason, Refused
from api_gateway.policy.tokens.compact import normalise_type, parse_compact
from tests.support.token_factory import b64, hs256

TOKEN = hs256({"alg": "HS256", "kid": "k1", "typ": "application/AT+JWT"}, {"sub": "alice"})


def test_a_token_has_these_parts() -> None:
    header, payload, signature = TOKEN.split(b".")
    parsed = parse_compact(TOKEN, max_bytes=1_000)
    assert (parsed.algorithm, parsed.key_id, parsed.type) == ("HS256", "k1", "at+jwt")
    assert parsed.signing_input == header + b"." + payload
    assert (parsed.payload_text, parsed.payload) == (payload, b'{"sub": "alice"}')
    assert b64(parsed.signature) == signature


def test_size_is_the_first_question() -> None:
    """J39: nothing of a token that is too long is looked at."""
    with pytest.raises(Refused) as caught:
        parse_compact(b"not even a token", max_bytes=15)
    assert caught.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        pytest.param(b"", Reason.MALFORMED, id="empty"),
        pytest.param(b"a.b", Reason.MALFORMED, id="two parts"),
        pytest.param(TOKEN + b".x", Reason.MALFORMED, id="four parts"),
        pytest.param(TOKEN + b"=", Reason.MALFORMED, id="padding"),
        pytest.param(hs256({}, {}), Reason.HEADER, id="no alg"),
        pytest.param(hs256({"alg": "HS256", "crit": ["exp"]}, {}), Reason.HEADER, id="crit"),
        pytest.param(hs256({"alg": "HS256", "b64": False}, {}), Reason.HEADER, id="b64"),
        pytest.param(hs256({"alg": "HS256", "kid": 1}, {}), Reason.HEADER, id="kid is a number"),
        pytest.param(hs256({"alg": "HS256", "cty": "JWT"}, {}), Reason.HEADER, id="token in a token"),
    ],
)
def test_what_is_no_plain_signed_token_is_refused(token: bytes, reason: Reason) -> None:
    with pytest.raises(Refused) as caught:
        parse_compact(token, max_bytes=1_000)
    assert caught.value.reason is reason


@pytest.mark.parametrize("text", ["JWT", "jwt", "application/jwt", "Application/JWT"])
def test_media_types_are_compared_in_one_form(text: str) -> None:
    assert normalise_type(text) == "jwt"
