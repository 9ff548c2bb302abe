"""What clients are told of JSON that does not fit."""

from __future__ import annotations

import orjson
import pytest

from api_gateway.model.errors import GatewayError
from api_gateway.transcoding.explain import CODEC_ERRORS, expected, explain, unknown_name
from api_gateway.transcoding.fields import element_of
from tests.support.cpu_time import cheapest_cpu_s
from tests.unit.transcoding.scenes import REGISTRY, decoder, descriptor


def _explained(name: str, text: bytes) -> GatewayError:
    with pytest.raises(CODEC_ERRORS) as caught:
        descriptor(name).type.from_json(text, registry=REGISTRY)
    return explain(caught.value, descriptor(name), orjson.loads(text), len(text), REGISTRY)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("Scalars", b'{"aBool": "yes"}', 'aBool: expected true or false, got "yes"'),
        ("Scalars", b'{"anInt32": 1.5}', "anInt32: expected an integer from -2147483648 to 2147483647, got 1.5"),
        ("Scalars", b'{"aString": {"a": 1}}', "aString: expected a string, got an object"),
        ("Scalars", b'{"aColour": "X"}', 'aColour: expected a name or number of everything.Colour, got "X"'),
        ("Repeated", b'{"messages": [1]}', "messages[0]: expected an object (everything.Scalars), got 1"),
        ("Maps", b'{"stringBytes": {"k": "?"}}', 'stringBytes[k]: expected a base64 string, got "?"'),
        ("WellKnown", b'{"stringValue": 5}', "stringValue: expected a string, got 5"),
        ("WellKnown", b'{"any": {"@type": "t/x.Y"}}', 'any: the type "t/x.Y" is not known'),
        ("Scalars", b"5", "expected an object (everything.Scalars), got 5"),
    ],
)  # fmt: skip
def test_texts_say_what_was_expected_and_what_came(name: str, text: bytes, message: str) -> None:
    """semantics 16: in words of the schema, never of our code."""
    assert _explained(name, text).message == message


def test_long_values_are_cut() -> None:
    """The body is not sent back."""
    assert len(_explained("Scalars", b'{"anInt32": "%b"}' % (b"x" * 10_000)).message) < 200


def test_errors_deep_inside_large_bodies_stay_cheap() -> None:
    """H13: the search has a bound, then it names less."""
    text = b'{"int32s": [' + b"1," * 30_000 + b'"x"]}'

    def explain() -> None:
        assert _explained("Repeated", text).reason == "INVALID_FIELD"

    assert cheapest_cpu_s(explain, enough_s=0.05) <= 0.05


def test_bodies_too_large_to_search_are_still_refused() -> None:
    with pytest.raises(GatewayError, match="does not fit everything"):
        decoder("Scalars").decode(b'{"aString": "%b", "anInt32": "x"}' % (b"x" * 100_000))


def test_every_type_has_words() -> None:
    for name in ("Scalars", "WellKnown", "Oneofs"):
        for field in descriptor(name).fields:
            assert "<" not in expected(element_of(field))


def test_hint_is_given_for_near_names_only() -> None:
    """semantics 12."""
    assert (
        unknown_name("field", "a.nmae", "nmae", ["name"], "R").message == 'unknown field "a.nmae"; did you mean name?'
    )
    assert unknown_name("field", "zzz", "zzz", ["name"], "R").message == 'unknown field "zzz"'
    long = unknown_name("field", "n" * 5_000, "n" * 5_000, ["name"], "R")
    assert len(long.message) < 200
    assert len(long.metadata["field"]) < 200
