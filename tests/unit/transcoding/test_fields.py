"""Fields as binding sees them."""

from __future__ import annotations

import pytest
from protobuf import DescField, ScalarType

from api_gateway.transcoding import fields
from tests.unit.transcoding.scenes import descriptor


def _field(name: str, field: str) -> DescField:
    return next(found for found in descriptor(name).fields if found.name == field)


def test_both_names_lead_to_a_field() -> None:
    """semantics 11."""
    table = fields.fields_by_name(descriptor("Names"))
    assert table["renamed"] is table["custom-Name"]
    assert table["snake_case_name"] is table["snakeCaseName"]


@pytest.mark.parametrize(
    ("name", "field", "repeated", "is_map", "oneof"),
    [
        ("Scalars", "an_int32", False, False, None),
        ("Repeated", "messages", True, False, None),
        ("Maps", "string_message", False, True, None),
        ("Oneofs", "message", False, False, "choice"),
        ("Oneofs", "class", False, False, "from"),
        ("Optionals", "an_int32", False, False, None),
        ("legacy.Legacy", "box", False, False, None),
    ],
)
def test_kinds(name: str, field: str, repeated: bool, is_map: bool, oneof: str | None) -> None:
    found = _field(name, field)
    group = fields.oneof_of(found)
    assert fields.is_repeated(found) is repeated
    assert fields.is_map(found) is is_map
    assert (group.name if group is not None else None) == oneof


def test_elements() -> None:
    assert fields.element_of(_field("Scalars", "a_bool")) is ScalarType.BOOL
    assert fields.element_of(_field("Repeated", "messages")) is descriptor("Scalars")
    assert fields.element_of(_field("Maps", "string_message")) is descriptor("Scalars")
    assert fields.message_of(_field("Oneofs", "message")) is descriptor("Scalars")
    assert fields.message_of(_field("Repeated", "messages")) is None
    assert fields.map_key_of(_field("Maps", "int32_int32")) is ScalarType.INT32
    with pytest.raises(TypeError):
        fields.map_key_of(_field("Scalars", "a_bool"))


@pytest.mark.parametrize(
    ("name", "field", "expected"),
    [
        ("Scalars", "an_int32", False),
        ("Optionals", "an_int32", True),
        ("Oneofs", "number", True),
        ("Everything", "inner", True),
        ("modern.Modern", "explicit", True),
        ("modern.Modern", "implicit", False),
        ("legacy.Legacy", "name", True),
    ],
)
def test_presence(name: str, field: str, expected: bool) -> None:
    assert fields.has_presence(_field(name, field)) is expected


def test_setters_know_oneofs() -> None:
    message = descriptor("Oneofs").type()
    fields.setter_of(_field("Oneofs", "number"))(message, 5)
    fields.setter_of(_field("Oneofs", "text"))(message, "x")
    fields.setter_of(_field("Oneofs", "beside"))(message, "y")
    assert message.to_json() == '{"text":"x","beside":"y"}'


def test_reachable_messages_end_with_recursive_types() -> None:
    names = [message.name for message in fields.reachable_messages(descriptor("Tree"))]
    assert names == ["Tree"]
    reached = {message.name for message in fields.reachable_messages(descriptor("Everything"))}
    assert {"Everything", "Scalars", "Tree", "Any", "Struct", "ListValue", "Inner"} <= reached
