"""What no compiler writes, and the registry would take."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Protocol

from protobuf.wkt.google.protobuf.descriptor_pb import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    ServiceDescriptorProto,
)

from .type_names import join_name
from .values import SchemaError

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class _Named(Protocol):
    name: str


def check_names(files: Iterable[FileDescriptorProto]) -> None:
    """Refuse what no compiler writes: names that are none, things defined twice, impossible field numbers.

    Raises SchemaError.
    """
    known: set[str] = set()
    for file in files:
        waiting: list[tuple[str, _Named]] = [(file.package, member) for member in _members(file)]
        while waiting:
            scope, member = waiting.pop()
            if _IDENTIFIER.fullmatch(member.name) is None:
                raise SchemaError(f"file {file.name}: {member.name[:64]!r} in {scope} is not a name")
            name = join_name(scope, member.name)
            if name in known:
                raise SchemaError(f"file {file.name}: {name} is defined twice")
            known.add(name)
            if isinstance(member, DescriptorProto):
                _check_field_numbers(name, member)
            waiting += [(name, inner) for inner in _members(member)]


def _members(owner: object) -> Iterable[_Named]:
    match owner:
        case FileDescriptorProto():
            return (*owner.message_type, *owner.enum_type, *owner.service, *owner.extension)
        case DescriptorProto():
            return (*owner.field, *owner.nested_type, *owner.enum_type, *owner.oneof_decl, *owner.extension)
        case ServiceDescriptorProto():
            return owner.method
        case EnumDescriptorProto():
            return owner.value
        case _:
            return ()


def _check_field_numbers(name: str, message: DescriptorProto) -> None:
    numbers = [field.number for field in message.field]
    if len(set(numbers)) < len(numbers) or not all(0 < number < 1 << 29 for number in numbers):
        raise SchemaError(f"message {name} has field numbers that are not unique or out of range")
