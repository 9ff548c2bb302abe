"""JSON into messages, compared with Google's library."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_gateway.model.errors import GatewayError
from tests.support.cpu_time import cheapest_cpu_s
from tests.unit.transcoding.scenes import REGISTRY, as_json, decoder, summary
from tests.unit.transcoding.strategies import POOL, message_class, messages, same_message

TYPES = [
    "everything.Scalars",
    "everything.Optionals",
    "everything.Repeated",
    "everything.Maps",
    "everything.Oneofs",
    "everything.WellKnown",
    "everything.Keywords",
    "everything.Names",
    "everything.Tree",
    "everything.Everything",
    "legacy.Legacy",
    "modern.Modern",
]
_DECODERS = {name: decoder(name) for name in TYPES}

_ACCEPTED: list[tuple[str, str, bytes, dict[str, Any]]] = [
    ("int_from_string", "Scalars", b'{"anInt32": "5"}', {"anInt32": 5}),
    ("int_from_float", "Scalars", b'{"anInt32": 5.0}', {"anInt32": 5}),
    ("int_from_exponent", "Scalars", b'{"anInt32": 1e2}', {"anInt32": 100}),
    ("int64_as_number", "Scalars", b'{"anInt64": -9223372036854775808}', {"anInt64": "-9223372036854775808"}),
    ("uint64_as_number", "Scalars", b'{"aUint64": 18446744073709551615}', {"aUint64": "18446744073709551615"}),
    ("proto_name", "Scalars", b'{"an_int32": 5}', {"anInt32": 5}),
    ("json_name", "Names", b'{"custom-Name": "a", "with.dot": "b"}', {"custom-Name": "a", "with.dot": "b"}),
    ("proto_name_of_json_name", "Names", b'{"renamed": "a"}', {"custom-Name": "a"}),
    ("escaped_name", "Scalars", b'{"\\u0061nInt32": 5}', {"anInt32": 5}),
    ("float_nan", "Scalars", b'{"aDouble": "NaN"}', {"aDouble": "NaN"}),
    ("float_infinity", "Scalars", b'{"aFloat": "-Infinity"}', {"aFloat": "-Infinity"}),
    ("bytes_url_unpadded", "Scalars", b'{"aBytes": "-_-_-w"}', {"aBytes": "+/+/+w=="}),
    ("enum_by_number", "Scalars", b'{"aColour": 1}', {"aColour": "COLOUR_RED"}),
    ("enum_alias", "Scalars", b'{"anAlias": "ALIAS_UNO"}', {"anAlias": "ALIAS_ONE"}),
    ("open_enum_unknown_number", "Scalars", b'{"aColour": 77}', {"aColour": 77}),
    ("null_is_absent", "Scalars", b'{"anInt32": null, "aString": null}', {}),
    ("optional_zero_is_set", "Optionals", b'{"anInt32": 0}', {"anInt32": 0}),
    ("null_value", "Oneofs", b'{"nullValue": null}', {"nullValue": None}),
    ("value_null", "Oneofs", b'{"value": null}', {"value": None}),
    ("oneof_other_null", "Oneofs", b'{"number": 1, "text": null}', {"number": 1}),
    ("two_oneofs", "Oneofs", b'{"number": 1, "class": "x"}', {"number": 1, "class": "x"}),
    ("keywords", "Keywords", b'{"None": {"class": "c"}, "from": 1}', {"None": {"class": "c"}, "from": 1}),
    ("map_key_bool", "Maps", b'{"boolBool": {"true": false}}', {"boolBool": {"true": False}}),
    ("wrapper", "WellKnown", b'{"int64Value": "5", "stringValue": ""}', {"int64Value": "5", "stringValue": ""}),
    ("mask", "WellKnown", b'{"mask": "a,fooBar.baz"}', {"mask": "a,fooBar.baz"}),
    ("any_type_last", "WellKnown", b'{"any": {"id": "x", "@type": "t/everything.Everything"}}',
     {"any": {"@type": "t/everything.Everything", "id": "x"}}),
    ("any_well_known_built_in", "WellKnown", b'{"any": {"@type": "t/google.rpc.RetryInfo", "retryDelay": "1s"}}',
     {"any": {"@type": "t/google.rpc.RetryInfo", "retryDelay": "1s"}}),
    ("empty", "WellKnown", b'{"empty": {}}', {"empty": {}}),
    ("group", "legacy.Legacy", b'{"name": "n", "box": {"label": "b"}}', {"name": "n", "box": {"label": "b"}}),
    ("extension", "legacy.Legacy", b'{"name": "n", "[legacy.note]": "x"}', {"name": "n", "[legacy.note]": "x"}),
    ("nested_extension", "legacy.Legacy", b'{"name": "n", "[legacy.Scope.scope]": {"text": "t"}}',
     {"name": "n", "[legacy.Scope.scope]": {"text": "t"}}),
    ("editions", "modern.Modern", b'{"required": "r", "delimited": {"required": "q"}, "explicit": ""}',
     {"required": "r", "delimited": {"required": "q"}, "explicit": ""}),
]  # fmt: skip

_REFUSED: list[tuple[str, str, bytes, str, str]] = [
    ("not_an_object", "Scalars", b"[]", "INVALID_FIELD", ""),
    ("null", "Scalars", b"null", "INVALID_FIELD", ""),
    ("unknown_field", "Scalars", b'{"nope": 1}', "UNKNOWN_FIELD", "nope"),
    ("unknown_nested", "Everything", b'{"inner": {"nope": 1}}', "UNKNOWN_FIELD", "inner.nope"),
    ("unknown_in_list", "Repeated", b'{"messages": [{}, {"nope": 1}]}', "UNKNOWN_FIELD", "messages[1].nope"),
    ("unknown_in_any", "WellKnown", b'{"any": {"@type": "t/everything.Tree", "x": 1}}', "UNKNOWN_FIELD", "any.x"),
    ("unknown_extension", "legacy.Legacy", b'{"[legacy.nope]": 1}', "UNKNOWN_FIELD", "[legacy.nope]"),
    ("field_case", "Scalars", b'{"ANINT32": 1}', "UNKNOWN_FIELD", "ANINT32"),
    ("int_text", "Scalars", b'{"anInt32": "abc"}', "INVALID_FIELD", "anInt32"),
    ("int_fraction", "Scalars", b'{"anInt32": 1.5}', "INVALID_FIELD", "anInt32"),
    ("int_bool", "Scalars", b'{"anInt32": true}', "INVALID_FIELD", "anInt32"),
    ("int_object", "Scalars", b'{"anInt32": {}}', "INVALID_FIELD", "anInt32"),
    ("int_underscore", "Scalars", b'{"anInt32": "1_0"}', "INVALID_FIELD", "anInt32"),
    ("int_plus", "Scalars", b'{"anInt32": "+1"}', "INVALID_FIELD", "anInt32"),
    ("int_escaped_plus", "Scalars", b'{"anInt32": "\\u002b1"}', "INVALID_FIELD", "anInt32"),
    ("int_space", "Scalars", b'{"anInt32": " 1"}', "INVALID_FIELD", "anInt32"),
    ("int_arabic_digit", "Scalars", '{"anInt32": "\u0661"}'.encode(), "INVALID_FIELD", "anInt32"),
    ("int_arabic_escape", "Scalars", b'{"anInt32": "\\u0661"}', "INVALID_FIELD", "anInt32"),
    ("int_underscore_in_list", "Repeated", b'{"int64s": ["1", "1_0"]}', "INVALID_FIELD", "int64s[1]"),
    ("int_underscore_as_key", "Maps", b'{"int32Int32": {"1_0": 1}}', "INVALID_FIELD", "int32Int32[1_0]"),
    ("int_underscore_in_wrapper", "WellKnown", b'{"int64Value": "1_0"}', "INVALID_FIELD", "int64Value"),
    ("int_underscore_deep", "Maps", b'{"stringMessage": {"k": {"anInt64": "1_0"}}}', "INVALID_FIELD",
     "stringMessage[k].anInt64"),
    ("int_underscore_in_any", "WellKnown", b'{"any": {"@type": "t/everything.Scalars", "anInt32": "1_0"}}',
     "INVALID_FIELD", "any.anInt32"),
    ("int32_overflow", "Scalars", b'{"anInt32": 2147483648}', "INVALID_FIELD", "anInt32"),
    ("uint32_negative", "Scalars", b'{"aUint32": -1}', "INVALID_FIELD", "aUint32"),
    ("int64_overflow", "Scalars", b'{"anInt64": 9223372036854775808}', "INVALID_FIELD", "anInt64"),
    ("uint64_overflow", "Scalars", b'{"aUint64": 18446744073709551616}', "INVALID_FIELD", "aUint64"),
    ("int_5000_digits", "Scalars", b'{"anInt64": "%b"}' % (b"1" * 5000), "INVALID_FIELD", "anInt64"),
    ("float_overflow", "Scalars", b'{"aFloat": 1e39}', "INVALID_FIELD", "aFloat"),
    ("double_overflow_text", "Scalars", b'{"aDouble": "1e400"}', "INVALID_FIELD", "aDouble"),
    ("double_nan_spelling", "Scalars", b'{"aDouble": "nan"}', "INVALID_FIELD", "aDouble"),
    ("bool_text", "Scalars", b'{"aBool": "true"}', "INVALID_FIELD", "aBool"),
    ("bool_number", "Scalars", b'{"aBool": 1}', "INVALID_FIELD", "aBool"),
    ("string_number", "Scalars", b'{"aString": 1}', "INVALID_FIELD", "aString"),
    ("bytes_mixed_alphabets", "Scalars", b'{"aBytes": "-/+_"}', "INVALID_FIELD", "aBytes"),
    ("bytes_junk", "Scalars", b'{"aBytes": "Y Q="}', "INVALID_FIELD", "aBytes"),
    ("enum_unknown_name", "Scalars", b'{"aColour": "MAUVE"}', "INVALID_FIELD", "aColour"),
    ("enum_number_as_text", "Scalars", b'{"aColour": "1"}', "INVALID_FIELD", "aColour"),
    ("closed_enum_unknown", "legacy.Legacy", b'{"name": "n", "closed": 9}', "INVALID_FIELD", "closed"),
    ("list_scalar", "Repeated", b'{"int32s": 1}', "INVALID_FIELD", "int32s"),
    ("list_null_item", "Repeated", b'{"int32s": [1, null]}', "INVALID_FIELD", "int32s[1]"),
    ("map_list", "Maps", b'{"int32Int32": []}', "INVALID_FIELD", "int32Int32"),
    ("map_key_text", "Maps", b'{"int32Int32": {"a": 1}}', "INVALID_FIELD", "int32Int32[a]"),
    ("map_null_value", "Maps", b'{"stringString": {"a": null}}', "INVALID_FIELD", "stringString[a]"),
    ("map_bool_key", "Maps", b'{"boolBool": {"True": true}}', "INVALID_FIELD", "boolBool[True]"),
    ("oneof_twice", "Oneofs", b'{"number": 1, "text": "a"}', "INVALID_FIELD", "text"),
    ("oneof_value_null", "Oneofs", b'{"number": 1, "value": null}', "INVALID_FIELD", "value"),
    ("oneof_null_value", "Oneofs", b'{"number": 1, "nullValue": null}', "INVALID_FIELD", "nullValue"),
    ("oneof_deep", "Tree", b'{"children": [{"only": {}, "leaf": "x"}]}', "INVALID_FIELD", "children[0].leaf"),
    ("oneof_in_any", "WellKnown",
     b'{"any": {"@type": "t/everything.Oneofs", "number": 1, "text": "a"}}', "INVALID_FIELD", "any.text"),
    ("oneof_in_any_in_any", "WellKnown",
     b'{"any": {"@type": "t/google.protobuf.Any", "value": {"@type": "t/everything.Oneofs", "number": 1, "text": ""}}}',
     "INVALID_FIELD", "any.value.text"),
    ("both_names", "Scalars", b'{"anInt32": 1, "an_int32": 1}', "INVALID_FIELD", "an_int32"),
    ("both_names_without_underscore", "Names", b'{"custom-Name": "", "renamed": ""}', "INVALID_FIELD", "renamed"),
    ("timestamp_text", "WellKnown", b'{"timestamp": "yesterday"}', "INVALID_FIELD", "timestamp"),
    ("timestamp_space", "WellKnown", b'{"timestamp": "2020-01-01 00:00:00Z"}', "INVALID_FIELD", "timestamp"),
    ("timestamp_leap_day", "WellKnown", b'{"timestamp": "2021-02-29T00:00:00Z"}', "INVALID_FIELD", "timestamp"),
    ("timestamp_year_0", "WellKnown", b'{"timestamp": "0000-01-01T00:00:00Z"}', "INVALID_FIELD", "timestamp"),
    ("duration_unit", "WellKnown", b'{"duration": "1m"}', "INVALID_FIELD", "duration"),
    ("duration_range", "WellKnown", b'{"duration": "315576000001s"}', "INVALID_FIELD", "duration"),
    ("mask_snake", "WellKnown", b'{"mask": "foo_bar"}', "INVALID_FIELD", "mask"),
    ("struct_list", "WellKnown", b'{"struct": []}', "INVALID_FIELD", "struct"),
    ("any_unknown_type", "WellKnown", b'{"any": {"@type": "t/nope.Nope"}}', "INVALID_FIELD", "any.@type"),
    ("any_no_type", "WellKnown", b'{"any": {"anInt32": 1}}', "INVALID_FIELD", "any"),
    ("any_bad_field", "WellKnown", b'{"any": {"@type": "t/everything.Scalars", "anInt32": "x"}}', "INVALID_FIELD",
     "any.anInt32"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "expected"), [pytest.param(*case[1:], id=case[0]) for case in _ACCEPTED])
def test_proto_json_is_read(name: str, text: bytes, expected: dict[str, Any]) -> None:
    """semantics 11, 16: names in both spellings, values in their ProtoJSON forms."""
    assert as_json(name, decoder(name).decode(text).to_binary()) == expected


@pytest.mark.parametrize(
    ("name", "text", "reason", "field"), [pytest.param(*case[1:], id=case[0]) for case in _REFUSED]
)
def test_what_does_not_fit_is_refused_with_its_place(name: str, text: bytes, reason: str, field: str) -> None:
    """semantics 12, 16: 400 with the field; the text names nothing of ours."""
    with pytest.raises(GatewayError) as caught:
        decoder(name).decode(text)
    assert summary(caught.value) == (400, reason, field)
    assert "class" not in caught.value.message.replace("keywords", "")
    assert len(caught.value.message) < 500


def test_unknown_fields_can_be_ignored() -> None:
    """semantics 12: `unknown_fields: ignore`; numbers of open enums stay, wrong types are still refused."""
    lenient = decoder("Scalars", unknown_fields="ignore")
    assert lenient.decode(b'{"nope": {"a": [1]}, "anInt32": 5}').to_binary() == b"\x18\x05"
    assert as_json("Scalars", lenient.decode(b'{"aColour": 77}').to_binary()) == {"aColour": 77}
    with pytest.raises(GatewayError):
        lenient.decode(b'{"nope": 1, "anInt32": "x"}')


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b'{"left":' * 101 + b"{}" + b"}" * 101, id="messages"),
        pytest.param(b'{"left":' * 253 + b"{}" + b"}" * 253, id="messages_at_the_parsers_bound"),
        pytest.param(b'{"children":[' * 120 + b"]}" * 120, id="lists"),
        pytest.param(b'{"nope":' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="unknown"),
        pytest.param(b'{"name":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}", id="wrong_type"),
    ],
)
@pytest.mark.parametrize("unknown", ["reject", "ignore"])
def test_deep_json_is_refused(text: bytes, unknown: str) -> None:
    """semantics 16, H13: more than 100 levels are 400, never RecursionError and never a crash of native code."""
    with pytest.raises(GatewayError) as caught:
        decoder("Tree", unknown_fields=unknown).decode(text)
    assert caught.value.http == 400


@pytest.mark.parametrize(
    "inner",
    [
        pytest.param(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, id="objects"),
        pytest.param(b"[" * 250 + b"]" * 250, id="lists"),
        pytest.param(b'{"@type":"t/google.protobuf.Any","value":' * 120 + b"{}" + b"}" * 120, id="any_in_any"),
        pytest.param(
            b'{"@type":"t/everything.Scalars","x":' + b"[" * 240 + b"]" * 240 + b"}", id="unknown_field_of_known_type"
        ),
    ],
)
def test_deep_json_in_any_is_refused(inner: bytes) -> None:
    """semantics 16: the codec does not count levels inside an Any; we do."""
    for unknown in ("reject", "ignore"):
        with pytest.raises(GatewayError) as caught:
            decoder("WellKnown", unknown_fields=unknown).decode(b'{"any":' + inner + b"}")
        assert caught.value.http == 400


def _mebibyte(opening: bytes, item: bytes, closing: bytes) -> bytes:
    return opening + b",".join([item] * (2**20 // (len(item) + 1))) + closing


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"[" * 2**20, id="brackets"),
        pytest.param(b'{"name":' * 131_072, id="open_objects"),
        pytest.param(b"{" + b",".join(b'"%d":1' % n for n in range(100_000)) + b"}", id="unknown_members"),
        pytest.param(_mebibyte(b"{", b'"a":1', b"}"), id="repeated_members"),
        pytest.param(_mebibyte(b'{"children":[', b"{}", b"]}"), id="empty_messages"),
        pytest.param(_mebibyte(b'{"children":[', b"1", b"]}"), id="wrong_items"),
        pytest.param(_mebibyte(b'{"children":[', b"[]", b"]}"), id="lists_for_messages"),
        pytest.param(b'{"name":' + b"1" * 2**20 + b"}", id="digits"),
        pytest.param(b'{"name":1e' + b"1" * 2**20 + b"}", id="exponent"),
        pytest.param(b'{"name":"' + b"_" * 2**20 + b'","x":1}', id="underscores"),
        pytest.param(b'"' * 2**20, id="quotes"),
        pytest.param(b'{"name":"' + b"\\u0041" * 174_762 + b'","x":1}', id="escapes"),
    ],
)
def test_a_hostile_mebibyte_is_refused_cheaply(text: bytes) -> None:
    """H13: at most 50 ms of CPU a MiB."""
    hostile = decoder("Tree")
    bar_s = 0.050 * max(1, len(text) / 2**20)

    def refuse() -> None:
        with pytest.raises(GatewayError) as caught:
            hostile.decode(text)
        assert caught.value.http == 400

    assert cheapest_cpu_s(refuse, enough_s=bar_s) <= bar_s


def test_many_free_values_are_refused_but_not_many_numbers() -> None:
    """P8: a number in a list is cheap, in a ListValue it is a message."""
    numbers = b",".join([b"1"] * 150_000)
    assert len(decoder("Repeated").decode(b'{"int32s":[' + numbers + b"]}").to_binary()) > 150_000
    for text in (b'{"values":[' + numbers + b"]}", b'{"structs":[{"a":[' + numbers + b"]}]}"):
        with pytest.raises(GatewayError, match="more than 100000"):
            decoder("Repeated").decode(text)


def test_required_field_is_found_missing_when_serialized() -> None:
    """The codec checks required fields when it writes; `binding.py` turns that into a client error."""
    with pytest.raises(ValueError, match="required"):
        decoder("legacy.Legacy").decode(b"{}").to_binary()


def _same(ours: bytes, theirs: Message) -> bool:
    return same_message(type(theirs).FromString(ours), theirs)


_SPELLINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "proto_names": {"preserving_proto_field_name": True},
    "enum_numbers": {"use_integers_for_enums": True},
    "compact": {"indent": None},
}


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("spelling", _SPELLINGS)
@settings(max_examples=42, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_reads_what_google_writes(name: str, spelling: str, data: st.DataObject) -> None:
    """semantics 11, 17: JSON written by google.protobuf becomes the same message. 12 x 4 x 42 are 2,016 messages."""
    message = data.draw(messages(name))
    text = json_format.MessageToJson(message, descriptor_pool=POOL, **_SPELLINGS[spelling])
    # Through JSON and back: NaN has many bit patterns and one name.
    again = json_format.Parse(text, message_class(name)(), descriptor_pool=POOL)
    assert _same(_DECODERS[name].decode(text.encode()).to_binary(), again), text


_TOKENS = re.findall(
    r"\S+",
    """
    null true false 0 1 -1 1.0 1.5 1e2 2147483647 2147483648 4294967296 9223372036854775807 9223372036854775808
    -9223372036854775809 18446744073709551616 1e19 1e-50 3.5e38 0.1e1 "" "a" "1" "-1" "1.0" "1e2" "01" "NaN" "nan"
    "Infinity" "-Infinity" "true" "COLOUR_RED" "colour_red" "YQ==" "YQ" "-_" "a?b" "Y" "2020-01-01T00:00:00Z"
    "2020-01-01T00:00:00" "2020-01-01T00:00:00.1+01:00" "9999-12-31T23:59:59.999999999Z" "1s" "-1.5s" ".5s"
    "315576000000s" "315576000001s" "a,b" "fooBar" "foo_bar" [] {} [null] [1] ["a"] [1,"x"] {"a":1} {"1":1}
    {"1":"a"} {"true":true} {"a":null} {"a":{}} [[1]] [{}]
    {"@type":"type.googleapis.com/everything.Tree","name":"x"} {"@type":"type.googleapis.com/everything.Tree","x":1}
    {"@type":"x"} {"value":1} "CLOSED_ONE" 99 {"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}
    {"label":"a"} [{"label":"a"}]
    """,
)


def _differs_on_purpose(kind: str, token: str) -> str:
    """Return why we may refuse a text that Google's Python library takes, or nothing.

    That library converts with Python's int(), float() and a base64 decoder that skips what it does not know. C++, Java
    and Go refuse all of these; so do we.
    """
    if "Enum" in kind and token != '"COLOUR_RED"':
        return "enums: numbers are JSON integers, not fractions, booleans or texts"
    if token in ("true", "false"):
        return "numbers: a bool is no number"
    if token == '"01"':
        return "numbers: in quotes they are spelled as without"
    if token in ('""', "[]", "[[1]]", "[{}]") or (token.startswith("{") and "Map" in kind):
        return "messages: what is empty or a list is no object"
    if token == '".5s"':
        return "field masks: every part of a path is a name"
    if token.startswith('"') and "bytes" in kind:
        return "bytes: base64 with foreign characters"
    return ""


def _kind(name: str, json_name: str) -> str:
    found = REGISTRY.message(name)
    assert found is not None
    field = next(field for field in found.fields if field.json_name == json_name)
    is_bytes = any(word in field.name for word in ("bytes", "raw"))
    is_enum = any(word in field.name for word in ("colour", "alias", "closed", "open", "shut", "null_value"))
    return f"{type(field.value).__name__} {'bytes' if is_bytes else ''} {'Enum' if is_enum else ''}"


@pytest.mark.parametrize("name", [name for name in TYPES if name not in ("everything.Names", "everything.Keywords")])
def test_agrees_with_google_on_every_field_and_odd_value(name: str) -> None:
    """semantics 16: what we take, Google's library takes with the same meaning; what only it takes is listed."""
    start = {"legacy.Legacy": '"name":"n",', "modern.Modern": '"required":"r",'}.get(name, "")
    found = REGISTRY.message(name)
    assert found is not None
    surprises = []
    for field in found.fields:
        if start.startswith(f'"{field.json_name}"'):
            continue
        for token in _TOKENS:
            text = f'{{{start}"{field.json_name}":{token}}}'
            theirs = _google(name, text)
            ours = _ours(name, text)
            if ours is None and theirs is not None and not _differs_on_purpose(_kind(name, field.json_name), token):
                surprises.append(f"only Google takes {text}")
            elif ours is not None and (theirs is None or not _same(ours, theirs)) and '"values":null' not in text:
                # A null for a list of Value: to us the list is absent, as in C++; Google's Python refuses it.
                surprises.append(f"we take {text}")
    assert surprises == []


def _google(name: str, text: str) -> Message | None:
    try:
        message = json_format.Parse(text, message_class(name)(), descriptor_pool=POOL)
        return message if message.IsInitialized() else None
    except (json_format.ParseError, ValueError):
        return None


def _ours(name: str, text: str) -> bytes | None:
    try:
        return _DECODERS[name].decode(text.encode()).to_binary()
    except (
        GatewayError,
        ValueError,
        OverflowError,
    ):  # the latter two at the end, where the binding turns them into 400
        return None


def test_largest_float32_is_read_in_both_its_spellings() -> None:
    exact = decoder("Scalars").decode(b'{"aFloat": 3.4028234663852886e38}')
    assert decoder("Scalars").decode(b'{"aFloat": 3.4028235e38}').to_binary() == exact.to_binary() != b""


@pytest.mark.parametrize("text", [b'{"aDouble": -0.0}', b'{"aDouble": -0}'])
def test_minus_zero_keeps_its_sign(text: bytes) -> None:
    """Google's Python library loses it for the integer -0; C++ does not."""
    message: Any = decoder("Scalars").decode(text)
    assert math.copysign(1, message.a_double) == -1


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_decode_or_give_the_declared_error(text: bytes) -> None:
    """semantics 16, H22."""
    for name in ("everything.Scalars", "everything.WellKnown", "legacy.Legacy"):
        _decode_or_refuse(name, text)


_pieces = st.sampled_from(
    [
        *_TOKENS,
        *"{}[],:",
        '"any"',
        '"value"',
        '"struct"',
        '"@type"',
        '"anInt32"',
        '"children"',
        '"only"',
        '"leaf"',
        "[[[[",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_pieces, max_size=25).map("".join))
def test_any_json_like_text_decodes_or_gives_the_declared_error(text: str) -> None:
    """semantics 16, H22."""
    for name in ("everything.WellKnown", "everything.Tree", "everything.Oneofs"):
        _decode_or_refuse(name, text.encode())


def _decode_or_refuse(name: str, text: bytes) -> None:
    try:
        _DECODERS[name].decode(text)
    except GatewayError as error:
        assert error.http == 400
        assert "<class" not in error.message
