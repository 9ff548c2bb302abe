"""Services, methods and HTTP rules as plain frozen values, read from descriptors.

Together with `transcoding/`, this is the only module that knows the protobuf library.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, Final

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
from protobuf.wkt.google.protobuf.descriptor_pb import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodOptions,
    OneofDescriptorProto,
)

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
    ordered = _in_import_order(unique)
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
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, IndexError) as error:
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
        unique[file.name] = (data, file)
        if len(unique) > MAX_FILES:
            raise SchemaError(f"more than {MAX_FILES} files")
    return unique


def _fill_json_names(file: FileDescriptorProto) -> None:
    """Give every field its JSON name (ProtoJSON, "Field names"): reflection from C++ and Python servers leaves it out."""
    waiting = list(file.message_type)
    while waiting:
        message = waiting.pop()
        waiting += message.nested_type
        for field in message.field:
            if not field.json_name:
                field.json_name = json_name(field.name)


def json_name(name: str) -> str:
    """Return `fieldName` for `field_name`, exactly as protoc does: underscores go, the letter after one is upper case."""
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def missing_imports(files: Iterable[bytes]) -> set[str]:
    """Return the names of files that are imported by `files` but not among them.

    Raises SchemaError for a file that is broken.
    """
    unique = _unique_files(files)
    return {name for _, file in unique.values() for name in file.dependency} - unique.keys()


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
