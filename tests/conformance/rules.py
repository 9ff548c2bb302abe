"""The rules of ProtoJSON that protobuf's own conformance suite checks, as cases of ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tests.conformance.known_rules import (
    any_rules,
    duration_rules,
    free_rules,
    mask_rules,
    timestamp_rules,
    wrapper_rules,
)
from tests.conformance.rule import Rule, refused, taken
from tests.conformance.scalar_rules import float_rules, integer_rules, other_rules


def all_rules() -> tuple[Rule, ...]:
    """Return every rule once."""
    parts = (
        *(_names, _syntax, _lists, _maps, _choices, _old_and_new, integer_rules, float_rules, other_rules),
        *(wrapper_rules, timestamp_rules, duration_rules, mask_rules, free_rules, any_rules),
    )
    rules = [rule for part in parts for rule in part()]
    return tuple(dict.fromkeys(rules))


_NAMES = {
    "word": "word",
    "two_words": "twoWords",
    "_leading": "Leading",
    "double__inside_": "doubleInside",
    "digit1word": "digit1word",
    "digit_1_word": "digit1Word",
    "camelCase": "camelCase",
    "PascalCase": "PascalCase",
    "mixed_Case": "mixedCase",
    "Other_Pascal": "OtherPascal",
    "UPPER_CASE": "UPPERCASE",
    "UPPER_lower": "UPPERLower",
    "__two_leading": "TwoLeading",
    "trailing__": "trailing",
}


def _names() -> Iterator[Rule]:
    method = "conformance.SpellingService/Echo"
    for proto, json in _NAMES.items():
        for spelling in dict.fromkeys((proto, json)):
            yield taken(method, f'{{"{spelling}": 7}}', f"{proto}: 7", f'{{"{json}": 7}}')
        yield taken(method, f'{{"{json}": 0}}', "", "{}")
    yield taken(method, '{"w\\u006frd": 1}', "word: 1")
    yield from refused(method, '{"Word": 1}', '{"two_Words": 1}', '{"TWO_WORDS": 1}', '{" word": 1}', '{"": 1}')
    yield taken("EchoNames", '{"custom-Name": "x"}', 'renamed: "x"', '{"custom-Name": "x"}')
    yield taken("EchoNames", '{"renamed": "x"}', 'renamed: "x"', '{"custom-Name": "x"}')
    yield taken("EchoNames", '{"with.dot": "x"}', 'dotted: "x"')


def _syntax() -> Iterator[Rule]:
    both = "an_int32: 1 an_int64: 2"
    for text in (
        '{"anInt32":1,"anInt64":2}',
        '{ "anInt32" : 1 , "anInt64" : 2 }',
        '{\n"anInt32"\n:\n1\n,\n"anInt64"\n:\n2\n}\n',
        '\t{"anInt64": 2,\r\n "anInt32": 1}\r\n',
    ):
        yield taken("EchoScalars", text, both)
    yield from refused(
        "EchoScalars",
        "{anInt32: 1}",
        "{'anInt32': 1}",
        '{"anInt32": 1,}',
        '{"anInt32": 1 , }',
        '{"anInt32": 1,\n}',
        '{"anInt32": 1 "anInt64": 2}',
        '{"anInt32": 1\n"anInt64": 2}',
        '{/* 1 */"anInt32": 1}',
        '{"anInt32": 1} // 1',
        '{"aString": "abc\\',
        '{"aString": "abc',
        "{\"aString\": 'x'}",
        "{",
        "[]",
        "1",
        "null",
        '"x"',
        "{}{}",
        '{"anInt32": 1, "anInt32": 2}',
        '{"anInt32": 1, "an_int32": 2}',
        '{"unknown": 1}',
        '{"unknown": {"a": [1, null]}}',
        b'{"aString": "\xff"}',
        b'{"aString": "\xed\xa0\x80"}',
        b'{"aString": "\xc0\x80"}',
        b"\xef\xbb\xbf{}",
    )


def _lists() -> Iterator[Rule]:
    yield taken("EchoRepeated", '{"int32s": [1, 2, "3", 4.0]}', "int32s: [1, 2, 3, 4]")
    yield taken("EchoRepeated", '{"unpacked": [1, 2]}', "unpacked: [1, 2]")
    yield taken("EchoRepeated", '{"colours": ["COLOUR_RED", 2, 99]}', "colours: [COLOUR_RED, COLOUR_GREEN, 99]")
    yield taken("EchoRepeated", '{"strings": ["a", ""]}', 'strings: ["a", ""]')
    yield taken("EchoRepeated", '{"bytess": ["AAEC", "AQI="]}', 'bytess: ["\\000\\001\\002", "\\001\\002"]')
    yield taken("EchoRepeated", '{"messages": [{"anInt32": 1}, {}]}', "messages {an_int32: 1} messages {}")
    yield taken("EchoRepeated", '{"int32s": [], "messages": null}', "", "{}")
    yield from refused(
        "EchoRepeated",
        '{"int32s": [1, false]}',
        '{"int32s": [1, "name"]}',
        '{"int32s": [1, {"a": 4}]}',
        '{"strings": ["1", 2]}',
        '{"strings": [false]}',
        '{"strings": [{"a": 4}]}',
        '{"messages": [{}, 2]}',
        '{"messages": [{}, false]}',
        '{"messages": [{}, "2"]}',
        '{"int32s": 1}',
        '{"messages": {"anInt32": 1}}',
        '{"int32s": [1, 2,]}',
        '{"int32s": [1 , ]}',
        '{"int32s": [1,\n]}',
        '{"int32s": [1, null]}',
        '{"messages": [{}, null]}',
        '{"int32s": {}}',
        '{"int32s": [[1]]}',
        '{"int32s": "1"}',
        '{"colours": ["NOPE"]}',
        '{"timestamps": [null]}',
        '{"int64Values": [null]}',
    )


def _maps() -> Iterator[Rule]:
    maps = {
        "int32Int32": "int32_int32",
        "int64Int64": "int64_int64",
        "uint32Uint32": "uint32_uint32",
        "uint64Uint64": "uint64_uint64",
    }
    for json, proto in maps.items():
        entries = f"{proto} {{key: 1 value: 2}} {proto} {{key: 3 value: 4}}"
        yield taken("EchoMaps", f'{{"{json}": {{"1": 2, "3": 4}}}}', entries)
        yield taken("EchoMaps", f'{{"{json}": {{"\\u0031": 2}}}}', f"{proto} {{key: 1 value: 2}}")
        wrong = (
            "{1: 2}",
            "{null: 1}",
            '{"0": null}',
            '{"x": 1}',
            '{"": 1}',
            '{"1.5": 1}',
            '{" 1": 1}',
            '{"99999999999999999999": 1}',
            "[]",
        )
        yield from refused("EchoMaps", *(f'{{"{json}": {text}}}' for text in wrong))
    yield taken(
        "EchoMaps",
        '{"boolBool": {"true": true, "false": false}}',
        "bool_bool {key: true value: true} bool_bool {key: false value: false}",
    )
    yield taken("EchoMaps", '{"boolBool": {"tr\\u0075e": true}}', "bool_bool {key: true value: true}")
    yield from refused(
        "EchoMaps", '{"boolBool": {true: true}}', '{"boolBool": {"1": true}}', '{"boolBool": {"True": true}}'
    )
    yield taken(
        "EchoMaps",
        '{"stringMessage": {"a": {"anInt32": 1}, "": {}}}',
        'string_message {key: "a" value {an_int32: 1}} string_message {key: "" value {}}',
    )
    yield taken("EchoMaps", '{"stringColour": {"k": "COLOUR_RED"}}', 'string_colour {key: "k" value: COLOUR_RED}')
    yield from refused(
        "EchoMaps",
        '{"stringColour": {"k": "NOPE"}}',
        '{"stringString": {"k": "a", "k": "b"}}',
        '{"stringMessage": {"a": null}}',
    )


def _choices() -> Iterator[Rule]:
    for text, message in (
        ('{"number": 0}', "number: 0"),
        ('{"text": ""}', 'text: ""'),
        ('{"raw": ""}', 'raw: ""'),
        ('{"flag": false}', "flag: false"),
        ('{"ratio": 0.0}', "ratio: 0"),
        ('{"colour": "COLOUR_UNSPECIFIED"}', "colour: COLOUR_UNSPECIFIED"),
        ('{"message": {}}', "message {}"),
        ('{"number": null, "text": "a"}', 'text: "a"'),
        ('{"text": "a", "number": null}', 'text: "a"'),
        ('{"wrapped": ""}', "wrapped {}"),
        ('{"nullValue": null}', "null_value: NULL_VALUE"),
        ('{"nullValue": "NULL_VALUE"}', "null_value: NULL_VALUE"),
        ('{"value": null}', "value {null_value: NULL_VALUE}"),
        ('{"time": null}', ""),
    ):
        yield taken("EchoOneofs", text, message)
    yield taken("EchoOneofs", '{"nullValue": "NULL_VALUE"}', "null_value: NULL_VALUE", '{"nullValue": null}')
    yield from refused(
        "EchoOneofs", '{"number": 1, "text": "a"}', '{"text": "a", "number": 1}', '{"number": 1, "nullValue": null}'
    )
    yield taken(
        "EchoOptionals",
        '{"anInt32": 0, "aString": "", "aBool": false}',
        'an_int32: 0 a_string: "" a_bool: false',
        '{"anInt32": 0, "aString": "", "aBool": false}',
    )
    yield taken("EchoOptionals", '{"anInt32": null, "aMessage": null}', "", "{}")
    yield taken("EchoOptionals", '{"aMessage": {}}', "a_message {}", '{"aMessage": {}}')
    yield from refused(
        "EchoOptionals", '{"aMessage": 1}', '{"aMessage": []}', '{"aMessage": "x"}', '{"aMessage": true}'
    )
    yield from refused("EchoTree", '{"left": ' * 120 + "{}" + "}" * 120)
    yield taken("EchoTree", '{"left": ' * 40 + "{}" + "}" * 40, "left {" * 40 + "}" * 40)


def _old_and_new() -> Iterator[Rule]:
    old, new = "legacy.LegacyService/Echo", "modern.ModernService/Echo"
    yield taken(old, '{"name": "n", "count": 0}', 'name: "n" count: 0', '{"name": "n", "count": 0}')
    yield taken(old, '{"name": "n"}', 'name: "n"', '{"name": "n"}')
    yield taken(old, '{"name": "n", "box": {"label": "x"}}', 'name: "n" Box {label: "x"}')
    yield taken(old, '{"name": "n", "item": [{"label": "x"}, {}]}', 'name: "n" Item {label: "x"} Item {}')
    yield taken(
        old, '{"name": "n", "closed": "CLOSED_TWO", "closeds": [1]}', 'name: "n" closed: CLOSED_TWO closeds: CLOSED_ONE'
    )
    yield taken(
        old,
        '{"name": "n", "[legacy.note]": "x"}',
        'name: "n" [legacy.note]: "x"',
        '{"name": "n", "[legacy.note]": "x"}',
    )
    yield taken(
        old, '{"name": "n", "[legacy.Scope.scope]": {"text": "x"}}', 'name: "n" [legacy.Scope.scope] {text: "x"}'
    )
    yield from refused(
        old,
        '{"name": "n", "closed": "NOPE"}',
        '{"name": "n", "closed": 7}',
        '{"name": "n", "[legacy.nope]": 1}',
        '{"name": 1}',
        "{}",
        '{"name": "n", "count": "x"}',
    )
    yield taken(
        new, '{"required": "r", "explicit": ""}', 'required: "r" explicit: ""', '{"required": "r", "explicit": ""}'
    )
    yield taken(new, '{"required": "r", "implicit": ""}', 'required: "r"', '{"required": "r"}')
    yield taken(new, '{"required": "r", "expanded": [1, 2], "open": 99}', 'required: "r" expanded: [1, 2] open: 99')
    yield taken(new, '{"required": "r", "delimited": {"required": "s"}}', 'required: "r" delimited {required: "s"}')
    yield taken(new, '{"required": "r", "shut": "SHUT_ONE"}', 'required: "r" shut: SHUT_ONE')
    yield from refused(
        new, "{}", '{"required": null}', '{"required": "r", "shut": 7}', '{"required": "r", "open": "NOPE"}'
    )


IGNORED: Final = (
    *(
        taken("EchoScalars", f'{{"unknown": {text}, "anInt32": 7}}', "an_int32: 7", '{"anInt32": 7}')
        for text in ("1", '"a"', "true", "false", "null", '{"a": [1, {}]}', '[1, "a", [null]]', '"\\u0041"')
    ),
    taken("EchoOptionals", '{"aMessage": {"unknown": {}}}', "a_message {}"),
    taken("EchoRepeated", '{"messages": [{"unknown": 1, "anInt32": 7}]}', "messages {an_int32: 7}"),
    taken("EchoScalars", '{"aColour": "NOPE", "anInt32": 7}', "an_int32: 7", '{"anInt32": 7}'),
    taken("EchoRepeated", '{"colours": ["COLOUR_RED", "NOPE", "COLOUR_RED"]}', "colours: [COLOUR_RED, COLOUR_RED]"),
    taken(
        "EchoMaps", '{"stringColour": {"a": "COLOUR_RED", "b": "NOPE"}}', 'string_colour {key: "a" value: COLOUR_RED}'
    ),
    taken("EchoScalars", '{"aColour": 99}', "a_colour: 99", '{"aColour": 99}'),
)
"""With `unknown_fields: ignore`: unknown members and unknown names of enums are dropped, numbers of open enums stay."""
