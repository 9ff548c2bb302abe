"""Fields of messages, and the paths that rules name them by."""

from __future__ import annotations

import pytest

from api_gateway.schema import FieldKind, fields_of, find_field, resolve_field_path
from tests.support.descriptors import method_of, schema_from_text

FIELDS = """
syntax = "proto3";
package p;
message M {
  string plain_text = 1; Kind kind = 2; M inner = 3; repeated string list = 4; map<string, M> by_name = 5;
  optional int32 maybe = 6; oneof choice { bytes raw = 7; M other = 8; }
  string custom = 9 [json_name = "renamed"];
  string trick = 10 [json_name = "kind2"];
}
enum Kind { KIND_UNSPECIFIED = 0; }
service S { rpc Do(M) returns (M); }
"""


def test_fields_tell_their_kind() -> None:
    message = method_of(schema_from_text(FIELDS), "p.S/Do").input
    assert [(field.name, field.json_name, field.kind) for field in fields_of(message)] == [
        ("plain_text", "plainText", FieldKind.SCALAR),
        ("kind", "kind", FieldKind.ENUM),
        ("inner", "inner", FieldKind.MESSAGE),
        ("list", "list", FieldKind.LIST),
        ("by_name", "byName", FieldKind.MAP),
        ("maybe", "maybe", FieldKind.SCALAR),
        ("raw", "raw", FieldKind.SCALAR),
        ("other", "other", FieldKind.MESSAGE),
        ("custom", "renamed", FieldKind.SCALAR),
        ("trick", "kind2", FieldKind.SCALAR),
    ]
    assert [field.name for field in fields_of(message) if field.message is message] == ["inner", "other"]


def test_semantics_11_fields_are_found_by_both_names() -> None:
    message = method_of(schema_from_text(FIELDS), "p.S/Do").input
    for name, expected in (("plain_text", "plain_text"), ("plainText", "plain_text"), ("renamed", "custom")):
        field = find_field(message, name)
        assert field is not None
        assert field.name == expected
    assert find_field(message, "nope") is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("plainText", "plain_text", id="json name"),
        pytest.param("inner.other.plain_text", "inner.other.plain_text", id="nested"),
        pytest.param("inner", "inner", id="message"),
    ],
)
def test_field_paths_are_resolved_to_proto_names(path: str, expected: str) -> None:
    assert resolve_field_path(method_of(schema_from_text(FIELDS), "p.S/Do").input, path) == expected


@pytest.mark.parametrize(
    ("path", "message"),
    [
        pytest.param("nope", '"nope": p.M has no field nope', id="unknown"),
        pytest.param("inner.nope", '"inner.nope": p.M has no field nope', id="unknown inside"),
        pytest.param("kind.x", '"kind.x": kind is not a message', id="into an enum"),
        pytest.param("list", '"list": list holds more than one value', id="list"),
        pytest.param("byName.x", '"byName.x": by_name holds more than one value', id="map"),
        pytest.param("", '"": p.M has no field ', id="empty"),
    ],
)
def test_field_paths_that_lead_nowhere_are_refused(path: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^") as caught:
        resolve_field_path(method_of(schema_from_text(FIELDS), "p.S/Do").input, path)
    assert str(caught.value) == message
