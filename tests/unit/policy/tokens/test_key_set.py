"""Sets of keys: which key may check a token. tests/security/test_jwt_keys.py attacks them with whole tokens."""

from __future__ import annotations

from typing import Any

import pytest

from api_gateway.policy.refusal import Reason, Refused
from api_gateway.policy.tokens.compact import CompactToken, parse_compact
from api_gateway.policy.tokens.key_set import MAX_KEYS, KeySet, KeySetError, SingleKey, UnknownKeyId, parse_key_set
from tests.support.token_factory import ec_key, hs256, key_set, public, rsa_key

BOTH = frozenset({"RS256", "ES256"})


def token(algorithm: str = "RS256", **header: Any) -> CompactToken:
    return parse_compact(hs256({"alg": algorithm, **header}, {}), max_bytes=8_192)


def names(keys: KeySet, of: CompactToken) -> list[str | None]:
    return [key.key_id for key in keys.candidates(of)]


def test_named_keys_are_found_by_name_and_others_by_algorithm() -> None:
    keys = parse_key_set(key_set(rsa_key("one"), rsa_key("two"), ec_key("three")), BOTH)
    assert names(keys, token(kid="two")) == ["two"]
    assert names(keys, token()) == ["one", "two"]
    assert names(keys, token("ES256")) == ["three"]


def test_unknown_name_may_be_in_a_newer_set_and_another_algorithm_never() -> None:
    keys = parse_key_set(key_set(rsa_key("one")), BOTH)
    with pytest.raises(UnknownKeyId):
        keys.candidates(token(kid="new"))
    with pytest.raises(Refused) as caught:
        keys.candidates(token("ES256", kid="one"))
    assert caught.value.reason is Reason.ALGORITHM


def test_unusable_keys_are_left_out_and_reported() -> None:
    keys = parse_key_set(key_set(rsa_key("good"), public(rsa_key("other"), use="enc"), {"kty": "new"}), BOTH)
    assert [key.key_id for key in keys.keys] == ["good"]
    assert keys.problems == ("key 1 left out: use is not sig", "key 2 left out: unknown kty")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"junk", id="junk"),
        pytest.param(b'{"keys": []}', id="empty"),
        pytest.param(b'{"keys": [1]}', id="no object"),
        pytest.param(b'{"keys": [' + b",".join([b"{}"] * (MAX_KEYS + 1)) + b"]}", id="too many"),
        pytest.param(key_set(rsa_key("same"), public(ec_key("other"), kid="same")), id="two of one name"),
        pytest.param(key_set(rsa_key(), {"kty": "oct", "k": "eA"}), id="secret beside public key"),
    ],
)
def test_sets_are_refused_as_a_whole(data: bytes) -> None:
    with pytest.raises(KeySetError):
        parse_key_set(data, BOTH)


def test_a_hundred_keys_are_enough() -> None:
    """J46: one more, all of them good, and the set is refused."""
    keys = [public(rsa_key(), kid=f"{number}") for number in range(MAX_KEYS + 1)]
    assert MAX_KEYS == 100
    assert len(parse_key_set(key_set(*keys[:MAX_KEYS]), BOTH).keys) == MAX_KEYS
    with pytest.raises(KeySetError, match="more than 100 keys"):
        parse_key_set(key_set(*keys), BOTH)


def test_fingerprints_tell_keys_apart_across_sets() -> None:
    one, both = (parse_key_set(key_set(*keys), BOTH) for keys in ([rsa_key("one")], [rsa_key("one"), rsa_key("two")]))
    assert one.fingerprints() < both.fingerprints()


def test_the_one_key_of_a_configuration_takes_any_name() -> None:
    keys = parse_key_set(key_set(rsa_key("one")), BOTH)
    single = SingleKey(keys.keys)
    assert names(single, token(kid="whatever")) == ["one"]
    with pytest.raises(Refused):
        single.candidates(token("ES256", kid="whatever"))
