"""Strings from path and query into fields of every type."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_gateway.model.errors import GatewayError
from api_gateway.transcoding.parameters import MAX_REMEMBERED, ParameterReader, path_setter
from api_gateway.transcoding.query_text import parse_query
from tests.support.cpu_time import cheapest_cpu_s
from tests.unit.transcoding.scenes import CODECS, as_json, descriptor, summary


def _reader(name: str, **options: Any) -> ParameterReader:
    options.setdefault("ignores_unknown", False)
    return ParameterReader(descriptor(name), CODECS, **options)


def _read(name: str, query: str, **options: Any) -> Any:
    message = descriptor(name).type()
    _reader(name, **options).apply(message, parse_query(query))
    return as_json(name, message.to_binary())


@pytest.mark.parametrize(
    ("name", "query", "expected"),
    [
        pytest.param(
            "Scalars", "anInt32=5&aBool=true&aString=x", {"anInt32": 5, "aBool": True, "aString": "x"}, id="json"
        ),
        pytest.param("Scalars", "an_int32=5&a_bool=true", {"anInt32": 5, "aBool": True}, id="proto_names"),
        pytest.param(
            "Scalars", "aColour=COLOUR_RED&anAlias=1", {"aColour": "COLOUR_RED", "anAlias": "ALIAS_ONE"}, id="enum"
        ),
        pytest.param(
            "Names",
            "custom-Name=a&field1=b&FieldName2=c",
            {"custom-Name": "a", "field1": "b", "FieldName2": "c"},
            id="json_name",
        ),
        pytest.param(
            "Names", "renamed=a&dotted=b", {"custom-Name": "a", "with.dot": "b"}, id="proto_name_of_json_name"
        ),
        pytest.param(
            "Keywords",
            "class=a&from=1&None.self=b&lambda[if]=c&__init__=d&to_json=e",
            {"class": "a", "from": 1, "None": {"self": "b"}, "lambda": {"if": "c"}, "Init": "d", "toJson": "e"},
            id="python_keywords",
        ),
        pytest.param(
            "Maps",
            "stringMessage[a].anInt32=5&stringMessage[a].a_string=x&string_message[b.c].aBool=true",
            {"stringMessage": {"a": {"anInt32": 5, "aString": "x"}, "b.c": {"aBool": True}}},
            id="fields_of_messages_in_a_map",
        ),
        pytest.param(
            "Tree",
            "named[a].named[b].name=x&named[a].left.name=y&named[a].attributes[k]=v",
            {"named": {"a": {"named": {"b": {"name": "x"}}, "left": {"name": "y"}, "attributes": {"k": "v"}}}},
            id="maps_of_messages_in_maps_of_messages",
        ),
        pytest.param("Maps", "stringString[a].b]=1", {"stringString": {"a].b": "1"}}, id="brackets_in_a_map_key"),
        pytest.param(
            "Everything",
            "inner.level=HIGH&inner.id=x&tree.left.right.name=y",
            {"inner": {"level": "HIGH", "id": "x"}, "tree": {"left": {"right": {"name": "y"}}}},
            id="nested",
        ),
        pytest.param(
            "Everything",
            "well_known.int64Value=5&wellKnown.string_value=",
            {"wellKnown": {"int64Value": "5", "stringValue": ""}},
            id="mixed_spelling",
        ),
        pytest.param(
            "Repeated",
            "int32s=1&int32s=2&int32s=1&strings=&strings=b",
            {"int32s": [1, 2, 1], "strings": ["", "b"]},
            id="repeated",
        ),
        pytest.param(
            "Repeated",
            "timestamps=2020-01-01T00:00:00Z&int64Values=5&colours=1&bytess=YQ",
            {
                "timestamps": ["2020-01-01T00:00:00Z"],
                "int64Values": ["5"],
                "colours": ["COLOUR_RED"],
                "bytess": ["YQ=="],
            },
            id="repeated_of_all_kinds",
        ),
        pytest.param(
            "Repeated",
            'values=1&values="a"&values=null&structs={"a":[1]}&lists=[]',
            {"values": [1.0, "a", None], "structs": [{"a": [1.0]}], "lists": [[]]},
            id="repeated_json",
        ),
        pytest.param(
            "Maps",
            "stringString[a.b[c]]=v&int32Int32[-5]=6&boolBool[true]=false&stringColour[x]=COLOUR_RED",
            {
                "stringString": {"a.b[c]": "v"},
                "int32Int32": {"-5": 6},
                "boolBool": {"true": False},
                "stringColour": {"x": "COLOUR_RED"},
            },
            id="maps",
        ),
        pytest.param(
            "Maps",
            "string_string%5Bk%5D=v&stringString[]=e&stringValue[x]=[null]&sint32Float[1]=NaN",
            {"stringString": {"k": "v", "": "e"}, "stringValue": {"x": [None]}, "sint32Float": {"1": "NaN"}},
            id="maps_escaped_and_empty_key",
        ),
        pytest.param(
            "WellKnown",
            "timestamp=2020-01-01T00:00:00Z&duration=1.5s&mask=a_b,cD&nullValue=null",
            {"timestamp": "2020-01-01T00:00:00Z", "duration": "1.500s", "mask": "aB,cD"},
            id="well_known",
        ),
        pytest.param(
            "WellKnown",
            'struct={"a":{"b":null}}&value="text"&list=[1,true]',
            {"struct": {"a": {"b": None}}, "value": "text", "list": [1.0, True]},
            id="struct_value_list",
        ),
        pytest.param(
            "Oneofs", "number=1&class=x&beside=b", {"number": 1, "class": "x", "beside": "b"}, id="two_oneofs"
        ),
        pytest.param(
            "Oneofs",
            "message.anInt32=1&message.aBool=true",
            {"message": {"anInt32": 1, "aBool": True}},
            id="one_message_member_in_parts",
        ),
        pytest.param("Optionals", "anInt32=0&aString=", {"anInt32": 0, "aString": ""}, id="presence"),
        pytest.param(
            "legacy.Legacy",
            "name=n&box.label=b&child.name=c&closed=2",
            {"name": "n", "box": {"label": "b"}, "child": {"name": "c"}, "closed": "CLOSED_TWO"},
            id="proto2",
        ),
        pytest.param(
            "modern.Modern",
            "required=r&delimited.required=q&expanded=1&expanded=2",
            {"required": "r", "delimited": {"required": "q"}, "expanded": [1, 2]},
            id="editions",
        ),
    ],
)
def test_parameters_become_fields(name: str, query: str, expected: Any) -> None:
    """semantics 11."""
    assert _read(name, query) == expected


@pytest.mark.parametrize(
    ("name", "query", "reason", "field"),
    [
        pytest.param("Scalars", "nope=1", "UNKNOWN_PARAMETER", "nope", id="unknown"),
        pytest.param("Scalars", "=1", "UNKNOWN_PARAMETER", "", id="no_name"),
        pytest.param("Scalars", "anInt32.x=1", "UNKNOWN_PARAMETER", "anInt32.x", id="below_a_scalar"),
        pytest.param("Scalars", "anInt32[x]=1", "UNKNOWN_PARAMETER", "anInt32[x]", id="key_on_a_scalar"),
        pytest.param("Scalars", "AnInt32=1", "UNKNOWN_PARAMETER", "AnInt32", id="case_counts"),
        pytest.param("Everything", "inner..id=1", "UNKNOWN_PARAMETER", "inner..id", id="empty_part"),
        pytest.param("Everything", "inner.=1", "UNKNOWN_PARAMETER", "inner.", id="trailing_dot"),
        pytest.param("Everything", ".inner=1", "UNKNOWN_PARAMETER", ".inner", id="leading_dot"),
        pytest.param(
            "WellKnown", "timestamp.seconds=1", "UNKNOWN_PARAMETER", "timestamp.seconds", id="inside_well_known"
        ),
        pytest.param("WellKnown", "any.@type=x", "UNKNOWN_PARAMETER", "any.@type", id="inside_any"),
        pytest.param("Repeated", "messages.anInt32=1", "UNKNOWN_PARAMETER", "messages.anInt32", id="below_a_list"),
        pytest.param(
            "Maps", "stringMessage.a.anInt32=1", "UNKNOWN_PARAMETER", "stringMessage.a.anInt32", id="below_a_map"
        ),
        pytest.param("legacy.Legacy", "[legacy.note]=1", "UNKNOWN_PARAMETER", "[legacy.note]", id="extension"),
        pytest.param("Scalars", "anInt32=x", "INVALID_PARAMETER", "anInt32", id="wrong_type"),
        pytest.param("Scalars", "aColour=MAUVE", "INVALID_PARAMETER", "aColour", id="unknown_enum_name"),
        pytest.param("Repeated", "int32s=1&int32s=x", "INVALID_PARAMETER", "int32s", id="wrong_type_in_list"),
        pytest.param("Everything", "inner=x", "INVALID_PARAMETER", "inner", id="message"),
        pytest.param("Repeated", "messages=x", "INVALID_PARAMETER", "messages", id="repeated_message"),
        pytest.param("Maps", "stringMessage[a]=x", "INVALID_PARAMETER", "stringMessage[a]", id="map_of_messages"),
        pytest.param("WellKnown", "any=x", "INVALID_PARAMETER", "any", id="any"),
        pytest.param("Maps", "stringString=x", "INVALID_PARAMETER", "stringString", id="map_without_key"),
        pytest.param("Maps", "stringString[x=y", "INVALID_PARAMETER", "stringString[x", id="map_key_unclosed"),
        pytest.param("Maps", "stringString[x].y=z", "INVALID_PARAMETER", "stringString[x].y", id="below_a_map_value"),
        pytest.param("Maps", "int32Int32[x]=1", "INVALID_PARAMETER", "int32Int32[x]", id="map_key_type"),
        pytest.param(
            "Maps", "stringString[x]=1&string_string[x]=2", "INVALID_PARAMETER", "string_string[x]", id="key_twice"
        ),
        pytest.param("WellKnown", "struct=[1]", "INVALID_PARAMETER", "struct", id="struct_of_other_kind"),
        pytest.param("WellKnown", "value=text", "INVALID_PARAMETER", "value", id="value_is_json_text"),
        pytest.param("WellKnown", "value=" + "[" * 60_000, "INVALID_PARAMETER", "value", id="value_deep"),
        pytest.param("WellKnown", 'struct={"a":1,"a":2}', "INVALID_PARAMETER", "struct", id="struct_member_twice"),
        pytest.param("Scalars", "anInt32=1&anInt32=1", "PARAMETER_CONFLICT", "anInt32", id="twice"),
        pytest.param("Scalars", "anInt32=1&an_int32=1", "PARAMETER_CONFLICT", "an_int32", id="twice_under_two_names"),
        pytest.param("Everything", "inner.id=1&inner.id=2", "PARAMETER_CONFLICT", "inner.id", id="twice_nested"),
        pytest.param("Oneofs", "number=1&text=a", "PARAMETER_CONFLICT", "text", id="oneof"),
        pytest.param("Oneofs", "number=1&message.anInt32=1", "PARAMETER_CONFLICT", "message.anInt32", id="oneof_deep"),
        pytest.param("Tree", "only.name=a&leaf=b", "PARAMETER_CONFLICT", "leaf", id="oneof_of_a_parent"),
        pytest.param("Tree", "left.only.name=a&left.leaf=b", "PARAMETER_CONFLICT", "left.leaf", id="oneof_inside"),
    ],
)
def test_wrong_parameters_are_refused_by_name(name: str, query: str, reason: str, field: str) -> None:
    """semantics 10, 11, 12."""
    with pytest.raises(GatewayError) as caught:
        _read(name, query)
    assert summary(caught.value) == (400, reason, field)
    assert "<class" not in caught.value.message


@pytest.mark.parametrize(
    ("query", "hint"),
    [("anInt23=1", "anInt32"), ("abool=1", "aBool"), ("an_int_32=1", "anInt32"), ("zzzzzz=1", None)],
)
def test_unknown_key_comes_with_the_nearest_known_one(query: str, hint: str | None) -> None:
    """semantics 12."""
    with pytest.raises(GatewayError) as caught:
        _read("Scalars", query)
    assert ("did you mean" in caught.value.message) is (hint is not None)
    assert hint is None or caught.value.message.endswith(f"did you mean {hint}?")


def test_unknown_keys_can_be_ignored() -> None:
    """semantics 12: `unknown_query: ignore`; what is known is still checked."""
    query = "nope=1&anInt32=5&anInt32.x=1&nope[a]=1&anInt32[x]=1&=x"
    assert _read("Scalars", query, ignores_unknown=True) == {"anInt32": 5}
    with pytest.raises(GatewayError):
        _read("Scalars", "nope=1&anInt32=x", ignores_unknown=True)


@pytest.mark.parametrize("key", ["inner", "inner.id", "inner.level", "id"])
def test_taken_fields_and_what_lies_below_are_refused(key: str) -> None:
    """semantics 10."""
    with pytest.raises(GatewayError) as caught:
        _read("Everything", f"{key}=HIGH", taken={"inner": "body", "id": "path"})
    assert caught.value.reason in ("PARAMETER_CONFLICT", "INVALID_PARAMETER")


def test_a_name_that_starts_like_a_taken_one_is_free() -> None:
    """semantics 10: `inners` does not lie under `inner`; nor does a field beside a bound one."""
    assert _read("Everything", "inner.level=HIGH", taken={"inner.id": "path", "inn": "body"}) == {
        "inner": {"level": "HIGH"}
    }


def test_oneof_member_from_elsewhere_excludes_the_others() -> None:
    """semantics 11."""
    with pytest.raises(GatewayError) as caught:
        _read("Oneofs", "text=a", choices={"choice": "number"})
    assert caught.value.reason == "PARAMETER_CONFLICT"


def test_errors_are_not_remembered_as_keys() -> None:
    """A reader keeps no more than its bound, whatever clients send."""
    reader = _reader("Tree")
    for depth in range(1, 90):
        for name in ("left", "right", "only"):
            reader.apply(descriptor("Tree").type(), [(f"{name}." * depth + "name", "x")])
    assert len(reader._targets) == MAX_REMEMBERED


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("left." * 99 + "name=x", id="100_names"),
        pytest.param("&".join(f"named[{n}]=x" for n in range(900)), id="900_bad_map_keys"),
        pytest.param("&".join(f"k{n}=x" for n in range(1000)), id="1000_unknown"),
        pytest.param("left." * 13_000 + "name=x", id="13000_names"),
        pytest.param("[" * 60_000 + "=x", id="brackets"),
        pytest.param("named" + "[a]" * 20_000 + "=x", id="a[b][c]"),
        pytest.param("x" * 60_000 + "=1", id="long_name"),
        pytest.param("&" * 999, id="separators"),
    ],
)
def test_hostile_queries_are_decided_quickly(query: str) -> None:
    """H11: 400 or a message in less than 10 ms."""

    def decide() -> None:
        try:
            _read("Tree", query)
        except GatewayError as error:
            assert error.http == 400
            assert len(error.message) < 500

    assert cheapest_cpu_s(decide, enough_s=0.010) <= 0.010


def test_map_keys_are_free_whatever_came_before() -> None:
    """A remembered map field takes every key, in both spellings, and only well-formed ones."""
    reader = _reader("Maps")
    for pairs in (
        [("stringString[a]", "1"), ("stringString[b]", "2")],
        [("string_string[]", "3"), ("stringValue[x]", "4")],
    ):
        reader.apply(descriptor("Maps").type(), pairs)
    for key in ("stringString", "stringString[", "stringString]", "stringString[a"):
        with pytest.raises(GatewayError):
            reader.apply(descriptor("Maps").type(), [(key, "x")])


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("nope", "no such field"),
        ("inner", "is a message"),
        ("inners", "cannot be given as text"),
        ("repeated.int32s", "repeated"),
        ("maps.string_string", "repeated"),
        ("well_known.any", "cannot be given"),
        ("inner.id.x", "no such field"),
        ("", "no such field"),
    ],
)
def test_path_variables_must_be_single_values(variable: str, words: str) -> None:
    """semantics 3, google/api/http.proto: a path variable is one non-repeated value."""
    with pytest.raises(ValueError, match=words):
        path_setter(descriptor("Everything"), variable, CODECS)


def test_path_variable_errors_name_the_variable() -> None:
    """semantics 16."""
    _, set_variable = path_setter(descriptor("Everything"), "scalars.an_int32", CODECS)
    with pytest.raises(GatewayError) as caught:
        set_variable(descriptor("Everything").type(), "x")
    assert summary(caught.value) == (400, "INVALID_PARAMETER", "scalars.an_int32")
    _, set_json = path_setter(descriptor("Everything"), "well_known.struct", CODECS)
    with pytest.raises(GatewayError) as caught:
        set_json(descriptor("Everything").type(), "{")
    assert summary(caught.value) == (400, "INVALID_PARAMETER", "well_known.struct")


_SCALAR_QUERY = st.fixed_dictionaries(
    {},
    optional={
        "anInt32": st.integers(-(2**31), 2**31 - 1),
        "anInt64": st.integers(-(2**63), 2**63 - 1).map(str),
        "aUint64": st.integers(0, 2**64 - 1).map(str),
        "aDouble": st.floats(allow_nan=False, allow_infinity=False),
        "aBool": st.booleans(),
        "aString": st.text(),
        "aColour": st.sampled_from(["COLOUR_RED", "COLOUR_GREEN", 77, -5]),
        "aBytes": st.sampled_from(["", "YQ==", "YWI", "-_"]),
    },
)


@given(_SCALAR_QUERY)
def test_query_and_body_make_the_same_message(fields: dict[str, Any]) -> None:
    """semantics 11: one meaning, whichever way a value comes."""
    message = descriptor("Scalars").type()
    pairs = [(key, value if isinstance(value, str) else json.dumps(value)) for key, value in fields.items()]
    _reader("Scalars").apply(message, pairs)
    assert message.to_binary() == descriptor("Scalars").type.from_json(json.dumps(fields)).to_binary()


_KEYS = st.one_of(
    st.sampled_from(
        ["number", "text", "message.anInt32", "value", "struct", "int32Int32[1]", "named[", "left.left.name"]
    ),
    st.text("abc.[]_@", max_size=12),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(_KEYS, st.text(max_size=10)), max_size=5), st.booleans())
def test_any_parameters_apply_or_give_the_declared_error(pairs: list[tuple[str, str]], ignores_unknown: bool) -> None:
    """H22."""
    for name in ("Oneofs", "Tree", "Maps", "WellKnown"):
        reader = ParameterReader(descriptor(name), CODECS, ignores_unknown=ignores_unknown, taken={"left": "path"})
        try:
            reader.apply(descriptor(name).type(), pairs)
        except GatewayError as error:
            assert error.http == 400


@pytest.mark.parametrize(
    ("name", "query", "reason", "words"),
    [
        pytest.param("Tree", "named[a].name=5&named[a].name=6", "PARAMETER_CONFLICT", "given twice", id="twice"),
        pytest.param("Maps", "stringMessage[a]=1", "INVALID_PARAMETER", "give their fields", id="whole_entry"),
        pytest.param("Maps", "stringMessage[a].nope=1", "UNKNOWN_PARAMETER", "unknown", id="unknown_field"),
        pytest.param("Maps", "stringMessage[a].anInt32=x", "INVALID_PARAMETER", "expected an integer", id="wrong_type"),
        pytest.param("Maps", "stringMessage[a].anInt32[x]=1", "UNKNOWN_PARAMETER", "unknown", id="key_of_a_scalar"),
        pytest.param("Maps", "stringString[a].b=1", "INVALID_PARAMETER", "a key in brackets", id="field_of_a_string"),
        pytest.param("Tree", "named[a].attributes=1", "INVALID_PARAMETER", "a key in brackets", id="inner_map"),
        pytest.param("Tree", "named[a]." * 101 + "name=x", "UNKNOWN_PARAMETER", "unknown", id="too_deep"),
        pytest.param("Tree", "named[a]." + "left." * 99 + "name=x", "UNKNOWN_PARAMETER", "unknown", id="deep_below"),
    ],
)  # fmt: skip
def test_fields_of_messages_in_maps_are_checked(name: str, query: str, reason: str, words: str) -> None:
    """semantics 11, 12, H11."""
    with pytest.raises(GatewayError, match=words) as caught:
        _read(name, query)
    assert (caught.value.http, caught.value.reason) == (400, reason)


def test_keys_below_a_map_from_elsewhere_are_refused() -> None:
    """semantics 10."""
    with pytest.raises(GatewayError, match="comes from the body"):
        _read("Maps", "stringMessage[a].anInt32=5", taken={"string_message": "body"})


def test_deepest_key_is_a_message_that_can_be_sent() -> None:
    """H11: as deep as protobuf implementations read."""
    assert _read("Tree", "named[a]." * 40 + "left." * 9 + "name=x")
