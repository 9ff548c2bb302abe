"""JSON texts that parsers disagree about, read as a request whose body may be any JSON (H13, semantics 16).

Three classes, after the classes of Nicolas Seriot's "Parsing JSON is a minefield": what RFC 8259 allows and everybody
must read, what it forbids and nobody may read, and what it leaves open, which must never crash. The texts are our own.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_gateway.model.errors import GatewayError
from tests.unit.transcoding.scenes import Case
from tests.unit.transcoding.strategies import same_json

VALUE = Case("Valued", body="*")
STRUCT = Case("Structured", body="*")

READ: dict[str, bytes] = {
    "empty array": b"[]",
    "empty object": b"{}",
    "spaces everywhere": b" \t\r\n[ \t1 ,\r\n2\n] \n",
    "empty array with a space": b"[ ]",
    "nested arrays": b"[[[[[[]]]]]]",
    "mixed array": b'[null, 1, "1", {}, [], true, false]',
    "trailing space": b"[2] ",
    "lonely null": b"null",
    "lonely true": b"true",
    "lonely false": b"false",
    "lonely integer": b"42",
    "lonely negative": b"-0.1",
    "lonely string": b'"asd"',
    "empty string": b'""',
    "number 0": b"[0]",
    "number -0": b"[-0]",
    "number -1": b"[-1]",
    "number 0e1": b"[0e1]",
    "number 0e+1": b"[0e+1]",
    "number 1e+2": b"[1e+2]",
    "number 1E22": b"[1E22]",
    "number 1e-2": b"[1e-2]",
    "number fraction and exponent": b"[123.456e78]",
    "number after a space": b"[ 4]",
    "number close to zero": b"[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]",
    "number largest double": b"[1.7976931348623157e308]",
    "number smallest double": b"[5e-324]",
    "string with every short escape": b'["\\"\\\\\\/\\b\\f\\n\\r\\t"]',
    "string with an escaped control": b'["\\u0012\\u001f"]',
    "string with an escaped NUL": b'["\\u0000"]',
    "string with an escaped pair": b'["\\uD801\\udc37"]',
    "string with accepted pairs": b'["\\ud83d\\ude39\\ud83d\\udc8d"]',
    "string with an escaped noncharacter": b'["\\uFFFF\\uFDD0\\uDBFF\\uDFFF"]',
    "string with DEL": b'["a\x7fa"]',
    "string with UTF-8 of 2 bytes": b'["\xc3\xa9"]',
    "string with UTF-8 of 3 bytes": b'["\xe2\x82\xac"]',
    "string with UTF-8 of 4 bytes": b'["\xf0\x9d\x84\x9e"]',
    "string with a raw noncharacter": b'["\xef\xbf\xbf"]',
    "string with line separators": b'["\xe2\x80\xa8\xe2\x80\xa9"]',
    "string with backslash u in words": b'["\\\\u0000"]',
    "string that looks like a comment": b'["a/*b*/c"]',
    "key empty": b'{"":0}',
    "key with NUL": b'{"foo\\u0000bar": 42}',
    "key with escapes": b'{"\\u0061": 1}',
    "keys many": b"{" + b",".join(b'"%d":%d' % (n, n) for n in range(1_000)) + b"}",
    "object with line breaks": b'{\n"a": "b"\n}',
    "object in object": b'{"a":{"b":{"c":{}}}}',
    "string long": b'"' + b"x" * 100_000 + b'"',
}

REFUSED: dict[str, bytes] = {
    "array with a comma too many": b"[1,]",
    "array with two commas": b"[1,,2]",
    "array with a comma first": b"[,1]",
    "array with a comma only": b"[,]",
    "array without a comma": b"[1 2]",
    "array with a colon": b'["": 1]',
    "array not closed": b"[1",
    "array not closed after a comma": b"[1,",
    "array closed twice": b"[1]]",
    "array closed as an object": b"[1}",
    "array with text behind": b"[1]x",
    "array with a second value": b"[1][2]",
    "array with an inner one open": b"[3[4]]",
    "array of a star": b"[*]",
    "array with a comma outside": b"[1],",
    "object with a comma too many": b'{"a":0,}',
    "object with two commas": b'{"a":0,,"b":1}',
    "object with a comma first": b'{,"a":0}',
    "object without a colon": b'{"a" 0}',
    "object with two colons": b'{"a"::0}',
    "object with a comma for a colon": b'{"a",0}',
    "object without a value": b'{"a":',
    "object without a key": b"{:1}",
    "object with a bare key": b"{a: 1}",
    "object with a number as key": b"{1: 1}",
    "object with single quotes": b"{'a': 1}",
    "object not closed": b'{"a":0',
    "object closed as an array": b'{"a":0]',
    "object with text behind": b'{"a":0}x',
    "object with a comment behind": b'{"a":0}//',
    "object with a comment inside": b'{"a":/*c*/0}',
    "object with a hash comment": b'{"a":0}#',
    "object with a key twice": b'{"a":1,"a":2}',
    "object with a key twice, once escaped": b'{"a":1,"\\u0061":2}',
    "object with two keys, no comma": b'{"a":1 "b":2}',
    "object inside twice the key": b'[{"x":{"k":1,"k":1}}]',
    "number plus": b"[+1]",
    "number double minus": b"[--1]",
    "number minus only": b"[-]",
    "number minus with a space": b"[- 1]",
    "number leading zero": b"[012]",
    "number negative leading zero": b"[-012]",
    "number dot first": b"[.1]",
    "number negative dot first": b"[-.1]",
    "number dot last": b"[1.]",
    "number dot before exponent": b"[2.e3]",
    "number dot minus": b"[.-1]",
    "number exponent without digits": b"[1e]",
    "number exponent with sign only": b"[1e+]",
    "number exponent twice": b"[1e1e1]",
    "number exponent first": b"[e1]",
    "number two dots": b"[1.2.3]",
    "number with letters": b"[1a]",
    "number hexadecimal": b"[0x42]",
    "number octal": b"[0o17]",
    "number with an underscore": b"[1_000]",
    "number with a space inside": b"[1 000.0]",
    "number with a full-width digit": b"[\xef\xbc\x91]",
    "NaN": b"[NaN]",
    "nan": b"[nan]",
    "Infinity": b"[Infinity]",
    "-Infinity": b"[-Infinity]",
    "inf": b"[-inf]",
    "true in capitals": b"[True]",
    "null in capitals": b"[NULL]",
    "true cut": b"[tru]",
    "null cut": b"[nul",
    "undefined": b"[undefined]",
    "string with single quotes": b"['a']",
    "string not closed": b'["a',
    "string closed by an escape": b'["a\\"]',
    "string with a raw line break": b'["a\nb"]',
    "string with a raw tab": b'["\t"]',
    "string with a raw NUL": b'["a\x00a"]',
    "string with an unknown escape": b'["\\a"]',
    "string with an escaped x": b'["\\x00"]',
    "string with an escaped emoji": b'["\\\xf0\x9f\x8c\x80"]',
    "string with a short u escape": b'["\\u00A"]',
    "string with a broken u escape": b'["\\u00g0"]',
    "string with a large U escape": b'["\\U00000041"]',
    "string with half a pair and a cut": b'["\\uD800\\u"]',
    "string without quotes": b"[a]",
    "string and text": b'"a"b',
    "escape outside a string": b"[\\n]",
    "UTF-8 overlong": b'["\xc0\xaf"]',
    "UTF-8 overlong of 3 bytes": b'["\xe0\x80\xaf"]',
    "UTF-8 continuation alone": b'["\x80"]',
    "UTF-8 cut": b'["\xe2\x82"]',
    "UTF-8 surrogate": b'["\xed\xa0\x80"]',
    "UTF-8 beyond Unicode": b'["\xf4\x90\x80\x80"]',
    "UTF-8 five bytes": b'["\xf8\x88\x80\x80\x80"]',
    "latin-1": b'["\xe9"]',
    "UTF-16": '["é"]'.encode("utf-16"),
    "UTF-16 without a mark": '["é"]'.encode("utf-16-le"),
    "UTF-32": b'[\x00\x00\x00"\x00\x00\x00',
    "byte order mark": b"\xef\xbb\xbf{}",
    "byte order mark alone": b"\xef\xbb\xbf",
    "form feed as space": b"[\x0c]",
    "vertical tab as space": b"[\x0b1]",
    "no-break space": b"[\xc2\xa0]",
    "word joiner": b"[\xe2\x81\xa0]",
    "NUL behind": b"[1]\x00",
    "space only": b" ",
    "less than": b"<null>",
    "open brackets": b"[" * 100_000,
    "open objects": b'{"a":' * 100_000,
    "open in turns": b'[{"":' * 50_000,
    "closed without opening": b"]",
    "depth beyond the limit": b"[" * 1_000 + b"]" * 1_000,
}

OPEN: dict[str, bytes] = {
    "number 1e400": b"[1e400]",
    "number -1e400": b"[-1e400]",
    "number 1e-400": b"[1e-400]",
    "number exponent of 5,000 digits": b"[1e" + b"9" * 5_000 + b"]",
    "number of 5,000 digits": b"[" + b"7" * 5_000 + b"]",
    "number of 20 digits": b"[18446744073709551616]",
    "number with 1,000 decimals": b"[0." + b"3" * 1_000 + b"]",
    "string with half a pair": b'["\\uD800"]',
    "string with the other half": b'["\\uDC00"]',
    "string with pairs swapped": b'["\\uDC00\\uD800"]',
    "string with half a pair in a key": b'{"\\uDFAA":0}',
    "depth 100": b"[" * 100 + b"]" * 100,
    "depth 99": b"[" * 99 + b"]" * 99,
    "depth 500": b"[" * 500 + b"]" * 500,
}


@pytest.mark.parametrize("name", READ)
def test_what_rfc_8259_allows_is_read(name: str) -> None:
    assert same_json(VALUE(body=READ[name]), json.loads(READ[name]))


@pytest.mark.parametrize("name", REFUSED)
def test_what_rfc_8259_forbids_is_refused(name: str) -> None:
    for case in (VALUE, STRUCT):
        with pytest.raises(GatewayError) as caught:
            case(body=REFUSED[name])
        assert caught.value.http == 400
        # The parser's words name no internals.
        assert not {"Python", "orjson", "Traceback", "protobuf."} & set(caught.value.message.split())


@pytest.mark.parametrize("name", OPEN)
def test_what_rfc_8259_leaves_open_crashes_nothing(name: str) -> None:
    for case in (VALUE, STRUCT):
        try:
            case(body=OPEN[name])
        except GatewayError as error:
            assert error.http == 400


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(_JSON, st.data())
@settings(max_examples=300)
def test_json_with_one_byte_changed_is_read_as_python_reads_it_or_refused(value: Any, data: st.DataObject) -> None:
    """H13: never another value than the one that is written there."""
    text = bytearray(json.dumps(value, ensure_ascii=data.draw(st.booleans())).encode())
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] = data.draw(st.sampled_from(b'{}[]",:\\0-+.eEnN \x00\x1f\x7f\xff') | st.integers(0, 255))
    try:
        ours = VALUE(body=bytes(text))
    except GatewayError as error:
        assert error.http == 400
        return
    assert same_json(ours, json.loads(bytes(text)))
