"""The rules of ProtoJSON for wrappers, times, masks, free JSON and Any."""

from __future__ import annotations

from collections.abc import Iterator

from tests.conformance.rule import Rule, camel, refused, taken

_WRAPPERS = {
    "bool_value": (("false", "false"), ("true", "true")),
    "int32_value": (("0", "0"), ("1", "1"), ('"1"', "1")),
    "uint32_value": (("0", "0"), ("1", "1")),
    "int64_value": (("0", "0"), ('"1"', "1")),
    "uint64_value": (("0", "0"), ('"1"', "1")),
    "float_value": (("0", "0"), ("1.5", "1.5"), ('"NaN"', "nan")),
    "double_value": (("0", "0"), ("1.5", "1.5"), ('"Infinity"', "inf")),
    "string_value": (('""', '""'), ('"a"', '"a"')),
    "bytes_value": (('""', '""'), ('"AQI="', '"\\001\\002"')),
}


def wrapper_rules() -> Iterator[Rule]:
    """Wrappers, their defaults, and null."""
    for field, values in _WRAPPERS.items():
        for json, value in values:
            yield taken("EchoWellKnown", f'{{"{field}": {json}}}', f"{field} {{value: {value}}}")
        yield taken("EchoWellKnown", f'{{"{camel(field)}": null}}', "", "{}")
        yield from refused(
            "EchoWellKnown", f'{{"{field}": {{}}}}', f'{{"{field}": {{"value": 1}}}}', f'{{"{field}": []}}'
        )
    yield taken("EchoRepeated", '{"int64Values": [0, "1"]}', "int64_values {} int64_values {value: 1}")
    yield from refused(
        "EchoWellKnown",
        '{"int32Value": 2147483648}',
        '{"uint32Value": -1}',
        '{"boolValue": "true"}',
        '{"stringValue": 1}',
    )


def timestamp_rules() -> Iterator[Rule]:
    """Timestamps, in and out of range, and how they are printed."""
    times = {
        "0001-01-01T00:00:00Z": "seconds: -62135596800",
        "9999-12-31T23:59:59.999999999Z": "seconds: 253402300799 nanos: 999999999",
        "1970-01-01T00:00:00.000Z": "",
        "1970-01-01T00:00:00.000000001Z": "nanos: 1",
        "1969-12-31T23:59:59.999999999Z": "seconds: -1 nanos: 999999999",
        "1969-12-31T23:59:49.5Z": "seconds: -11 nanos: 500000000",
        "1970-01-01T08:00:01+08:00": "seconds: 1",
        "1969-12-31T16:00:01-08:00": "seconds: 1",
        "2000-02-29T00:00:00Z": "seconds: 951782400",
        "1970-01-02T01:00:00+02:00": "seconds: 82800",
        "1970-01-01T00:00:00-11:30": "seconds: 41400",
        "0001-01-01T00:00:00-00:01": "seconds: -62135596740",
        "9999-12-31T23:59:59+00:01": "seconds: 253402300739",
        "1970-01-01T00:00:00.010000000Z": "nanos: 10000000",
        "1970-01-01T00:00:00.000010Z": "nanos: 10000",
    }
    for text, message in times.items():
        yield taken("EchoWellKnown", f'{{"timestamp": "{text}"}}', f"timestamp {{{message}}}")
    printed = {
        "1970-01-01T00:00:00.010000000Z": ".010Z",
        "1970-01-01T00:00:00.000010000Z": ".000010Z",
        "1970-01-01T00:00:00.000000010Z": ".000000010Z",
    }
    for text, end in printed.items():
        nanos = int(text[20:29])
        yield taken(
            "EchoWellKnown",
            f'{{"timestamp": "{text}"}}',
            f"timestamp {{nanos: {nanos}}}",
            f'{{"timestamp": "1970-01-01T00:00:00{end}"}}',
        )
    wrong = (
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "0001-01-01T00:00:00",
        "0001-01-01 00:00:00Z",
        "0001-01-01T00:00:00z",
        "0001-01-01t00:00:00Z",
        "1970-01-01T08:00:01+0800",
        "1970-13-01T00:00:00Z",
        "1970-00-01T00:00:00Z",
        "1970-01-32T00:00:00Z",
        "1970-01-00T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T25:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:60Z",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00+00:60",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "1970-01-01T00:00:00.1234567890Z",
        "1970-01-01T00:00:00.123aZ",
        "999-01-01T00:00:00Z",
        "00001-01-01T00:00:00Z",
        "1970-1-01T00:00:00Z",
        "1970-01-1T00:00:00Z",
        "2001-02-29T00:00:00Z",
        "",
        "0",
        " 1970-01-01T00:00:00Z",
        "1970-01-01",
    )
    yield from refused(
        "EchoWellKnown", *(f'{{"timestamp": "{text}"}}' for text in wrong), '{"timestamp": 0}', '{"timestamp": {}}'
    )


def duration_rules() -> Iterator[Rule]:
    """Durations, in and out of range, and how they are printed."""
    durations = {
        "-315576000000.999999999s": "seconds: -315576000000 nanos: -999999999",
        "315576000000.999999999s": "seconds: 315576000000 nanos: 999999999",
        "1.5s": "seconds: 1 nanos: 500000000",
        "-1.5s": "seconds: -1 nanos: -500000000",
        "-5s": "seconds: -5",
        "-0.5s": "nanos: -500000000",
        "0s": "",
    }
    for text, message in durations.items():
        yield taken("EchoWellKnown", f'{{"duration": "{text}"}}', f"duration {{{message}}}")
    for text, message, out in (
        ("1.000000000s", "seconds: 1", "1s"),
        ("1.010000000s", "seconds: 1 nanos: 10000000", "1.010s"),
        ("1.000010000s", "seconds: 1 nanos: 10000", "1.000010s"),
        ("1.000000010s", "seconds: 1 nanos: 10", "1.000000010s"),
    ):
        yield taken("EchoWellKnown", f'{{"duration": "{text}"}}', f"duration {{{message}}}", f'{{"duration": "{out}"}}')
    wrong = (
        "1",
        "-315576000001s",
        "315576000001.000000000s",
        "1.0000000001s",
        "s",
        "",
        "1m",
        "1.5",
        " 1s",
        "1e3s",
        "+1s",
        "--1s",
    )
    yield from refused(
        "EchoWellKnown", *(f'{{"duration": "{text}"}}' for text in wrong), '{"duration": 1}', '{"duration": {}}'
    )


def mask_rules() -> Iterator[Rule]:
    """Field masks, and null for them and for times."""
    for field in ("timestamp", "duration", "mask"):
        yield taken("EchoWellKnown", f'{{"{field}": null}}', "", "{}")
    yield taken("EchoWellKnown", '{"mask": "foo,barBaz"}', 'mask {paths: ["foo", "bar_baz"]}')
    yield taken("EchoWellKnown", '{"mask": ""}', "mask {}", '{"mask": ""}')
    yield taken("EchoWellKnown", '{"mask": "fooBar.bazQux,a1"}', 'mask {paths: ["foo_bar.baz_qux", "a1"]}')
    yield from refused("EchoWellKnown", '{"mask": "foo,bar_bar"}', '{"mask": 1}', '{"mask": ["foo"]}', '{"mask": {}}')


def free_rules() -> Iterator[Rule]:
    """Struct, Value and ListValue, also inside maps, lists and Any."""
    values = {
        "1": "number_value: 1",
        "1.5": "number_value: 1.5",
        "false": "bool_value: false",
        "null": "null_value: NULL_VALUE",
        '"hello"': 'string_value: "hello"',
        '[0, "hello"]': 'list_value {values {number_value: 0} values {string_value: "hello"}}',
        '{"value": 1}': 'struct_value {fields {key: "value" value {number_value: 1}}}',
        "[]": "list_value {}",
        "{}": "struct_value {}",
    }
    for json, message in values.items():
        yield taken("EchoWellKnown", f'{{"value": {json}}}', f"value {{{message}}}")
        yield taken(
            "EchoWellKnown", f'{{"struct": {{"a": {json}}}}}', f'struct {{fields {{key: "a" value {{{message}}}}}}}'
        )
        yield taken("EchoWellKnown", f'{{"list": [{json}]}}', f"list {{values {{{message}}}}}")
        yield taken("EchoMaps", f'{{"stringValue": {{"k": {json}}}}}', f'string_value {{key: "k" value {{{message}}}}}')
        url = "type.googleapis.com/google.protobuf.Value"
        yield taken(
            "EchoWellKnown", f'{{"any": {{"@type": "{url}", "value": {json}}}}}', f"any {{[{url}] {{{message}}}}}"
        )
    yield taken(
        "EchoRepeated",
        '{"values": [["a"], null]}',
        'values {list_value {values {string_value: "a"}}} values {null_value: NULL_VALUE}',
    )
    yield taken("EchoRepeated", '{"lists": [["a"]]}', 'lists {values {string_value: "a"}}')
    yield taken("EchoWellKnown", '{"nullValue": null}', "", "{}")
    yield taken(
        "EchoWellKnown",
        '{"value": ' + "[" * 25 + "1" + "]" * 25 + "}",
        "value {" + "list_value {values {" * 25 + "number_value: 1" + "}}" * 25 + "}",
    )
    yield from refused(
        "EchoWellKnown",
        '{"value": ' + "[" * 200 + "1" + "]" * 200 + "}",
        '{"struct": ' + '{"n": ' * 200 + "1" + "}" * 200 + "}",
        '{"value": NaN}',
        '{"value": 1e400}',
        '{"struct": []}',
        '{"struct": 1}',
        '{"list": {}}',
        '{"list": 1}',
        '{"struct": {"a": 1, "a": 2}}',
    )


def any_rules() -> Iterator[Rule]:
    """Any, with ordinary messages and with well-known types in it."""
    inner = "type.googleapis.com/everything.Scalars"
    yield taken(
        "EchoWellKnown", f'{{"any": {{"@type": "{inner}", "anInt32": 7}}}}', f"any {{[{inner}] {{an_int32: 7}}}}"
    )
    yield taken(
        "EchoWellKnown", f'{{"any": {{"anInt32": 7, "@type": "{inner}"}}}}', f"any {{[{inner}] {{an_int32: 7}}}}"
    )
    nested = "type.googleapis.com/google.protobuf.Any"
    yield taken(
        "EchoWellKnown",
        f'{{"any": {{"@type": "{nested}", "value": {{"@type": "{inner}", "anInt32": 7}}}}}}',
        f"any {{[{nested}] {{[{inner}] {{an_int32: 7}}}}}}",
    )
    for name, json, message in (
        ("Int32Value", "12345", "value: 12345"),
        ("Duration", '"1.5s"', "seconds: 1 nanos: 500000000"),
        ("Timestamp", '"1970-01-01T00:00:00Z"', ""),
        ("FieldMask", '"foo,barBaz"', 'paths: ["foo", "bar_baz"]'),
        ("Struct", '{"foo": 1}', 'fields {key: "foo" value {number_value: 1}}'),
    ):
        url = f"type.googleapis.com/google.protobuf.{name}"
        yield taken(
            "EchoWellKnown", f'{{"any": {{"@type": "{url}", "value": {json}}}}}', f"any {{[{url}] {{{message}}}}}"
        )
    empty = "type.googleapis.com/google.protobuf.Empty"
    yield taken("EchoWellKnown", f'{{"any": {{"@type": "{empty}"}}}}', f"any {{[{empty}] {{}}}}")
    yield taken("EchoWellKnown", '{"any": {}}', "any {}", '{"any": {}}')
    yield taken("EchoWellKnown", '{"any": null, "empty": {}}', "empty {}")
    yield from refused(
        "EchoWellKnown",
        '{"any": {"@type": "", "value": ""}}',
        '{"any": {"@type": "not_a_url", "value": ""}}',
        '{"any": {"@type": 1}}',
        '{"any": []}',
        f'{{"any": {{"@type": "{inner}", "anInt32": "x"}}}}',
        f'{{"any": {{"@type": "{inner}", "nope": 1}}}}',
        '{"any": {"anInt32": 1}}',
        '{"any": {"@type": "type.googleapis.com/nowhere.Unknown"}}',
        '{"empty": 1}',
        '{"empty": {"a": 1}}',
    )
