"""Strings in JSON that stand for other values, and keys of maps: ProtoJSON's spelling and no other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api_gateway.model.errors import GatewayError
from tests.unit.transcoding.scenes import decoder, summary

_REFUSED = [
    (
        "odd_number_in_an_extension",
        "legacy.Legacy",
        b'{"name": "n", "[legacy.marks]": ["1", "01"]}',
        "INVALID_FIELD",
        "[legacy.marks][1]",
    ),
    ("int_fraction_as_key", "Maps", b'{"int32Int32": {"1.5": 1}}', "INVALID_FIELD", "int32Int32[1.5]"),
    (
        "int_out_of_range_as_key",
        "Maps",
        b'{"int32Int32": {"2147483648": 1}}',
        "INVALID_FIELD",
        "int32Int32[2147483648]",
    ),
    (
        "int_out_of_range_as_exponent_key",
        "Maps",
        b'{"uint32Uint32": {"1e10": 1}}',
        "INVALID_FIELD",
        "uint32Uint32[1e10]",
    ),
    ("int_negative_as_key", "Maps", b'{"fixed64String": {"-1": ""}}', "INVALID_FIELD", "fixed64String[-1]"),
    ("int_key_twice", "Maps", b'{"int32Int32": {"1": 1, "1.0": 2}}', "INVALID_FIELD", "int32Int32[1.0]"),
    ("bool_as_key", "Maps", b'{"boolBool": {"1": true}}', "INVALID_FIELD", "boolBool[1]"),
    ("int_leading_zero", "Scalars", b'{"anInt32": "01"}', "INVALID_FIELD", "anInt32"),
    ("int_leading_zero_as_key", "Maps", b'{"int32Int32": {"01": 1}}', "INVALID_FIELD", "int32Int32[01]"),
    ("int_bare_point", "Scalars", b'{"aUint64": "1."}', "INVALID_FIELD", "aUint64"),
    ("int_point_before_exponent", "Scalars", b'{"aUint64": "1.e2"}', "INVALID_FIELD", "aUint64"),
    ("float_leading_zeros", "Scalars", b'{"aFloat": "-00.5"}', "INVALID_FIELD", "aFloat"),
    ("float_leading_point", "Scalars", b'{"aFloat": "-.5"}', "INVALID_FIELD", "aFloat"),
    ("double_bare_point", "Scalars", b'{"aDouble": "5."}', "INVALID_FIELD", "aDouble"),
    ("double_plus", "Scalars", b'{"aDouble": "+1"}', "INVALID_FIELD", "aDouble"),
    ("float_in_list", "Repeated", b'{"floats": ["1", "1."]}', "INVALID_FIELD", "floats[1]"),
    ("double_in_wrapper", "WellKnown", b'{"doubleValue": ".5"}', "INVALID_FIELD", "doubleValue"),
    ("base64_half_padded", "Scalars", b'{"aBytes": "YQ="}', "INVALID_FIELD", "aBytes"),
    ("base64_half_padded_in_map", "Maps", b'{"stringBytes": {"a": "YQ="}}', "INVALID_FIELD", "stringBytes[a]"),
    ("base64_half_padded_in_wrapper", "WellKnown", b'{"bytesValue": "YQ="}', "INVALID_FIELD", "bytesValue"),
    ("duration_bare_point", "WellKnown", b'{"duration": "1.s"}', "INVALID_FIELD", "duration"),
    ("mask_empty_path", "WellKnown", b'{"mask": "a,,b"}', "INVALID_FIELD", "mask"),
    ("mask_comma_at_end", "WellKnown", b'{"mask": "a,"}', "INVALID_FIELD", "mask"),
    ("mask_empty_name", "WellKnown", b'{"mask": "a..b"}', "INVALID_FIELD", "mask"),
    ("mask_blank", "WellKnown", b'{"mask": "a, b"}', "INVALID_FIELD", "mask"),
    (
        "odd_number_in_any",
        "WellKnown",
        b'{"any": {"@type": "type.googleapis.com/everything.Scalars", "anInt32": "01"}}',
        "INVALID_FIELD",
        "any.anInt32",
    ),
    (
        "odd_duration_in_any",
        "WellKnown",
        b'{"any": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1.s"}}',
        "INVALID_FIELD",
        "any.value",
    ),
    (
        "odd_mask_in_any_in_any",
        "WellKnown",
        b'{"any": {"@type": "type.googleapis.com/google.protobuf.Any", "value": {"@type": '
        b'"type.googleapis.com/google.protobuf.FieldMask", "value": "a,"}}}',
        "INVALID_FIELD",
        "any.value.value",
    ),
]


@pytest.mark.parametrize(
    ("name", "text", "reason", "field"), [pytest.param(*case[1:], id=case[0]) for case in _REFUSED]
)
def test_other_spellings_are_refused_with_their_place(name: str, text: bytes, reason: str, field: str) -> None:
    """semantics 16."""
    with pytest.raises(GatewayError) as caught:
        decoder(name).decode(text)
    assert summary(caught.value) == (400, reason, field)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Scalars", {"anInt32": "1e2", "aUint64": "1.0", "anInt64": "-0", "aFloat": "-0.5e-3", "aDouble": "NaN"}),
        ("Scalars", {"aBytes": "YWI="}),
        ("Scalars", {"aBytes": "YWI"}),
        ("Scalars", {"aString": "01"}),
        ("Maps", {"int32Int32": {"1e2": 1, "2147483647": 2}, "stringDouble": {"01": "0.5"}}),
        ("WellKnown", {"mask": "a,bC.d", "duration": "1.5s", "stringValue": "1."}),
        ("WellKnown", {"value": "01", "struct": {"a": "1."}}),
    ],
)
def test_ordinary_spellings_are_read(name: str, value: Any) -> None:
    """semantics 16, 17: integers in other notations too."""
    assert decoder(name).decode(json.dumps(value).encode()).to_binary()


def test_a_key_that_does_not_fit_is_blamed_and_not_its_value() -> None:
    for key, wanted in (("1.5", "as key an integer"), ("x", "as key an integer"), ("1e10", "as key an integer")):
        with pytest.raises(GatewayError, match=wanted):
            decoder("Maps").decode(json.dumps({"int32Int32": {key: 1}}).encode())
    with pytest.raises(GatewayError, match="as key true or false"):
        decoder("Maps").decode(b'{"boolBool": {"1": true}}')
    with pytest.raises(GatewayError, match="expected an integer"):
        decoder("Maps").decode(b'{"int32Int32": {"1": "x"}}')
