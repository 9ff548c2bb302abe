"""Every difference between us and Envoy that is meant to be, each with its reason.

The comparison fails for a difference that no entry explains, and for an entry that explains nothing by itself.
Numbers at the beginning are lines of the semantics; ProtoJSON is the specification of protobuf's JSON format.
"""

from __future__ import annotations

import re
import struct
from typing import Any, Final

from tests.differential.compare import Aspect, Pair, is_number, same_json
from tests.differential.explain import Explains, Intended, refused, statuses, value_of

_NUMBER: Final = re.compile(
    r'invalid value "-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?" for type TYPE_(U?INT|SINT|S?FIXED)(32|64)'
)
_ENUM_NUMBER: Final = re.compile(r'invalid value "(-?[0-9]+|null)" for type type.googleapis.com/')
_OTHER_NUMBERS: Final = frozenset({"+1", "01", "007", "-01", "0x10", "1.", ".5", "\t1", " 1", "1 "})
_OTHER_BOOLS: Final = frozenset({"TRUE", "True", "False", "t", "f", "1", "0", "yes", "no", "true", "false"})
_OTHER_ENUMS: Final = frozenset({"01", "0", "1", "2", "-5", "1.0", "-0.0", "1e2", "1E2", "100e-2"})
_OTHER_TIMES: Final = frozenset(
    {"2024-12-31T23:59:60Z", "2024-1-15T10:30:45Z", "2024-01-15T10:30:45.Z", "999-12-31T23:59:59.500Z"}
)
_OTHER_DURATIONS: Final = frozenset({"1.s", "+1s", " 1s", "1 s"})
_OTHER_MASKS: Final = frozenset({"foo,", ",foo", "foo,,bar", ".", "foo.", "foo bar", "foo_bar", "foo.1bar", "Foo"})


def _own_errors_are_json(pair: Pair) -> bool:
    ours, envoy = pair.ours, pair.envoy
    if pair.case.area == "error with unknown details":
        return False
    is_same = ours.status == envoy.status >= 400 and ours.seen == envoy.seen
    is_text = envoy.content_type == "text/plain" or not envoy.body
    return is_same and is_text and ours.content_type == "application/json"


def _response_body(pair: Pair) -> bool:
    name = pair.case.area.removeprefix("response_body ")
    empty: dict[str, object] = {"tags": [], "note": "", "inner": {}}
    return pair.aspects == {Aspect.BODY} and name in empty and pair.ours.json == pair.envoy.json.get(name, empty[name])


def _empty_body(pair: Pair) -> bool:
    is_without = not pair.case.body and (pair.case.area.startswith("field body") or pair.case.method == "PATCH")
    return is_without and pair.ours.status == 200 and pair.envoy.status in (200, 400)


def _spelled(texts: frozenset[str], expected: str) -> Explains:
    """We refuse another spelling of a value with what we expected; Envoy reads it."""

    def explains(pair: Pair) -> bool:
        if pair.envoy.status != 200 or pair.ours.reason not in ("INVALID_PARAMETER", "INVALID_FIELD"):
            return False
        if pair.case.area.startswith("mutated"):
            return expected in pair.ours.message and any(f'"{text}"' in pair.ours.message for text in texts)
        return expected in pair.ours.message and value_of(pair).strip('"').replace("\\t", "\t") in texts

    return explains


def _refused_value(got: str) -> Explains:
    return lambda pair: refused("INVALID_FIELD", text=got)(pair)


def _float_digits(pair: Pair) -> bool:
    return (
        pair.aspects == {Aspect.BODY}
        and pair.ours.status == 200
        and same_json(_rounded(pair.ours.json), _rounded(pair.envoy.json))
    )


def _rounded(value: Any) -> Any:
    """Return a JSON value with every number in it as the 32-bit float next to it."""
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    if is_number(value) and abs(value) < 3.4028235677973366e38:
        return struct.pack("<f", float(value)).hex()
    return value


def _minus_zero(pair: Pair) -> bool:
    return value_of(pair) == "-0" and pair.ours.status == pair.envoy.status == 200 and Aspect.MESSAGE in pair.aspects


def _answer(ours: int, envoy: int, content: bytes) -> Explains:
    """The backend answers with a message in which these bytes stand."""

    def explains(pair: Pair) -> bool:
        reply = pair.case.reply
        return (
            (pair.ours.status, pair.envoy.status) == (ours, envoy)
            and reply is not None
            and content in reply.messages[0]
        )

    return explains


DIFFERENCES: Final = (
    Intended(
        "own errors are JSON",
        "20: every error has one JSON shape; Envoy answers with its own as text/plain or empty",
        _own_errors_are_json,
    ),
    Intended(
        "wrong method is 405",
        "8: 405 with Allow; Envoy knows only 404",
        refused("METHOD_NOT_ALLOWED", envoy=404, status=405),
    ),
    Intended(
        "HEAD",
        "8: HEAD works wherever GET does",
        lambda pair: pair.case.method == "HEAD" and (pair.ours.status, pair.envoy.status) == (200, 404),
    ),
    Intended(
        "OPTIONS",
        "8: OPTIONS says which methods a path answers to",
        lambda pair: pair.case.method == "OPTIONS" and (pair.ours.status, pair.envoy.status) == (204, 404),
    ),
    Intended(
        "unknown JSON field", "12: an unknown key is 400 and named; Envoy drops it silently", refused("UNKNOWN_FIELD")
    ),
    Intended(
        "unknown query key without a value",
        "12: an unknown key is 400 whether or not it has a value; Envoy overlooks it without one",
        lambda pair: refused("UNKNOWN_PARAMETER")(pair) and pair.case.query in ("nope", "=x"),
    ),
    Intended(
        "unsafe path",
        "9: `.`, `..`, control characters, backslashes and broken escapes are 400",
        refused("INVALID_PATH"),
    ),
    Intended(
        "unsafe path without a route",
        "9: an empty segment is 400 wherever it stands",
        refused("INVALID_PATH", envoy=404, text="empty segment"),
    ),
    Intended(
        "text that is not UTF-8",
        "16: refused here; Envoy sends bytes on that a backend cannot read as a string",
        lambda pair: (
            pair.ours.reason in ("INVALID_PATH", "INVALID_QUERY")
            and "UTF-8" in pair.ours.message
            and pair.envoy.message.startswith("the request is no message")
        ),
    ),
    Intended("broken escape in the query", "16: `%zz` is 400; Envoy takes it literally", refused("INVALID_QUERY")),
    Intended(
        "absolute target",
        "H4: one form of target, one reading; absolute targets are for proxies, and name a second host",
        refused("INVALID_TARGET"),
    ),
    Intended(
        "query beside the body",
        "10: the body is the whole message, or the whole field, so a query key for it is 400",
        refused("PARAMETER_CONFLICT", text="comes from the body"),
    ),
    Intended(
        "query beside the path",
        "10: a query key for a path variable is 400; in Envoy it replaces what the path said",
        refused("PARAMETER_CONFLICT", text="comes from the path"),
    ),
    Intended(
        "two values for one field",
        "11: two values for a singular field are 400; Envoy takes the last",
        refused("PARAMETER_CONFLICT", text="is given twice"),
    ),
    Intended(
        "path beside the body",
        "10: the path wins over the body; Envoy, as configured here, refuses, and by default lets the body win",
        statuses(200, 400, text="The binding value"),
    ),
    Intended(
        "other content types",
        "14: 415 for what is neither JSON nor a form; Envoy reads everything as JSON",
        refused("UNSUPPORTED_MEDIA_TYPE", status=415),
    ),
    Intended(
        "forms", "14: forms are read; Envoy takes them for broken JSON", statuses(200, 400, "form", "Unexpected token")
    ),
    Intended("body where none is mapped", "13: 400; Envoy drops it", refused("UNEXPECTED_BODY")),
    Intended(
        "no body for a field",
        "13: without a body the field stays unset; Envoy sets an empty message, or fails for a scalar",
        _empty_body,
    ),
    Intended(
        "what is no JSON",
        "16: JSON is RFC 8259's; Envoy takes single quotes, bare names, commas at the end, control characters and `1.`",
        lambda pair: refused("INVALID_JSON")(pair) and "twice" not in pair.ours.message,
    ),
    Intended(
        "member twice",
        "16: a member that comes twice is 400; Envoy takes the last, or merges",
        refused("INVALID_JSON", text="twice in one object"),
    ),
    Intended(
        "second try",
        "31: a GET that ended with UNAVAILABLE is tried once more; Envoy does so where a route says it",
        lambda pair: (
            pair.aspects == {Aspect.MESSAGE} and pair.ours.status == 503 and pair.ours.seen == pair.envoy.seen * 2
        ),
    ),
    Intended("response_body", "13: the answer is that field; Envoy does not start with such a rule", _response_body),
    Intended(
        "HttpBody without a content type",
        "18: application/octet-stream, which browsers save and never run; Envoy sends no content type",
        lambda pair: (
            pair.aspects == {Aspect.CONTENT_TYPE}
            and (pair.ours.content_type, pair.envoy.content_type) == ("application/octet-stream", "")
        ),
    ),
    Intended(
        "number as the body of a Value",
        "11: a Value takes any JSON; Envoy sends the backend no message at all",
        lambda pair: (
            pair.case.area == "field body value" and pair.envoy.status == 501 and pair.ours.status in (200, 400)
        ),
    ),
    Intended(
        "map entry without a value in an answer",
        "protobuf: a value left out is the default; Envoy's process ends with a segmentation fault",
        lambda pair: pair.envoy.has_crashed and pair.ours.json == {"labels": {"a": ""}},
    ),
    Intended(
        "error without a text",
        "20: errors always have a message, be it empty; Envoy leaves an empty one out",
        lambda pair: pair.aspects == {Aspect.BODY} and pair.ours.json == {**pair.envoy.json, "message": ""},
    ),
    Intended(
        "error with details of an unknown type",
        "20: kept as base64; Envoy loses the body and answers with content type application/grpc",
        lambda pair: pair.case.area == "error with unknown details" and pair.envoy.content_type == "application/grpc",
    ),
    Intended(
        "integers in other notations",
        "ProtoJSON: `1e2` and `1.0` are integers, in quotes too; Envoy reads digits only, and no -0 for unsigned",
        lambda pair: statuses(200, 400)(pair) and _NUMBER.search(pair.envoy.message) is not None,
    ),
    Intended(
        "largest 32-bit float",
        "ProtoJSON writers print it as 3.4028235e+38, which rounds to it; Envoy refuses that in a string",
        lambda pair: statuses(200, 400)(pair) and value_of(pair).strip('"') == "3.4028235e38",
    ),
    Intended(
        "numbers of open enums",
        "11: a number without a name is a value of an open enum, in path and query as in JSON; and NullValue is null",
        lambda pair: statuses(200, 400)(pair) and _ENUM_NUMBER.search(pair.envoy.message) is not None,
    ),
    Intended(
        "numbers spelled otherwise",
        "11: numbers are JSON's; Envoy also reads what C does: `+1`, `01`, `0x10`, `.5`, leading blanks",
        _spelled(_OTHER_NUMBERS, "expected a"),
    ),
    Intended(
        "keys of maps spelled otherwise",
        "11: as keys too, numbers are JSON's; Envoy reads `01` as another 1",
        refused("INVALID_FIELD", text="expected as key an integer"),
    ),
    Intended(
        "bools spelled otherwise",
        "11: `true` or `false`; Envoy also takes `t`, `yes`, `1` and JSON strings",
        _spelled(_OTHER_BOOLS, "expected true or false"),
    ),
    Intended(
        "enums spelled otherwise",
        'ProtoJSON: a name in a string, or an integer; Envoy also takes `"1"`, `1.0` and `01`',
        _spelled(_OTHER_ENUMS, "expected a name or number"),
    ),
    Intended(
        "times spelled otherwise",
        "ProtoJSON: RFC 3339 with two digits each, no leap seconds; Envoy is lenient, and shifts the leap second",
        _spelled(_OTHER_TIMES, "expected a time"),
    ),
    Intended(
        "durations spelled otherwise",
        "ProtoJSON: digits, a point with digits behind it, `s`; Envoy is lenient with signs, blanks and points",
        _spelled(_OTHER_DURATIONS, "expected a duration"),
    ),
    Intended(
        "field masks that name no fields",
        "ProtoJSON: camel case paths; Envoy takes empty parts, blanks and underscores",
        _spelled(_OTHER_MASKS, "expected a list of paths"),
    ),
    Intended(
        "capital at the start of a mask",
        "ProtoJSON: `Foo` is `_foo` for the backend, and comes back as `Foo`; Envoy makes it `foo`",
        lambda pair: pair.ours.status == pair.envoy.status == 200 and value_of(pair).strip('"') == "Foo",
    ),
    Intended(
        "base64 with blanks",
        "ProtoJSON: no blanks; Envoy skips them",
        _spelled(frozenset({"aG k="}), "expected a base64 string"),
    ),
    Intended(
        "integers below the smallest",
        "16: out of range is 400; Envoy turns -9223372036854775809 into another number",
        lambda pair: refused("INVALID_FIELD")(pair) and value_of(pair) == "-9223372036854775809",
    ),
    Intended(
        "objects for what is no object",
        "ProtoJSON: times, durations, masks, wrappers and lists are no objects; Envoy ignores the object's members",
        _refused_value("got an object"),
    ),
    Intended("null in a list", "ProtoJSON: an element cannot be null; Envoy leaves it out", _refused_value("got null")),
    Intended(
        "one value for a list",
        "ProtoJSON: a list is an array; Envoy wraps a single value",
        lambda pair: (
            refused("INVALID_FIELD", text="expected an array, got")(pair) and "got an object" not in pair.ours.message
        ),
    ),
    Intended("a list in a list", "ProtoJSON: lists do not nest; Envoy flattens", _refused_value("got an array")),
    Intended(
        "keys of bool maps",
        "ProtoJSON: `true` and `false`; Envoy also takes `TRUE` and `1`",
        lambda pair: refused("INVALID_FIELD", text="switches[")(pair),
    ),
    Intended(
        "JSON in the query",
        "11: Struct, Value and ListValue are JSON text; Envoy takes strings for Value and nothing for the others",
        lambda pair: pair.case.area in ("query struct", "query value", "query list"),
    ),
    Intended(
        "maps in the query",
        "11: `m[k]=v`; Envoy has no way to say it",
        lambda pair: statuses(200, 400, "query item")(pair) and "]=" in pair.case.query,
    ),
    Intended(
        "escaped keys",
        "3: a query is decoded before its keys are split; Envoy compares them undecoded",
        lambda pair: statuses(200, 400)(pair) and "inner%2Eid" in pair.case.query,
    ),
    Intended(
        "fields of well-known types in the query",
        "11: they have their ProtoJSON text, and no fields beside it",
        lambda pair: refused("UNKNOWN_PARAMETER")(pair) and pair.case.area == "query inside a well-known type",
    ),
    Intended(
        "repeated messages in the query",
        "http.proto forbids them; Envoy makes one message of each key",
        lambda pair: refused("UNKNOWN_PARAMETER")(pair) and pair.case.query == "inners.id=x",
    ),
    Intended(
        "digits of 32-bit floats",
        "17: the shortest text that is the same float, as protobuf's own libraries print; Envoy prints nine digits",
        _float_digits,
    ),
    Intended("minus zero", "ProtoJSON: -0 keeps its sign in a float; Envoy drops it", _minus_zero),
    Intended(
        "type URLs without type.googleapis.com",
        "any prefix, or none, is taken and sent on; Envoy takes that one only",
        lambda pair: statuses(200, 400, text="Invalid type URL")(pair),
    ),
    Intended(
        "field with a foreign wire type in an answer",
        "protobuf: it is an unknown field; Envoy answers 502",
        statuses(200, 502, "answer that is no message"),
    ),
    Intended(
        "broken message in an answer",
        "21: 502; Envoy prints what it understood",
        statuses(502, 200, "answer that is no message"),
    ),
    Intended(
        "Any of an unknown type in an answer",
        "20: kept as base64, never an error",
        _answer(200, 502, b"nowhere.Unknown"),
    ),
    Intended(
        "Any without a type in an answer",
        "the call has succeeded: an empty object; Envoy answers 502",
        lambda pair: statuses(200, 502, "answer without a JSON form")(pair) and pair.ours.json == {"any": {}},
    ),
    Intended(
        "broken Any in an answer",
        "17: 502, since it has no JSON form; Envoy prints an empty message",
        _answer(502, 200, b"differential.Inner\x12\x01\xff"),
    ),
    Intended(
        "field mask without a JSON form",
        "ProtoJSON: a path that does not survive camel case and back is an error; Envoy prints something else",
        lambda pair: (pair.ours.status, pair.envoy.status) == (502, 200) and "mask" in pair.envoy.body.decode(),
    ),
    Intended(
        "a Value without a kind in an answer",
        "ProtoJSON: an error; Envoy leaves it out",
        lambda pair: statuses(502, 200, "answer without a JSON form")(pair) and pair.envoy.json == {},
    ),
    Intended(
        "slash at the end",
        "9: one path has one spelling; Envoy drops a slash at the end, also from what `**` takes",
        lambda pair: (
            pair.case.path.endswith(("/", "/:check")) and pair.ours.status in (200, 404) and pair.envoy.status == 200
        ),
    ),
    Intended(
        "escaped literals",
        "9: routing sees the path decoded, as limits and policies do; Envoy compares literals undecoded",
        lambda pair: pair.case.path in ("/v1/%6fne/a", "/%76%31/one/a", "/v1/literal/%66ixed"),
    ),
    Intended(
        "colon in the last segment",
        "4: a verb is one where a template has it; Envoy cuts a verb that any template has from every path",
        lambda pair: statuses(200, 404)(pair) and pair.case.path.endswith(":check"),
    ),
)
