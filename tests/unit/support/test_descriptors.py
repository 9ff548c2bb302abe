"""The compiler behind the schemas of tests."""

from __future__ import annotations

import pytest

from tests.support.descriptors import compile_protos, method_of, pool_of, schema_from_text, schema_of


def test_text_becomes_a_schema() -> None:
    schema = schema_from_text(
        'syntax = "proto3"; package a; import "google/protobuf/empty.proto";'
        "service S { rpc M(google.protobuf.Empty) returns (google.protobuf.Empty); }"
    )
    assert method_of(schema, "a.S/M").input.type_name == "google.protobuf.Empty"


def test_broken_text_is_refused() -> None:
    with pytest.raises(ValueError, match="refused"):
        compile_protos({"broken.proto": "message"})


def test_files_are_compiled_once() -> None:
    assert schema_of("modern.proto") is schema_of("modern.proto")
    assert pool_of("modern.proto").FindMessageTypeByName("modern.Modern").name == "Modern"
