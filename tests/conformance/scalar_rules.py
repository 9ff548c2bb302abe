"""The rules of ProtoJSON for numbers, bools, enums, strings and bytes."""

from __future__ import annotations

from collections.abc import Iterator

from tests.conformance.rule import Rule, camel, refused, taken

_RANGES = {
    "an_int32": (-(2**31), 2**31 - 1),
    "a_sint32": (-(2**31), 2**31 - 1),
    "a_sfixed32": (-(2**31), 2**31 - 1),
    "an_int64": (-(2**63), 2**63 - 1),
    "a_sint64": (-(2**63), 2**63 - 1),
    "a_sfixed64": (-(2**63), 2**63 - 1),
    "a_uint32": (0, 2**32 - 1),
    "a_fixed32": (0, 2**32 - 1),
    "a_uint64": (0, 2**64 - 1),
    "a_fixed64": (0, 2**64 - 1),
}


def integer_rules() -> Iterator[Rule]:
    """Ten kinds of integers: limits, notations, and what is none."""
    for field, (low, high) in _RANGES.items():
        for number in dict.fromkeys((low, high, 0, 1, 100)):
            out = "{}" if number == 0 else None
            for text in (f"{number}", f'"{number}"'):
                yield taken("EchoScalars", f'{{"{field}": {text}}}', f"{field}: {number}", out)
        for text in ("1e2", '"1e2"', "100.0", "100.000", "1.0E+2", "1000e-1", '"100.0"', '"1\\u00300"'):
            yield taken("EchoScalars", f'{{"{field}": {text}}}', f"{field}: 100")
        yield taken("EchoScalars", f'{{"{field}": null}}', "")
        wrong = (
            f"{low - 1}",
            f"{high + 1}",
            f'"{low - 1}"',
            f'"{high + 1}"',
            "0.5",
            '"0.5"',
            "true",
            "false",
            '"12abc"',
            '"12 34"',
            '"12,34"',
            '"12\u8c37\u6b4c"',
            '"abc"',
            '""',
            '"3x3"',
            "+1",
            "01",
            "-01",
            '" 1"',
            '"1 "',
            '"+1"',
            "[1]",
            "{}",
            '"1e536870000"',
            "1e400",
            "NaN",
            '"NaN"',
            '"Infinity"',
            "1e",
            '"0x1"',
            '"\u0661"',
        )
        yield from refused("EchoScalars", *(f'{{"{field}": {text}}}' for text in wrong))


def float_rules() -> Iterator[Rule]:
    """Both kinds of floats: limits, texts, and what is none."""
    numbers = {
        "a_float": ("1.175494e-38", "-1.175494e-38", "3.402823e+38", "-3.402823e+38", "0.1", "16777217", "1e-45"),
        "a_double": (
            "2.22507e-308",
            "-2.22507e-308",
            "1.79769e+308",
            "-1.79769e+308",
            "1.7976931348623157e308",
            "0.1",
            "5e-324",
        ),
    }
    for field, texts in numbers.items():
        for text in (*texts, "1", "1.5", "-1e3"):
            yield taken("EchoScalars", f'{{"{field}": {text}}}', f"{field}: {text}")
            yield taken("EchoScalars", f'{{"{field}": "{text}"}}', f"{field}: {text}")
        if field == "a_float":
            for text in ("3.4028235e+38", '"3.4028235e38"'):
                message = f"a_float: {text.strip(chr(34))}"
                yield taken("EchoScalars", f'{{"a_float": {text}}}', message, '{"aFloat": 3.4028234663852886e+38}')
        for text, value in (("NaN", "nan"), ("Infinity", "inf"), ("-Infinity", "-inf")):
            yield taken(
                "EchoScalars", f'{{"{field}": "{text}"}}', f"{field}: {value}", f'{{"{camel(field)}": "{text}"}}'
            )
        too_large = ("3.502823e+38", "-3.502823e+38") if field == "a_float" else ("1.89769e+308", "-1.89769e+308")
        wrong = (
            *too_large,
            "NaN",
            "Infinity",
            "-Infinity",
            '"nan"',
            '"inf"',
            '"+Infinity"',
            '""',
            '"12abc"',
            '"abc"',
            '"12 34"',
            '"12,34"',
            '"12\u8c37"',
            "true",
            "false",
            "[]",
            "{}",
            "1.",
            ".5",
            "+1",
            "01",
            '" 1"',
            '"1 "',
            "0x10",
        )
        yield from refused("EchoScalars", *(f'{{"{field}": {text}}}' for text in wrong))


def other_rules() -> Iterator[Rule]:
    """Bools, enums, strings and bytes."""
    yield taken("EchoScalars", '{"aBool": true}', "a_bool: true")
    yield taken("EchoScalars", '{"aBool": false}', "", "{}")
    bools = ("0", "1", "True", "False", "TRUE", "FALSE", '"true"', '"false"', "[]", '""')
    yield from refused("EchoScalars", *(f'{{"aBool": {text}}}' for text in bools))
    for text in ('"COLOUR_RED"', "1"):
        yield taken("EchoScalars", f'{{"aColour": {text}}}', "a_colour: COLOUR_RED", '{"aColour": "COLOUR_RED"}')
    yield taken("EchoScalars", '{"aColour": 0}', "", "{}")
    yield taken("EchoScalars", '{"aColour": -5}', "a_colour: COLOUR_NEGATIVE", '{"aColour": "COLOUR_NEGATIVE"}')
    yield taken("EchoScalars", '{"aColour": 123}', "a_colour: 123", '{"aColour": 123}')
    for text in ('"ALIAS_ONE"', '"ALIAS_UNO"', "1"):
        yield taken("EchoScalars", f'{{"anAlias": {text}}}', "an_alias: ALIAS_ONE", '{"anAlias": "ALIAS_ONE"}')
    enums = ("COLOUR_RED", '["COLOUR_RED"]', "[1]", "true", "false", '"NOPE"', '""', "1.5", "2147483648", "{}")
    yield from refused("EchoScalars", *(f'{{"aColour": {text}}}' for text in enums))
    strings = {
        '"Hello, World!"': "Hello, World!",
        '"\u8c37\u6b4c"': "\u8c37\u6b4c",
        '"\\"\\\\\\/\\b\\f\\n\\r\\t"': '\\"\\\\/\\b\\f\\n\\r\\t',
        '"\\u8C37\\u6B4C"': "\u8c37\u6b4c",
        '"\\u8c37\\u6b4c"': "\u8c37\u6b4c",
        '"\\uD83D\\uDE01"': "\U0001f601",
        '"Hello\\u0000world!"': "Hello\\000world!",
        '"\u007f\u2028"': "\u007f\u2028",
    }
    for text, value in strings.items():
        yield taken("EchoScalars", f'{{"aString": {text}}}', f'a_string: "{value}"')
    wrong = (
        '"\\U8C37"',
        '"\\uXXXX"',
        '"\\u8C3"',
        '"\\uD800"',
        '"\\uDC00"',
        '"\\uDE01\\uD83D"',
        "12345",
        "true",
        "[]",
        '"\\x41"',
        '"a\tb"',
    )
    yield from refused("EchoScalars", *(f'{{"aString": {text}}}' for text in wrong))
    for text, octets in (
        ("AQI=", "\\001\\002"),
        ("AQI", "\\001\\002"),
        ("-_", "\\373"),
        ("+/8=", "\\373\\377"),
        ("", ""),
    ):
        yield taken("EchoScalars", f'{{"aBytes": "{text}"}}', f'a_bytes: "{octets}"')
    yield from refused("EchoScalars", '{"aBytes": "*"}', '{"aBytes": 1}', '{"aBytes": "A"}', '{"aBytes": ["AQI="]}')
