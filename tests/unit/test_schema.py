"""Schemas from descriptors: what is built, what is refused, and that nothing else ever happens."""

from __future__ import annotations

import itertools
import sys
from types import FrameType
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_gateway import schema as schema_module
from api_gateway.schema import (
    HIDDEN_SERVICES,
    Schema,
    SchemaError,
    build_schema,
    fields_of,
    missing_imports,
)
from tests.support.descriptors import compile_protos, descriptors_of, schema_from_text, schema_of


def proto(
    name: str, *imports: str, messages: tuple[str, ...] = (), services: tuple[str, ...] = (), package: str = "p"
) -> FileDescriptorProto:
    """Make a file; every service has one method `Do` from and to the first message of file `m.proto`, `p.M`."""
    file = FileDescriptorProto(name=name, package=package, syntax="proto3", dependency=imports)
    for message in messages:
        file.message_type.add(name=message)
    for service in services:
        file.service.add(name=service).method.add(name="Do", input_type=".p.M", output_type=".p.M")
    return file


def build(*files: FileDescriptorProto, services: tuple[str, ...] = ("p.S",)) -> Schema:
    return build_schema([file.SerializeToString() for file in files], services)


def refusal(*files: FileDescriptorProto, services: tuple[str, ...] = ("p.S",)) -> str:
    with pytest.raises(SchemaError) as caught:
        build(*files, services=services)
    return str(caught.value)


MESSAGE = proto("m.proto", messages=("M",))
SERVICE = proto("s.proto", "m.proto", services=("S",))


# What is built


def test_services_and_methods_are_read_in_the_order_of_the_file() -> None:
    built = schema_from_text(
        """
        syntax = "proto3";
        package p.v1;
        message A {}
        message B {}
        service S {
          rpc One(A) returns (B) { option idempotency_level = NO_SIDE_EFFECTS; }
          rpc Two(stream A) returns (B) { option idempotency_level = IDEMPOTENT; }
          rpc Three(A) returns (stream B);
          rpc Four(stream A) returns (stream B);
        }
        """
    )
    methods = list(built.methods())
    assert [method.full_name for method in methods] == ["p.v1.S/One", "p.v1.S/Two", "p.v1.S/Three", "p.v1.S/Four"]
    assert [(method.is_client_streaming, method.is_server_streaming) for method in methods] == [
        (False, False), (True, False), (False, True), (True, True),
    ]  # fmt: skip
    assert [method.is_unary for method in methods] == [True, False, False, False]
    assert [method.has_no_side_effects for method in methods] == [True, False, False, False]
    assert (methods[0].input.type_name, methods[0].output.type_name) == ("p.v1.A", "p.v1.B")


def test_order_and_repetition_of_files_do_not_matter() -> None:
    files = [MESSAGE, SERVICE, proto("t.proto", "s.proto", "m.proto", messages=("T",))]
    fingerprints = {build(*order, order[0]).fingerprint for order in itertools.permutations(files)}
    assert len(fingerprints) == 1


def test_fingerprint_follows_the_content() -> None:
    other = proto("m.proto", messages=("M", "N"))
    two = proto("s.proto", "m.proto", services=("S", "T"))
    fingerprints = {
        build(MESSAGE, SERVICE).fingerprint,
        build(other, SERVICE).fingerprint,
        build(MESSAGE, two).fingerprint,
        build(MESSAGE, two, services=("p.S", "p.T")).fingerprint,
    }
    assert len(fingerprints) == 4


@pytest.mark.parametrize("hidden", sorted(HIDDEN_SERVICES))
def test_semantics_7_hidden_services_are_left_out(hidden: str) -> None:
    package, _, name = hidden.rpartition(".")
    built = build(
        MESSAGE, SERVICE, proto("h.proto", "m.proto", services=(name,), package=package), services=("p.S", hidden)
    )
    assert list(built.services) == ["p.S"]


def test_schema_without_services_is_empty() -> None:
    assert list(build(services=()).methods()) == []


def test_types_of_all_files_are_registered() -> None:
    assert build(MESSAGE, proto("t.proto", messages=("T",)), services=()).registry.message("p.T") is not None


@pytest.mark.parametrize("file", ["everything.proto", "legacy.proto", "modern.proto", "echo.proto"])
def test_proto2_proto3_and_editions_are_understood(file: str) -> None:
    assert list(schema_of(file).methods())


def test_google_s_own_files_are_understood() -> None:
    text = 'syntax = "proto3"; import "google/api/client.proto"; import "google/rpc/error_details.proto"; message M {}'
    assert build_schema(compile_protos({"x.proto": text}), []).registry.message("google.rpc.ErrorInfo") is not None


# What is refused


def test_semantics_43_missing_import_is_named() -> None:
    assert refusal(SERVICE) == "imported file m.proto is missing"
    assert missing_imports([SERVICE.SerializeToString()]) == {"m.proto"}
    assert missing_imports([SERVICE.SerializeToString(), MESSAGE.SerializeToString()]) == set()


@pytest.mark.parametrize("length", [1, 2, 5])
def test_semantics_43_import_cycle_is_refused(length: int) -> None:
    files = [proto(f"{at}.proto", f"{(at + 1) % length}.proto") for at in range(length)]
    assert "imports itself" in refusal(*files, services=())


def duplicate(kind: str) -> tuple[FileDescriptorProto, ...]:
    file = proto("x.proto", messages=("M",), services=("S",))
    match kind:
        case "file with other content":
            return file, proto("x.proto", messages=("M", "N"), services=("S",))
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
        pytest.param("file with other content", "file x.proto came twice with different content", id="file"),
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


@pytest.mark.parametrize("name", ["p.Other", "p.M", "p", "", ".p.S", "p.S/Do", "\x00"])
def test_service_that_is_not_defined_is_refused(name: str) -> None:
    assert "is not defined in any file" in refusal(MESSAGE, SERVICE, services=(name,))


def test_semantics_43_number_of_files_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_module, "MAX_FILES", 3)
    files = [proto(f"{number}.proto") for number in range(4)]
    build(*files[:3], services=())
    assert refusal(*files, services=()) == "more than 3 files"


def test_semantics_43_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    size = MESSAGE.ByteSize()
    monkeypatch.setattr(schema_module, "MAX_SCHEMA_BYTES", size)
    build(MESSAGE, services=())
    assert refusal(MESSAGE, MESSAGE, services=()) == f"descriptors are larger than {size} bytes together"


# What it costs


def calls(*files: FileDescriptorProto) -> int:
    """Count the function calls of building a schema: a measure of work that no busy machine changes."""
    count = 0

    def profile(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        build(*files, services=())
    finally:
        sys.setprofile(before)
    return count


def test_diamond_of_imports_is_not_walked_again_and_again() -> None:
    """Each file imports all before it: twice as many files make four times the imports, but 2^10 times the ways."""

    def diamond(count: int) -> list[FileDescriptorProto]:
        names = [f"{number}.proto" for number in range(count)]
        return [proto(name, *names[:number], messages=(f"M{number}",)) for number, name in enumerate(names)]

    assert calls(*diamond(20)) < 5 * calls(*diamond(10))


def test_chain_of_imports_needs_no_stack() -> None:
    files = [proto("0.proto")] + [proto(f"{at}.proto", f"{at - 1}.proto") for at in range(1, 3_000)]
    build(*files, services=())
    build(*reversed(files), services=())


def test_deep_nesting_is_built_or_refused() -> None:
    for depth in (50, 90, 200, 5_000):
        data = b""
        for _ in range(depth):
            # DescriptorProto.nested_type = 3, name = 1, written by hand: Google's library refuses such depth itself.
            data = b"\x0a\x01N" + (b"\x1a" + _varint(len(data)) + data if data else b"")
        file = b"\x0a\x01x\x22" + _varint(len(data)) + data
        try:
            build_schema([file], [])
        except SchemaError as error:
            assert depth > 90, str(error)


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


# Hostile bytes


@given(st.lists(st.binary(max_size=200), max_size=3), st.lists(st.text(max_size=10), max_size=2))
def test_any_bytes_are_a_schema_or_a_schema_error(files: list[bytes], services: list[str]) -> None:
    for use in (lambda: build_schema(files, services), lambda: missing_imports(files)):
        try:
            use()
        except SchemaError as error:
            assert str(error)


CHANGES = st.lists(
    st.tuples(st.integers(0, 2**20), st.integers(0, 2**20), st.integers(0, 4), st.binary(max_size=4)),
    min_size=1,
    max_size=5,
)


@given(CHANGES)
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_damaged_descriptors_are_a_schema_that_works_or_a_schema_error(
    changes: list[tuple[int, int, int, bytes]],
) -> None:
    files = list(descriptors_of("echo.proto", "everything.proto"))
    for which, where, cut, paste in changes:
        data = files[which % len(files)]
        at = where % len(data)
        files[which % len(files)] = data[:at] + paste + data[at + cut :]
    try:
        built = build_schema(files, ["tests.echo.EchoService", "everything.EverythingService"])
    except SchemaError:
        return
    for method in built.methods():
        for message in (method.input, method.output):
            message.type.from_binary(b"")
            assert len(fields_of(message)) == len(message.fields)
