"""Services, methods and HTTP rules as plain frozen values, read from descriptors.

Together with `transcoding/`, this is the only module that knows the protobuf library.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, Final, Protocol

from protobuf import (
    DescFieldValueEnum,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescFieldValueScalar,
    DescMessage,
    DescMethod,
    DescService,
    Message,
    Registry,
)
from protobuf.wkt.google.protobuf.any_pb import Any as AnyMessage
from protobuf.wkt.google.protobuf.api_pb import Api
from protobuf.wkt.google.protobuf.descriptor_pb import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    MethodOptions,
    OneofDescriptorProto,
    ServiceDescriptorProto,
)
from protobuf.wkt.google.protobuf.duration_pb import Duration
from protobuf.wkt.google.protobuf.empty_pb import Empty
from protobuf.wkt.google.protobuf.field_mask_pb import FieldMask
from protobuf.wkt.google.protobuf.source_context_pb import SourceContext
from protobuf.wkt.google.protobuf.struct_pb import Struct
from protobuf.wkt.google.protobuf.timestamp_pb import Timestamp
from protobuf.wkt.google.protobuf.type_pb import Type
from protobuf.wkt.google.protobuf.wrappers_pb import BoolValue

MAX_FILES: Final = 10_000
"""Most files in one schema. Googleapis as a whole has about 5,000."""
MAX_SCHEMA_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of descriptors in one schema."""
MAX_ADDITIONAL_BINDINGS: Final = 64
"""Most `additional_bindings` honoured in one annotation."""

HIDDEN_SERVICES: Final = frozenset(
    {
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "grpc.health.v1.Health",
        "gateway.ServiceAuthPolicy",
    }
)
"""Services that are never offered to HTTP clients (semantics 7)."""

_HTTP_EXTENSION: Final = 72295728
"""Field number of `google.api.http` in `MethodOptions` (google/api/annotations.proto)."""
_WELL_KNOWN: Final[tuple[type[Message], ...]] = (
    AnyMessage, Api, BoolValue, Duration, Empty, FieldMask, FileDescriptorProto, SourceContext, Struct, Timestamp, Type,
)  # fmt: skip
"""One message of each file of `google.protobuf`."""
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VERB_FIELDS: Final = {2: "GET", 3: "PUT", 4: "POST", 5: "DELETE", 6: "PATCH"}


class SchemaError(Exception):
    """A set of descriptors that cannot be used; the text says which file and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRule:
    """One HTTP binding of a method, as its author wrote it."""

    verb: str
    template: str
    body: str = ""
    """`*`, a field name, or empty: no body."""
    response_body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One RPC."""

    service: str
    """Full name of its service, `package.Service`."""
    name: str
    input: DescMessage
    output: DescMessage
    is_client_streaming: bool
    is_server_streaming: bool
    has_no_side_effects: bool
    """Whether the author declared `idempotency_level = NO_SIDE_EFFECTS`."""
    rules: tuple[HttpRule, ...]
    """HTTP bindings from `google.api.http`, the main one first; empty when there is no annotation."""

    @property
    def full_name(self) -> str:
        """`package.Service/Method`."""
        return f"{self.service}/{self.name}"

    @property
    def is_unary(self) -> bool:
        """Whether one message goes each way."""
        return not (self.is_client_streaming or self.is_server_streaming)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One gRPC service with its methods in the order of the file."""

    name: str
    """Full name, `package.Service`."""
    methods: tuple[Method, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """Everything a backend told about itself. Two schemas with one fingerprint mean the same."""

    services: Mapping[str, Service]
    registry: Registry
    """Types for `Any` and extensions."""
    fingerprint: str

    def methods(self) -> Iterable[Method]:
        """Iterate over all methods, service by service."""
        for service in self.services.values():
            yield from service.methods


def build_schema(files: Iterable[bytes], services: Iterable[str]) -> Schema:
    """Build the schema of the named services from serialized `FileDescriptorProto`s with all their imports.

    Order and repetition of `files` do not matter. Hidden services are left out.

    Raises SchemaError when a file is broken, missing, doubly defined with different content, or in an import cycle, when a
    service is not defined anywhere, or when there is more than the bounds allow.
    """
    unique = _unique_files(files)
    _restore_well_known(unique)
    _link_by_name(unique)
    ordered = _in_import_order(unique)
    _check_names(ordered)
    try:
        registry = FileDescriptorSet(file=ordered).to_registry()
        found = {}
        for name in services:
            if name in HIDDEN_SERVICES:
                continue
            descriptor = registry.service(name)
            if descriptor is None:
                raise SchemaError(f"service {name} is not defined in any file")
            found[name] = _service(descriptor)
    except SchemaError:
        raise
    except Exception as error:  # a library that checks little meets descriptors of strangers: whatever it trips over
        raise SchemaError(f"descriptors do not fit together: {error}") from error
    return Schema(services=found, registry=registry, fingerprint=_fingerprint(unique, found))


def _unique_files(files: Iterable[bytes]) -> dict[str, tuple[bytes, FileDescriptorProto]]:
    unique: dict[str, tuple[bytes, FileDescriptorProto]] = {}
    total_bytes = 0
    for data in files:
        total_bytes += len(data)
        if total_bytes > MAX_SCHEMA_BYTES:
            raise SchemaError(f"descriptors are larger than {MAX_SCHEMA_BYTES} bytes together")
        try:
            file = FileDescriptorProto.from_binary(data)
        except (ValueError, RecursionError) as error:
            raise SchemaError(f"not a file descriptor: {error}") from error
        known = unique.get(file.name)
        if known is not None and known[0] != data:
            raise SchemaError(f"file {file.name} came twice with different content")
        _fill_json_names(file)
        _prefer_first_names(file)
        unique[file.name] = (data, file)
        if len(unique) > MAX_FILES:
            raise SchemaError(f"more than {MAX_FILES} files")
    return unique


def _fill_json_names(file: FileDescriptorProto) -> None:
    """Give every field its JSON name (ProtoJSON): reflection from C++ and Python servers leaves it out."""
    waiting = list(file.message_type)
    while waiting:
        message = waiting.pop()
        waiting += message.nested_type
        for field in message.field:
            if not field.json_name:
                field.json_name = json_name(field.name)


def _prefer_first_names(file: FileDescriptorProto) -> None:
    """Let a number with several names print as the first one, as all implementations do: the codec takes the last."""
    enums = list(file.enum_type)
    waiting = list(file.message_type)
    while waiting:
        message = waiting.pop()
        waiting += message.nested_type
        enums += message.enum_type
    for enum in enums:
        if enum.options is not None and enum.options.allow_alias:
            numbers = list(dict.fromkeys(value.number for value in enum.value))
            enum.value = [value for number in numbers for value in reversed(enum.value) if value.number == number]


def json_name(name: str) -> str:
    """Return `fieldName` for `field_name` as protoc does: underscores go, the letter after one is upper case."""
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def missing_imports(files: Iterable[bytes]) -> set[str]:
    """Return the names of files that are imported by `files` but not among them.

    Raises SchemaError for a file that is broken.
    """
    unique = _unique_files(files)
    return {name for _, file in unique.values() for name in file.dependency} - unique.keys()


def _restore_well_known(unique: dict[str, tuple[bytes, FileDescriptorProto]]) -> None:
    """Replace what protobufjs made of `google.protobuf` by the files everybody knows.

    Reflection of Node.js backends (@grpc/reflection) merges all files of a package into one. Merged, descriptor.proto
    has camelCase field names, and its `MethodOptions` refers to google.api, which refers back.
    """
    merged = [name for name, (_, file) in unique.items() if file.package == "google.protobuf" and "/" not in name]
    for name in merged:
        del unique[name]
    if merged:
        for message in _WELL_KNOWN:
            data = message.desc().file.proto.to_binary()
            file = FileDescriptorProto.from_binary(data)
            unique.setdefault(file.name, (data, file))


def _link_by_name(unique: Mapping[str, tuple[bytes, FileDescriptorProto]]) -> None:
    """Make all type names absolute, and add the imports they need: Node.js backends send neither.

    A relative name is searched for from the innermost scope outwards (descriptor.proto, at `type_name`).
    """
    homes: dict[str, str] = {}
    references = [reference for name, (_, file) in unique.items() for reference in _references(name, file, homes)]
    for name, scope, owner, attribute in references:
        written: str = getattr(owner, attribute)
        full = written[1:] if written.startswith(".") else _search(written, scope, homes)
        home = homes.get(full)
        if home is None:
            continue
        setattr(owner, attribute, f".{full}")
        imports = unique[name][1].dependency
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
    homes.update((_join(file.package, enum.name), name) for enum in file.enum_type)
    waiting = [(file.package, message) for message in file.message_type]
    while waiting:
        scope, message = waiting.pop()
        full = _join(scope, message.name)
        homes[full] = name
        homes.update((_join(full, enum.name), name) for enum in message.enum_type)
        waiting += [(full, nested) for nested in message.nested_type]
        yield from (
            (name, full, field, "type_name") for field in (*message.field, *message.extension) if field.type_name
        )
        yield from ((name, full, field, "extendee") for field in message.extension)


def _join(scope: str, name: str) -> str:
    return f"{scope}.{name}" if scope else name


def _search(name: str, scope: str, homes: Mapping[str, str]) -> str:
    while scope and f"{scope}.{name}" not in homes:
        scope = scope.rpartition(".")[0]
    return _join(scope, name)


def _in_import_order(unique: Mapping[str, tuple[bytes, FileDescriptorProto]]) -> list[FileDescriptorProto]:
    """Sort files so that imports come first, without recursion: import chains may be as long as there are files."""
    ordered: list[FileDescriptorProto] = []
    state: dict[str, bool] = {}
    for root in unique:
        stack = [(root, False)]
        while stack:
            name, is_done = stack.pop()
            if is_done:
                state[name] = True
                # The registry resolves types by their full names alone, and walks the imports of every file again for
                # each importer: exponential for a diamond of imports. Without the list it is linear.
                file = unique[name][1]
                file.dependency, file.public_dependency, file.weak_dependency = [], [], []
                ordered.append(file)
                continue
            if name in state:
                if not state[name]:
                    raise SchemaError(f"file {name} imports itself, directly or through others")
                continue
            if name not in unique:
                raise SchemaError(f"imported file {name} is missing")
            state[name] = False
            stack.append((name, True))
            stack.extend((dependency, False) for dependency in unique[name][1].dependency if not state.get(dependency))
    return ordered


class _Named(Protocol):
    name: str


def _check_names(files: Iterable[FileDescriptorProto]) -> None:
    """Refuse what no compiler writes, since the registry takes it: names that are none, and things defined twice."""
    known: set[str] = set()
    for file in files:
        waiting: list[tuple[str, _Named]] = [(file.package, member) for member in _members(file)]
        while waiting:
            scope, member = waiting.pop()
            if _IDENTIFIER.fullmatch(member.name) is None:
                raise SchemaError(f"file {file.name}: {member.name[:64]!r} in {scope} is not a name")
            name = _join(scope, member.name)
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


def _service(descriptor: DescService) -> Service:
    return Service(
        name=descriptor.type_name,
        methods=tuple(_method(descriptor.type_name, method) for method in descriptor.methods),
    )


def _method(service: str, descriptor: DescMethod) -> Method:
    kind = descriptor.method_kind
    return Method(
        service=service,
        name=descriptor.name,
        input=descriptor.input,
        output=descriptor.output,
        is_client_streaming=kind in ("client_streaming", "bidi_streaming"),
        is_server_streaming=kind in ("server_streaming", "bidi_streaming"),
        has_no_side_effects=descriptor.idempotency == MethodOptions.IdempotencyLevel.NO_SIDE_EFFECTS,
        rules=_http_rules(descriptor.proto.options),
    )


def _http_rules(options: MethodOptions | None) -> tuple[HttpRule, ...]:
    """Read `google.api.http`. It is read with our own copy of its definition: a backend may have another, or none."""
    if options is None:
        return ()
    view: Any = _options_view().from_binary(options.to_binary())
    if view.http is None:
        return ()
    rules = [view.http, *view.http.additional_bindings[:MAX_ADDITIONAL_BINDINGS]]
    return tuple(
        HttpRule(verb=verb, template=template, body=rule.body, response_body=rule.response_body)
        for rule in rules
        for verb, template in _patterns(rule)
    )


def _patterns(rule: Any) -> Iterable[tuple[str, str]]:
    pattern = rule.pattern
    if pattern is None:
        return
    if pattern.field == "custom":
        if pattern.value.kind and pattern.value.path:
            yield pattern.value.kind, pattern.value.path
    elif pattern.value:
        yield pattern.field.upper(), pattern.value


@cache
def _options_view() -> type[Message]:
    """Return the message type of `MethodOptions` with nothing but `http` in it (google/api/http.proto)."""
    kind, label = FieldDescriptorProto.Type, FieldDescriptorProto.Label

    def text(name: str, number: int, *, oneof: int | None = None) -> FieldDescriptorProto:
        return FieldDescriptorProto(name=name, number=number, type=kind.STRING, label=label.OPTIONAL, oneof_index=oneof)

    def message(name: str, number: int, type_name: str, **more: Any) -> FieldDescriptorProto:
        more.setdefault("label", label.OPTIONAL)
        return FieldDescriptorProto(name=name, number=number, type=kind.MESSAGE, type_name=f".view.{type_name}", **more)

    pattern = [text(verb.lower(), number, oneof=0) for number, verb in _VERB_FIELDS.items()]
    file = FileDescriptorProto(
        name="view.proto",
        package="view",
        syntax="proto3",
        message_type=[
            DescriptorProto(name="Custom", field=[text("kind", 1), text("path", 2)]),
            DescriptorProto(
                name="Rule",
                oneof_decl=[OneofDescriptorProto(name="pattern")],
                field=[
                    *pattern,
                    message("custom", 8, "Custom", oneof_index=0),
                    text("body", 7),
                    text("response_body", 12),
                    message("additional_bindings", 11, "Rule", label=label.REPEATED),
                ],
            ),
            DescriptorProto(name="Options", field=[message("http", _HTTP_EXTENSION, "Rule")]),
        ],
    )
    registry = FileDescriptorSet(file=[FileDescriptorProto.from_binary(file.to_binary())]).to_registry()
    options = registry.message("view.Options")
    assert options is not None
    return options.type


def _fingerprint(unique: Mapping[str, tuple[bytes, FileDescriptorProto]], services: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for name in sorted(unique):
        digest.update(unique[name][0])
        digest.update(b"\0")
    for name in sorted(services):
        digest.update(name.encode())
        digest.update(b"\0")
    return digest.hexdigest()


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


_KIND_OF_VALUE: Final[Mapping[type[object], FieldKind]] = {
    DescFieldValueScalar: FieldKind.SCALAR,
    DescFieldValueEnum: FieldKind.ENUM,
    DescFieldValueMessage: FieldKind.MESSAGE,
    DescFieldValueList: FieldKind.LIST,
    DescFieldValueMap: FieldKind.MAP,
}
