"""From the files of a backend to its schema."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from protobuf import DescMethod, DescService
from protobuf.wkt.google.protobuf.descriptor_pb import FileDescriptorSet, MethodOptions

from .checks import check_names
from .files import SourceFile, read_files
from .http_rules import read_http_rules
from .import_order import in_import_order
from .type_names import link_by_name
from .values import HIDDEN_SERVICES, Method, Schema, SchemaError, Service
from .well_known import restore_well_known


def build_schema(files: Iterable[bytes], services: Iterable[str]) -> Schema:
    """Build the schema of the named services from serialized `FileDescriptorProto`s with all their imports.

    Order and repetition of `files` do not matter. Hidden services are left out.

    Raises SchemaError when a file is broken, missing, doubly defined with different content, or in an import cycle,
    when a service is not defined anywhere, or when there is more than the bounds allow.
    """
    unique = read_files(files)
    restore_well_known(unique)
    link_by_name(unique)
    ordered = in_import_order(unique)
    check_names(ordered)
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
        is_idempotent=descriptor.idempotency
        in (MethodOptions.IdempotencyLevel.NO_SIDE_EFFECTS, MethodOptions.IdempotencyLevel.IDEMPOTENT),
        rules=read_http_rules(descriptor.proto.options),
    )


def _fingerprint(unique: Mapping[str, SourceFile], services: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for name in sorted(unique):
        digest.update(unique[name].data)
        digest.update(b"\0")
    for name in sorted(services):
        digest.update(name.encode())
        digest.update(b"\0")
    return digest.hexdigest()
