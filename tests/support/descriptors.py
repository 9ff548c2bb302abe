"""Schemas for tests: compiles `.proto` files or text with the real compiler and reads them as the gateway does."""

from __future__ import annotations

import functools
import importlib.resources
import tempfile
from collections.abc import Mapping
from pathlib import Path

import google.api
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_tools import protoc

from api_gateway.schema import Method, Schema, build_schema

PROTOS = Path(__file__).parent.parent / "protos"


def compile_protos(sources: Mapping[str, str]) -> list[bytes]:
    """Compile files given as text by name; return serialized `FileDescriptorProto`s, imports first.

    The well-known types and `google/api`, `google/rpc` can be imported. Raises ValueError when the compiler refuses.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name, text in sources.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return _compile(Path(folder), tuple(sources))


@functools.cache
def descriptors_of(*names: str) -> tuple[bytes, ...]:
    """Compile files of `tests/protos`, once a process; return serialized `FileDescriptorProto`s, imports first."""
    return tuple(_compile(PROTOS, names))


@functools.cache
def schema_of(*names: str) -> Schema:
    """Build the schema with every service of files of `tests/protos`, once a process."""
    return _schema(list(descriptors_of(*names)))


def schema_from_text(text: str) -> Schema:
    """Build the schema with every service of one `.proto` file given as text."""
    return _schema(compile_protos({"text.proto": text}))


def pool_of(*names: str) -> DescriptorPool:
    """Return Google's own descriptor pool for files of `tests/protos`, for comparison with their library."""
    pool = DescriptorPool()
    for data in descriptors_of(*names):
        pool.AddSerializedFile(data)
    return pool


def method_of(schema: Schema, full_name: str) -> Method:
    """Return the method `package.Service/Method`. Raises KeyError when the schema has none."""
    return {method.full_name: method for method in schema.methods()}[full_name]


def _schema(files: list[bytes]) -> Schema:
    services = []
    for data in files:
        file = FileDescriptorProto.FromString(data)
        services += [f"{file.package}.{service.name}".lstrip(".") for service in file.service]
    return build_schema(files, services)


def _compile(folder: Path, names: tuple[str, ...]) -> list[bytes]:
    well_known = importlib.resources.files("grpc_tools") / "_proto"
    googleapis = Path(next(iter(google.api.__path__))).parent.parent
    with tempfile.TemporaryDirectory() as out:
        target = Path(out, "set.bin")
        code = protoc.main(
            [
                "protoc",
                f"--proto_path={folder}",
                f"--proto_path={well_known}",
                f"--proto_path={googleapis}",
                "--include_imports",
                f"--descriptor_set_out={target}",
                *names,
            ]
        )
        if code != 0:
            raise ValueError(f"the compiler refused {', '.join(names)}")
        return [file.SerializeToString() for file in FileDescriptorSet.FromString(target.read_bytes()).file]
