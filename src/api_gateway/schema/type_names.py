"""Names of types: made absolute, with the imports that define them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from protobuf.wkt.google.protobuf.descriptor_pb import FieldDescriptorProto, FileDescriptorProto, MethodDescriptorProto

from .files import SourceFile


def link_by_name(unique: Mapping[str, SourceFile]) -> None:
    """Make all type names absolute, and add the imports they need: Node.js backends send neither.

    A relative name is searched for from the innermost scope outwards (descriptor.proto, at `type_name`).
    """
    homes: dict[str, str] = {}
    references = [reference for name, file in unique.items() for reference in _references(name, file.descriptor, homes)]
    for name, scope, owner, attribute in references:
        written: str = getattr(owner, attribute)
        full = written[1:] if written.startswith(".") else _search(written, scope, homes)
        home = homes.get(full)
        if home is None:
            continue
        setattr(owner, attribute, f".{full}")
        imports = unique[name].descriptor.dependency
        if home != name and home not in imports:
            imports.append(home)


def _references(
    name: str, file: FileDescriptorProto, homes: dict[str, str]
) -> Iterable[tuple[str, str, FieldDescriptorProto | MethodDescriptorProto, str]]:
    """Yield (file, scope, owner, attribute) of every type name in a file, and note in `homes` what it defines."""
    for method in (method for service in file.service for method in service.method):
        yield from ((name, file.package, method, attribute) for attribute in ("input_type", "output_type"))
    yield from ((name, file.package, field, "type_name") for field in file.extension if field.type_name)
    yield from ((name, file.package, field, "extendee") for field in file.extension)
    homes.update((join_name(file.package, enum.name), name) for enum in file.enum_type)
    waiting = [(file.package, message) for message in file.message_type]
    while waiting:
        scope, message = waiting.pop()
        full = join_name(scope, message.name)
        homes[full] = name
        homes.update((join_name(full, enum.name), name) for enum in message.enum_type)
        waiting += [(full, nested) for nested in message.nested_type]
        yield from (
            (name, full, field, "type_name") for field in (*message.field, *message.extension) if field.type_name
        )
        yield from ((name, full, field, "extendee") for field in message.extension)


def join_name(scope: str, name: str) -> str:
    """Return the full name of something in a scope; the scope may be empty."""
    return f"{scope}.{name}" if scope else name


def _search(name: str, scope: str, homes: Mapping[str, str]) -> str:
    while scope and f"{scope}.{name}" not in homes:
        scope = scope.rpartition(".")[0]
    return join_name(scope, name)
