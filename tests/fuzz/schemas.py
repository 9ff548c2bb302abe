"""Schemas drawn at random, as `.proto` text, for the fuzzer of the JSON codec."""

from __future__ import annotations

from random import Random
from typing import Final

from api_gateway.schema import Schema
from tests.support.descriptors import schema_from_text

_SCALARS: Final = [
    *("double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64"),
    *("fixed32", "fixed64", "sfixed32", "sfixed64", "bool", "string", "bytes"),
]
_KEYS: Final = [name for name in _SCALARS if name not in ("double", "float", "bytes")]
_WELL_KNOWN: Final = [f"google.protobuf.{name}" for name in ("Timestamp", "Duration", "Int64Value", "FloatValue")]
_MESSAGES: Final = 4


def draw_schema(chance: Random) -> Schema:
    """Return the package `drawn` with the messages M0, M1, ... and enums, of proto2 or proto3."""
    is_proto3 = chance.random() < 0.7
    lines = [
        f'syntax = "{"proto3" if is_proto3 else "proto2"}";',
        "package drawn;",
        'import "google/protobuf/timestamp.proto";',
        'import "google/protobuf/duration.proto";',
        'import "google/protobuf/wrappers.proto";',
        # So that no import is without use, which the compiler remarks on.
        "message Used {",
        "  repeated google.protobuf.Timestamp a = 1;",
        "  repeated google.protobuf.Duration b = 2;",
        "  repeated google.protobuf.BoolValue c = 3;",
        "}",
        "enum E { E_ZERO = 0; E_ONE = 1; E_FAR = 70000; E_LOW = -3; }",
    ]
    for place in range(_MESSAGES):
        numbers = chance.sample([*range(1, 40), *range(1015, 1030), 70_000, 2**29 - 1], chance.randint(1, 20))
        fields = [_draw_field(chance, f"f{index}_n{number}", number, is_proto3) for index, number in enumerate(numbers)]
        lines.append(f"message M{place} {{ {' '.join(fields)} }}")
    return schema_from_text("\n".join(lines))


def _draw_field(chance: Random, name: str, number: int, is_proto3: bool) -> str:
    kind = _draw_type(chance)
    match chance.randint(0, 5):
        case 0:
            return f"map<{chance.choice(_KEYS)}, {kind}> {name} = {number};"
        case 1 | 2:
            can_pack = kind not in ("string", "bytes") and "." not in kind and not kind.startswith("M")
            packed = f" [packed = {chance.choice(('true', 'false'))}]" if can_pack and chance.random() < 0.5 else ""
            return f"repeated {kind} {name} = {number}{packed};"
        case 3:
            return f"oneof of_{name} {{ {kind} {name} = {number}; }}"
        case _:
            label = "optional " if not is_proto3 or chance.random() < 0.3 else ""
            return f"{label}{kind} {name} = {number};"


def _draw_type(chance: Random) -> str:
    if chance.random() < 0.65:
        return chance.choice(_SCALARS)
    return chance.choice([*(f"M{place}" for place in range(_MESSAGES)), "E", *_WELL_KNOWN])
