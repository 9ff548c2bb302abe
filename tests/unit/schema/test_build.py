"""Schemas from descriptors: what is built, what is refused, and that nothing else ever happens."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_gateway.schema import HIDDEN_SERVICES, SchemaError, build_schema, fields_of, missing_imports
from tests.support.descriptors import compile_protos, descriptors_of, schema_from_text, schema_of

from .scenes import MESSAGE, SERVICE, build, proto, refusal


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
    assert [method.is_idempotent for method in methods] == [True, True, False, False]
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


@pytest.mark.parametrize("name", ["p.Other", "p.M", "p", "", ".p.S", "p.S/Do", "\x00"])
def test_service_that_is_not_defined_is_refused(name: str) -> None:
    assert "is not defined in any file" in refusal(MESSAGE, SERVICE, services=(name,))


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
