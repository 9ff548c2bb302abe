"""Fields of messages, as far as mapping them to a path or a body needs to know them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from protobuf import (
    DescFieldValueEnum,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescFieldValueScalar,
    DescMessage,
)


class FieldKind(Enum):
    """What a field holds, as far as mapping it to a path or a body depends on it."""

    SCALAR = "scalar"
    ENUM = "enum"
    MESSAGE = "message"
    LIST = "list"
    MAP = "map"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a message."""

    name: str
    json_name: str
    kind: FieldKind
    message: DescMessage | None
    """Type of a singular message field."""


_KIND_OF_VALUE: Final[Mapping[type[object], FieldKind]] = {
    DescFieldValueScalar: FieldKind.SCALAR,
    DescFieldValueEnum: FieldKind.ENUM,
    DescFieldValueMessage: FieldKind.MESSAGE,
    DescFieldValueList: FieldKind.LIST,
    DescFieldValueMap: FieldKind.MAP,
}


def fields_of(message: DescMessage) -> tuple[Field, ...]:
    """Return the fields of a message in the order of the file."""
    return tuple(
        Field(
            name=field.name,
            json_name=field.json_name,
            kind=_KIND_OF_VALUE[type(field.value)],
            message=field.value.message if isinstance(field.value, DescFieldValueMessage) else None,
        )
        for field in message.fields
    )


def find_field(message: DescMessage, name: str) -> Field | None:
    """Return the field with this name in proto spelling, else in JSON spelling, else None."""
    fields = fields_of(message)
    by_proto_name = next((field for field in fields if field.name == name), None)
    return by_proto_name or next((field for field in fields if field.json_name == name), None)


def resolve_field_path(message: DescMessage, path: str) -> str:
    """Return a dotted field path in proto spelling. Raises ValueError when it does not lead to one single value."""
    names: list[str] = []
    owner: DescMessage | None = message
    for part in path.split("."):
        if owner is None:
            raise ValueError(f'"{path}": {names[-1]} is not a message')
        field = find_field(owner, part)
        if field is None:
            raise ValueError(f'"{path}": {owner.type_name} has no field {part}')
        if field.kind in (FieldKind.LIST, FieldKind.MAP):
            raise ValueError(f'"{path}": {field.name} holds more than one value')
        names.append(field.name)
        owner = field.message
    return ".".join(names)
