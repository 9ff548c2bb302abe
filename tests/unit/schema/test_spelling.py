"""The names of fields and enum values in JSON, compared with what the compiler says."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from api_gateway.schema import build_schema, find_field, json_name
from tests.support.descriptors import compile_protos

NAMES = [
    "plain",
    "two_words",
    "_leading",
    "trailing_",
    "double__underscore",
    "a_1b",
    "camelCase",
    "UPPER_CASE",
    "x_y_z",
    "with_1",
]


@pytest.mark.parametrize("name", NAMES)
def test_json_names_are_those_of_the_compiler(name: str) -> None:
    (data,) = compile_protos({"x.proto": f'syntax = "proto2"; message M {{ optional string {name} = 1; }}'})
    assert json_name(name) == FileDescriptorProto.FromString(data).message_type[0].field[0].json_name


def test_fields_without_a_json_name_get_one_and_others_keep_theirs() -> None:
    file = FileDescriptorProto(name="x.proto", package="p", syntax="proto3")
    message = file.message_type.add(name="M").nested_type.add(name="N")
    message.field.add(name="two_words", number=1, type="TYPE_STRING", label="LABEL_OPTIONAL")
    message.field.add(name="own_name", number=2, type="TYPE_STRING", label="LABEL_OPTIONAL", json_name="mine")
    nested = build_schema([file.SerializeToString()], []).registry.message("p.M.N")
    assert nested is not None
    assert [field.json_name for field in nested.fields] == ["twoWords", "mine"]
    assert find_field(nested, "twoWords") is not None


def test_of_several_names_for_a_number_the_first_is_printed() -> None:
    text = """
        syntax = "proto3";
        message M { E e = 1; enum E { option allow_alias = true; ZERO = 0; NIL = 0; ONE = 1; UN = 1; EINS = 1; } }
    """
    kind = build_schema(compile_protos({"x.proto": text}), []).registry.message("M")
    assert kind is not None
    for name in ("ONE", "UN", "EINS"):
        assert kind.type.from_json(f'{{"e": "{name}"}}').to_json() == '{"e":"ONE"}'
