"""Messages that backends answer with, and the JSON that ProtoJSON makes of them, or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Printed:
    """An answer."""

    method: str
    message: str
    """In protobuf's text format."""
    json: str | None
    """None: it has no JSON form, which is 502 and never 500."""


def _known(message: str, json: str | None) -> Printed:
    return Printed("everything.EverythingService/EchoWellKnown", message, json)


def _scalars(message: str, json: str) -> Printed:
    return Printed("everything.EverythingService/EchoScalars", message, json)


_UNPRINTABLE = (
    "timestamp {seconds: -62135596801}",
    "timestamp {seconds: 253402300800}",
    "timestamp {seconds: 5000 nanos: -1}",
    "timestamp {seconds: 5000 nanos: 1000000000}",
    "duration {seconds: -315576000001}",
    "duration {seconds: 315576000001}",
    "duration {seconds: 1 nanos: -1}",
    "duration {seconds: -1 nanos: 1}",
    "duration {seconds: -1 nanos: -1000000000}",
    "duration {seconds: 1 nanos: 1000000000}",
    'mask {paths: "fooBar"}',
    'mask {paths: "foo_3_bar"}',
    'mask {paths: "foo__bar"}',
    "value {number_value: nan}",
    "value {number_value: inf}",
    "value {}",
    'any {value: "x" type_url: "t/google.protobuf.Duration"}',
)

ANSWERS: Final = (
    *(_known(message, None) for message in _UNPRINTABLE),
    _scalars(
        "an_int64: 1 a_uint64: 1 a_sint64: 1 a_fixed64: 1 a_sfixed64: 1",
        '{"anInt64": "1", "aUint64": "1", "aSint64": "1", "aFixed64": "1", "aSfixed64": "1"}',
    ),
    _scalars(
        "an_int32: 1 a_uint32: 4294967295 a_sfixed32: -1", '{"anInt32": 1, "aUint32": 4294967295, "aSfixed32": -1}'
    ),
    _scalars("a_float: nan a_double: nan", '{"aFloat": "NaN", "aDouble": "NaN"}'),
    _scalars("a_float: inf a_double: -inf", '{"aFloat": "Infinity", "aDouble": "-Infinity"}'),
    _scalars("a_float: 0.1 a_double: 0.1", '{"aFloat": 0.1, "aDouble": 0.1}'),
    _scalars('a_bytes: "\\373\\377"', '{"aBytes": "+/8="}'),
    _scalars("a_colour: 99", '{"aColour": 99}'),
    _scalars("", "{}"),
    _known("timestamp {}", '{"timestamp": "1970-01-01T00:00:00Z"}'),
    _known("duration {nanos: -500000000}", '{"duration": "-0.500s"}'),
    _known("null_value: NULL_VALUE", "{}"),
    _known("int64_value {} bool_value {}", '{"int64Value": "0", "boolValue": false}'),
    _known(
        'any {type_url: "type.googleapis.com/nowhere.Unknown" value: "x"}',
        '{"any": {"@type": "type.googleapis.com/nowhere.Unknown", "value": "eA=="}}',
    ),
    Printed("legacy.LegacyService/Echo", 'name: "n" [legacy.marks]: [1, 2]', '{"name": "n", "[legacy.marks]": [1, 2]}'),
    Printed("everything.EverythingService/EchoOneofs", "null_value: NULL_VALUE", '{"nullValue": null}'),
    Printed("everything.EverythingService/EchoOptionals", 'an_int32: 0 a_string: ""', '{"anInt32": 0, "aString": ""}'),
    Printed(
        "everything.EverythingService/EchoMaps", "bool_bool {key: true value: false}", '{"boolBool": {"true": false}}'
    ),
)
