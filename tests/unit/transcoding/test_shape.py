"""Limits of JSON, checked before it is decoded."""

from __future__ import annotations

import json

import pytest

from api_gateway.model.errors import GatewayError
from api_gateway.transcoding.shape import Shape, holds_bytes, is_suspicious, needs_check_always
from tests.support.cpu_time import cheapest_cpu_s
from tests.unit.transcoding.scenes import REGISTRY, descriptor


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(b'{"aBool":true,"aString":"text"}', False, id="plain"),
        pytest.param(b'{"a_bool":true}', True, id="proto_name"),
        pytest.param(b'{"a_bool" \n:true}', True, id="proto_name_and_space"),
        pytest.param(b'{"aColour":"COLOUR_RED"}', False, id="enum_name"),
        pytest.param(b'{"aString":"some_text_here"}', False, id="text_with_underscores"),
        pytest.param(b'{"anInt32":"1_0"}', True, id="split_integer"),
        pytest.param(b'{"anInt32":"-1_0"}', True, id="negative_split_integer"),
        pytest.param(b'{"anInt32":"+1"}', True, id="plus"),
        pytest.param(b'{"anInt32":"\\u002b1"}', True, id="escape"),
        pytest.param(b'{"anInt32":"01"}', True, id="leading_zero"),
        pytest.param(b'{"anInt32":"-01"}', True, id="negative_leading_zero"),
        pytest.param(b'{"aFloat":".5"}', True, id="point_first"),
        pytest.param(b'{"aFloat":"-.5"}', True, id="negative_point_first"),
        pytest.param(b'{"aFloat":"12."}', True, id="point_last"),
        pytest.param(b'{"aFloat":"12.e1"}', True, id="point_before_exponent"),
        pytest.param(b'{"aFloat":"12.5e1","anInt64":"-120","aDouble":"0.5"}', False, id="ordinary_numbers"),
        pytest.param(b'{"aString":"A sentence of 10."}', False, id="sentence"),
        pytest.param(b'{"aBytes":"YQ="}', True, id="padding"),
        pytest.param(b'{"duration":"1.s"}', True, id="duration_point_last"),
        pytest.param(b'{"duration":"1.5s"}', False, id="ordinary_duration"),
        pytest.param(b'{"[everything.tag]":"1"}', True, id="extension"),
        pytest.param('{"anInt32":"\u0661"}'.encode(), True, id="other_digits"),
    ],
)
def test_suspicious_texts(text: bytes, expected: bool) -> None:
    """semantics 16: what the quick look must not miss."""
    assert is_suspicious(text) is expected


def test_padding_says_nothing_where_there_are_no_bytes() -> None:
    assert not is_suspicious(b'{"aString":"a="}', holds_bytes=False)
    assert [holds_bytes(descriptor(name)) for name in ("Scalars", "WellKnown", "Tree")] == [True, True, False]


@pytest.mark.parametrize(
    "text", [b'"' + b"_" * 1_000_000, b'"_' * 500_000, b'"1' * 500_000, b'"' + b"1" * 1_000_000 + b"_"]
)
def test_quick_look_is_linear(text: bytes) -> None:
    """H13: 50 ms of CPU for a megabyte."""
    assert cheapest_cpu_s(lambda: is_suspicious(text), enough_s=0.05) <= 0.05


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Scalars", False),
        ("Maps", True),
        ("google.protobuf.Struct", False),
        ("Oneofs", True),
        ("Tree", True),
        ("Everything", True),
        ("WellKnown", True),
        ("Names", True),
        ("Optionals", False),
    ],
)
def test_types_that_need_the_check_always(name: str, expected: bool) -> None:
    """Oneofs, what an Any may hold, integers as keys, and names of which neither has an underscore."""
    assert needs_check_always(descriptor(name)) is expected


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("Oneofs", {"number": 1, "text": ""}, "text"),
        ("Oneofs", {"class": "", "import": "1"}, "import"),
        ("Tree", {"named": {"a.b": {"only": {}, "leaf": ""}}}, "named[a.b].leaf"),
        ("Repeated", {"messages": [{}, {"anInt32": 1, "an_int32": 1}]}, "messages[1].an_int32"),
        ("Repeated", {"int64Values": ["1", "1_0"]}, "int64Values[1]"),
        ("Maps", {"int64Int64": {"1": "1_0"}}, "int64Int64[1]"),
        ("Maps", {"int64Int64": {"1" * 60: "1"}}, f"int64Int64[{'1' * 40}...]"),
        ("google.protobuf.FieldMask", "a,", ""),
        ("google.protobuf.Any", {"@type": "t/google.protobuf.Int64Value", "value": "01"}, "value"),
        ("google.protobuf.BytesValue", "YQ=", ""),
        ("WellKnown", {"anys": [{"@type": "t/everything.Oneofs", "number": 1, "flag": True}]}, "anys[0].flag"),
    ],
)
def test_offences_come_with_their_path(name: str, value: object, field: str) -> None:
    """semantics 11, 16."""
    with pytest.raises(GatewayError) as caught:
        Shape(descriptor(name), REGISTRY).check(value)
    assert (caught.value.reason, caught.value.metadata.get("field", "")) == ("INVALID_FIELD", field)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Oneofs", {"number": 1, "text": None, "message": None, "class": "x"}),
        ("WellKnown", {"any": {"@type": "t/nope", "number": 1}, "struct": {"a_b": 1, "aB": 2}}),
        ("WellKnown", {"any": {"@type": 5}}),
        ("Maps", {"stringString": {"a": "1_0"}, "int32Int32": {"-1": 2, "1e3": 1, "-2147483648": 0}}),
        ("Maps", {"stringDouble": {"a": "-1.5e-3", "b": "NaN", "c": "-Infinity", "d": 1}}),
        ("WellKnown", {"mask": "a,b.c", "duration": "-1.000000001s", "bytesValue": "YWI=", "stringValue": "01"}),
        ("google.protobuf.FieldMask", "a,b"),
        ("google.protobuf.Duration", "1s"),
        ("Scalars", {"aString": "1_0", "nope": "1_0"}),
        ("Scalars", None),
        ("Tree", {"left": {"leaf": "a"}, "right": {"only": {}}}),
    ],
)
def test_the_rest_passes(name: str, value: object) -> None:
    Shape(descriptor(name), REGISTRY).check(json.loads(json.dumps(value)))
