"""JSON as RFC 8259 has it. Families as in JSONTestSuite: y must be read, n refused; what it leaves open is decided."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.model.errors import GatewayError
from api_gateway.transcoding.strict_json import MAX_LEVELS, MAX_MESSAGES, check_levels, parse_json
from tests.unit.transcoding.strategies import same_json

_Y = {
    "array_empty": b"[]",
    "array_spaces": b"[ \t\r\n]",
    "array_heterogeneous": b'[null, 1, "1", {}]',
    "array_ending_newline": b'["a"]\n',
    "number_minus_zero": b"-0",
    "number_real_exponent": b"123.456e78",
    "number_exponent_capital": b"1E22",
    "number_negative_exponent": b"1e-2",
    "number_positive_exponent": b"1e+2",
    "number_int64": b"-9223372036854775808",
    "number_uint64": b"18446744073709551615",
    "number_underflow": b"1e-400",
    "object_empty_key": b'{"":0}',
    "object_escaped_null_in_key": b'{"foo\\u0000bar":42}',
    "object_same_key_in_other_object": b'{"a":{"a":1},"b":[{"a":2},{"a":3}]}',
    "object_escaped_key": b'{"\\u003a":1,"b":2}',
    "string_escapes": b'"\\"\\\\\\/\\b\\f\\n\\r\\t"',
    "string_surrogate_pair": b'"\\ud83d\\ude00"',
    "string_utf8": '"€𝄞"'.encode(),
    "string_nonchar": '"\uffff"'.encode(),
    "string_u2028": '"\u2028\u2029"'.encode(),
    "string_del": b'"\x7f"',
    "string_colons": b'{"a":"::\\":","b":"\\u003A"}',
    "structure_lonely_true": b"true",
    "structure_lonely_null": b"null",
    "structure_lonely_string": b'"a"',
    "structure_whitespace_around": b" \t\r\n{} \t\r\n",
}
_N = {
    "array_1_true_without_comma": b"[1 true]",
    "array_colon_instead_of_comma": b'["": 1]',
    "array_comma_after_close": b'[""],',
    "array_comma_and_number": b"[,1]",
    "array_double_comma": b"[1,,2]",
    "array_extra_close": b'["x"]]',
    "array_extra_comma": b'["",]',
    "array_incomplete": b'["x"',
    "array_just_minus": b"[-]",
    "array_newlines_unclosed": b'["a",\n4\n,1,',
    "array_star_inside": b"[*]",
    "array_unclosed_with_open_string": b'["asd',
    "incomplete_false": b"[fals]",
    "multidigit_number_then_00": b"123\x00",
    "number_plus_1": b"+1",
    "number_plus_inf": b"+Inf",
    "number_minus_01": b"-01",
    "number_leading_zero": b"012",
    "number_minus_nan": b"-NaN",
    "number_dot_2": b".2",
    "number_2_dot": b"2.",
    "number_2_dot_e3": b"2.e3",
    "number_0e": b"0e",
    "number_0e_plus": b"0e+",
    "number_hex": b"0x42",
    "number_inf": b"Inf",
    "number_infinity": b"Infinity",
    "number_minus_infinity": b"-Infinity",
    "number_nan": b"NaN",
    "number_fullwidth_digit": "\uff11".encode(),
    "number_with_letter": b"1a",
    "number_space_inside": b"1 000",
    "number_underscore": b"1_000",
    "number_overflow": b"1e400",
    "number_5000_digits": b"1" * 5000,
    "number_long_exponent": b"1e" + b"9" * 5000,
    "object_bad_value": b'["x", truth]',
    "object_bracket_key": b"{[: 1}",
    "object_comma_instead_of_colon": b'{"x", null}',
    "object_double_colon": b'{"x"::"b"}',
    "object_garbage_at_end": b'{"a":"a" 123}',
    "object_key_with_single_quotes": b"{'a':0}",
    "object_missing_value": b'{"a":',
    "object_no_colon": b'{"a"',
    "object_non_string_key": b"{1:1}",
    "object_trailing_comma": b'{"id":0,}',
    "object_trailing_comment": b'{"a":"b"}/**/',
    "object_unquoted_key": b'{a: "b"}',
    "object_repeated_key": b'{"a":1,"a":2}',
    "object_repeated_key_same_value": b'{"a":1,"a":1}',
    "object_repeated_key_deep": b'[[{"b":{"c":1,"d":2,"c":3}}]]',
    "object_repeated_key_in_escape": b'{"a":1,"\\u0061":2}',
    "object_repeated_key_hidden_by_escaped_colon": b'{"x":"\\u003a","a":1,"a":2}',
    "object_repeated_key_hidden_by_space": b'{"a" :1,"a" :2}',
    "single_space": b" ",
    "string_1_surrogate_then_escape": b'["\\uD800\\"]',
    "string_lone_high_surrogate": b'"\\ud800"',
    "string_lone_low_surrogate": b'"\\udc00"',
    "string_inverted_surrogates": b'"\\ude00\\ud83d"',
    "string_surrogate_in_utf8": b'"\xed\xa0\x80"',
    "string_invalid_utf8": b'"\xff"',
    "string_overlong": b'"\xc0\xaf"',
    "string_truncated_utf8": b'"\xe0\xff"',
    "string_beyond_unicode": b'"\xf4\xbf\xbf\xbf"',
    "string_bad_escape": b'"\\x15"',
    "string_escaped_emoji": '"\\🌀"'.encode(),
    "string_incomplete_escape": b'"\\u00A"',
    "string_unescaped_newline": b'"a\nb"',
    "string_unescaped_tab": b'"\t"',
    "string_unescaped_null": b'"a\x00a"',
    "string_single_quote": b"'a'",
    "structure_angle_bracket": b"<.>",
    "structure_ascii_bom": b"\xef\xbb\xbf{}",
    "structure_utf16_le": "[]".encode("utf-16-le"),
    "structure_utf16_bom": "[]".encode("utf-16"),
    "structure_utf32": "[]".encode("utf-32"),
    "structure_capitalised_true": b"True",
    "structure_double_array": b"[][]",
    "structure_end_bracket": b"]",
    "structure_no_data": b"",
    "structure_null_byte": b"\x00",
    "structure_number_with_garbage": b"2@",
    "structure_two_values": b"{}{}",
    "structure_two_lines": b"1\n2",
    "structure_unclosed_object": b'{"a":"b"',
    "structure_form_feed": b"[\x0c]",
    "structure_no_break_space": b"[\xc2\xa0]",
    "structure_whitespace_u2060": b"[\xe2\x81\xa0]",
    "structure_100000_opening_arrays": b"[" * 100_000,
    "structure_1000000_opening_arrays": b"[" * 1_000_000,
    "structure_open_array_object": b'[{"":' * 50_000,
    "structure_300_levels": b"[" * 300 + b"]" * 300,
    "structure_10000_levels": b"[" * 10_000 + b"]" * 10_000,
}


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in _Y.items()])
def test_valid_json_is_read(text: bytes) -> None:
    """semantics 16, H13: what RFC 8259 allows is read as Python's own parser reads it."""
    assert parse_json(text) == json.loads(text)


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in _N.items()])
def test_broken_json_is_refused(text: bytes) -> None:
    """semantics 16, H13: everything else is 400 INVALID_JSON."""
    with pytest.raises(GatewayError) as caught:
        parse_json(text)
    assert (caught.value.http, caught.value.reason) == (400, "INVALID_JSON")


def test_error_names_the_position() -> None:
    """semantics 16: the error tells line and column."""
    with pytest.raises(GatewayError, match="line 2 column 7") as caught:
        parse_json(b'{\n "a": x}')
    assert caught.value.metadata["position"] == "line 2 column 7"


def test_repeated_member_is_named() -> None:
    with pytest.raises(GatewayError, match='"twice"') as caught:
        parse_json(b'{"once": {"twice": 1, "twice": 2}}')
    assert caught.value.metadata["field"] == "twice"


def test_long_repeated_member_is_shown_shortened() -> None:
    name = b"n" * 10_000
    with pytest.raises(GatewayError) as caught:
        parse_json(b'{"%b": 1, "%b": 2}' % (name, name))
    assert len(caught.value.message) < 200


def test_more_messages_than_allowed_are_refused_before_parsing() -> None:
    """P8: a small body must not become gigabytes of objects."""
    with pytest.raises(GatewayError, match=str(MAX_MESSAGES)):
        parse_json(b"[" + b"{}," * MAX_MESSAGES + b"{}]")
    parse_json(b"[" + b"{}," * 1000 + b"{}]")


def test_levels_are_counted_exactly() -> None:
    """semantics 16: 100 levels are read, 101 are not."""
    check_levels(json.loads("[" * MAX_LEVELS + "]" * MAX_LEVELS))
    check_levels(json.loads('{"a":' * MAX_LEVELS + "1" + "}" * MAX_LEVELS))
    with pytest.raises(GatewayError):
        check_levels(json.loads("[" * (MAX_LEVELS + 1) + "]" * (MAX_LEVELS + 1)))


_json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.text(), st.integers(-(2**63), 2**64 - 1)),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
)


@given(_json_values, st.booleans())
def test_what_python_writes_is_read(value: object, is_ascii: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=is_ascii).encode()) == value


@given(st.lists(st.tuples(st.text(max_size=3), _json_values), min_size=1, max_size=6), st.sampled_from([",", " , "]))
def test_repeated_members_are_always_found(pairs: list[tuple[str, object]], comma: str) -> None:
    """The quick comparison agrees with counting names."""
    members = comma.join(f"{json.dumps(name, ensure_ascii=False)}:{json.dumps(value)}" for name, value in pairs)
    has_repeated = len({name for name, _ in pairs}) < len(pairs)
    try:
        parse_json(f"{{{members}}}".encode())
    except GatewayError:
        assert has_repeated
    else:
        assert not has_repeated


@given(st.one_of(st.binary(max_size=60), st.text('[]{}",:\\u0019aeE+-. \n', max_size=60).map(str.encode)))
def test_parser_raises_nothing_else(text: bytes) -> None:
    """semantics 16, H22: any bytes parse or give the declared error; nothing is read that Python's parser refuses."""
    try:
        value = parse_json(text)
    except GatewayError:
        return
    assert same_json(json.loads(text), value)
