"""Serialized file descriptors, each read once, within bounds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from protobuf.wkt.google.protobuf.descriptor_pb import FileDescriptorProto

from .spelling import fill_json_names, prefer_first_names
from .values import SchemaError

MAX_FILES: Final = 10_000
"""Most files in one schema. Googleapis as a whole has about 5,000."""
MAX_SCHEMA_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of descriptors in one schema."""


class SourceFile(NamedTuple):
    """One file as it came, and read. Linking changes the descriptor, never the data."""

    data: bytes
    descriptor: FileDescriptorProto


def read_files(files: Iterable[bytes]) -> dict[str, SourceFile]:
    """Read serialized `FileDescriptorProto`s; return each once, by name.

    Raises SchemaError for a file that is broken or came twice with different content, and beyond the bounds.
    """
    unique: dict[str, SourceFile] = {}
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
        if known is not None and known.data != data:
            raise SchemaError(f"file {file.name} came twice with different content")
        fill_json_names(file)
        prefer_first_names(file)
        unique[file.name] = SourceFile(data, file)
        if len(unique) > MAX_FILES:
            raise SchemaError(f"more than {MAX_FILES} files")
    return unique


def missing_imports(files: Iterable[bytes]) -> set[str]:
    """Return the names of files that are imported by `files` but not among them.

    Raises SchemaError for a file that is broken.
    """
    unique = read_files(files)
    return {name for file in unique.values() for name in file.descriptor.dependency} - unique.keys()
