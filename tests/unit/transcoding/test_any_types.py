"""`google.protobuf.Any` in JSON: known types, unknown types, depth."""

from __future__ import annotations

from typing import Any

import pytest
from protobuf import Registry

from api_gateway.transcoding.any_types import (
    AnyTypes,
    OpaqueTypes,
    built_in_message,
    type_name_of,
    wrap_unknown,
    wrap_unknown_root,
)
from tests.unit.transcoding.scenes import REGISTRY, descriptor


@pytest.mark.parametrize(
    "name",
    ["google.protobuf.Duration", "google.protobuf.Int64Value", "google.protobuf.Struct", "google.rpc.ErrorInfo"],
)
def test_built_in_types_are_known_without_a_registry(name: str) -> None:
    """semantics 20."""
    assert built_in_message(name) is not None
    found = AnyTypes(Registry()).message(name)
    assert found is not None
    assert found.type_name == name


def test_the_backends_definition_comes_first() -> None:
    assert AnyTypes(REGISTRY).message("google.protobuf.Duration") is REGISTRY.message("google.protobuf.Duration")


def test_unknown_types_are_none_or_opaque() -> None:
    assert AnyTypes(REGISTRY).message("foo.Bar") is None
    opaque = OpaqueTypes(REGISTRY).message("foo.Bar")
    assert opaque is not None
    assert [field.name for field in opaque.fields] == ["value"]
    assert OpaqueTypes(REGISTRY).message("everything.Tree") is descriptor("Tree")


def test_extensions_are_the_backends() -> None:
    types = AnyTypes(REGISTRY)
    note = types.extension("legacy.note")
    assert note is not None
    assert types.extension_for("legacy.Legacy", 100) is note
    assert note in types.extensions_for("legacy.Legacy")


@pytest.mark.parametrize(("url", "name"), [("a/b.C", "b.C"), ("b.C", "b.C"), ("x/y/b.C", "b.C"), ("a/", ""), ("", "")])
def test_type_name_of(url: str, name: str) -> None:
    assert type_name_of(url) == name


def test_wrapping_touches_only_what_is_unknown() -> None:
    any_type: Any = descriptor("google.protobuf.Any").type
    known = any_type(type_url="t/everything.Tree", value=b"\x0a\x01x")
    unknown = any_type(type_url="t/foo.Bar", value=b"abc")
    message: Any = descriptor("WellKnown").type(any=known, anys=[unknown, any_type()])
    assert wrap_unknown(message, AnyTypes(REGISTRY))
    assert (message.any.value, message.anys[0].value, message.anys[1].value) == (b"\x0a\x01x", b"\x0a\x03abc", b"")
    assert not wrap_unknown(descriptor("WellKnown").type(any=known), AnyTypes(REGISTRY))
    assert wrap_unknown_root(any_type(type_url="t/foo.Bar", value=b""), AnyTypes(REGISTRY))


def test_bytes_of_another_type_raise() -> None:
    any_type = descriptor("google.protobuf.Any").type
    with pytest.raises(ValueError):
        wrap_unknown_root(any_type(type_url="t/everything.Tree", value=b"\xff"), AnyTypes(REGISTRY))
