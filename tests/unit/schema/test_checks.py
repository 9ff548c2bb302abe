"""What no compiler writes is refused: doubles, names that are none, impossible numbers."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from .scenes import proto, refusal


def duplicate(kind: str) -> tuple[FileDescriptorProto, ...]:
    file = proto("x.proto", messages=("M",), services=("S",))
    match kind:
        case "message in another file":
            return file, proto("y.proto", messages=("M",))
        case "message and service":
            file.message_type.add(name="S")
        case "message":
            file.message_type.add(name="M")
        case "method":
            file.service[0].method.add().CopyFrom(file.service[0].method[0])
        case "service":
            file.service.add().CopyFrom(file.service[0])
        case "field":
            file.message_type[0].field.add(name="a", number=1, type="TYPE_STRING", label="LABEL_OPTIONAL")
            file.message_type[0].field.add(name="a", number=2, type="TYPE_STRING", label="LABEL_OPTIONAL")
        case "field number":
            file.message_type[0].field.add(name="a", number=1, type="TYPE_STRING", label="LABEL_OPTIONAL")
            file.message_type[0].field.add(name="b", number=1, type="TYPE_STRING", label="LABEL_OPTIONAL")
        case "nested message":
            file.message_type[0].nested_type.add(name="N")
            file.message_type[0].nested_type.add(name="N")
        case "enum value":
            enum = file.enum_type.add(name="E")
            enum.value.add(name="A", number=0)
            enum.value.add(name="A", number=1)
    return (file,)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        pytest.param("message in another file", "p.M is defined twice", id="message in another file"),
        pytest.param("message and service", "p.S is defined twice", id="message and service"),
        pytest.param("message", "p.M is defined twice", id="message"),
        pytest.param("method", "p.S.Do is defined twice", id="method"),
        pytest.param("service", "p.S is defined twice", id="service"),
        pytest.param("field", "p.M.a is defined twice", id="field"),
        pytest.param("field number", "field numbers that are not unique", id="field number"),
        pytest.param("nested message", "p.M.N is defined twice", id="nested message"),
        pytest.param("enum value", "p.E.A is defined twice", id="enum value"),
    ],
)
def test_semantics_43_duplicates_are_refused(kind: str, message: str) -> None:
    assert message in refusal(*duplicate(kind))


def broken(kind: str) -> FileDescriptorProto:
    file = proto("x.proto", messages=("M",), services=("S",))
    field = file.message_type[0].field.add(name="a", number=1, type="TYPE_STRING", label="LABEL_OPTIONAL")
    match kind:
        case "input":
            file.service[0].method[0].input_type = ".p.Nope"
        case "output that is a service":
            file.service[0].method[0].output_type = ".p.S"
        case "field type":
            field.type, field.type_name = field.TYPE_MESSAGE, ".p.Nope"
        case "field number":
            field.number = -1
        case "huge field number":
            field.number = 1 << 29
        case "oneof":
            field.oneof_index = 7
        case "field name":
            field.name = "a b"
        case "message name":
            file.message_type.add(name="a\nb")
        case "method name":
            file.service[0].method[0].name = "Do/It"
        case "empty name":
            file.message_type.add(name="")
        case "syntax":
            file.syntax = "proto9"
    return file


@pytest.mark.parametrize(
    "kind",
    ["input", "output that is a service", "field type", "field number", "huge field number", "oneof", "field name",
     "message name", "method name", "empty name", "syntax"],
)  # fmt: skip
def test_semantics_43_descriptors_that_do_not_fit_are_refused(kind: str) -> None:
    assert refusal(broken(kind))
