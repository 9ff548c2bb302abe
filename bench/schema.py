"""The service that is measured: its descriptors, with as many routes as a case asks for, and its canned answers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.api import annotations_pb2
from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

SERVICE: Final = "bench.Users"
ROUTES_OF_SERVICE: Final = 3
METHODS_PER_FILE: Final = 100
LISTED_USERS: Final = 100

_SHAPES: Final = (
    ("Get", "GetUserRequest", 'get: "/v1/shelves{file}/items{item}/{{id}}"'),
    ("List", "ListUsersRequest", 'get: "/v1/shelves{file}/items{item}"'),
    ("Create", "User", 'post: "/v1/shelves{file}/items{item}" body: "*"'),
)

USER: Final[Mapping[str, object]] = {
    "id": "u123456",
    "displayName": "Grace Hopper",
    "email": "grace@example.com",
    "age": 37,
    "balanceCents": "123456",
    "score": 98.6,
    "isActive": True,
    "role": "ROLE_ADMIN",
    "createdAt": "2024-01-15T10:30:45Z",
    "tags": ["navy"],
    "address": {"street": "1 Ocean Ave", "city": "Arlington", "countryCode": "US"},
    "labels": {"tier": "gold"},
}
"""All twelve fields of `bench.User`, as ProtoJSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodAnswer:
    """How the backend answers one method: with the request's own bytes, then these."""

    path: bytes
    """`/package.Service/Method`."""
    tail: bytes


def build_descriptors(routes: int, folder: Path) -> Path:
    """Compile a schema with exactly `routes` annotated methods into `folder`; return the file with the descriptor set.

    The first three are those of `bench.Users`; the others live in further services, a hundred to a file.

    Raises RuntimeError with protoc's own words when it fails, ValueError for fewer routes than the service itself has.
    """
    if routes < ROUTES_OF_SERVICE:
        raise ValueError(f"expected at least {ROUTES_OF_SERVICE} routes, got {routes}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "users.proto").write_text(Path(__file__).with_name("users.proto").read_text())
    names = ["users.proto"]
    for number, first in enumerate(range(ROUTES_OF_SERVICE, routes, METHODS_PER_FILE)):
        names.append(f"shelf{number}.proto")
        (folder / names[-1]).write_text(_shelf(number, min(METHODS_PER_FILE, routes - first)))
    target = folder / "descriptors.pb"
    options = [f"-I{folder}", f"-I{Path(annotations_pb2.__file__).parents[2]}", "--include_imports"]
    command = [sys.executable, "-m", "grpc_tools.protoc", *options, f"--descriptor_set_out={target}", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"protoc failed: {done.stderr.strip()}")
    return target


def _shelf(number: int, methods: int) -> str:
    lines = [
        'syntax = "proto3";',
        "package bench;",
        'import "google/api/annotations.proto";',
        'import "users.proto";',
        f"service Shelf{number} {{",
    ]
    for item in range(methods):
        verb, request, rule = _SHAPES[item % len(_SHAPES)]
        http = rule.format(file=number, item=item)
        lines.append(f"  rpc {verb}Item{item}({request}) returns (User) {{ option (google.api.http) = {{ {http} }}; }}")
    return "\n".join([*lines, "}", ""])


def load_descriptors(path: Path) -> FileDescriptorSet:
    """Read a descriptor set from a file."""
    return FileDescriptorSet.FromString(path.read_bytes())


def service_names(descriptors: FileDescriptorSet) -> list[str]:
    """Return the full names of all services, in the order of the files."""
    return [f"{file.package}.{service.name}" for file in descriptors.file for service in file.service]


def canned_answers(descriptors: FileDescriptorSet) -> list[MethodAnswer]:
    """Return the answer of every method; those that are not measured answer with the request alone."""
    measured = {
        b"/bench.Users/GetUser": _serialize(descriptors, "bench.User", {**USER, "id": ""}),
        b"/bench.Users/ListUsers": _serialize(descriptors, "bench.ListUsersResponse", _list_of_users()),
    }
    paths = [
        f"/{file.package}.{service.name}/{method.name}".encode()
        for file in descriptors.file
        for service in file.service
        for method in service.method
    ]
    return [MethodAnswer(path=path, tail=measured.get(path, b"")) for path in paths]


def _list_of_users() -> dict[str, object]:
    return {"users": [{**USER, "id": f"u{100_000 + n}"} for n in range(LISTED_USERS)], "nextPageToken": "page-2"}


def expected_get(user_id: str) -> dict[str, object]:
    """Return the JSON of `GetUser` for an id."""
    return {**USER, "id": user_id}


def expected_list(page_size: int) -> dict[str, object]:
    """Return the JSON of `ListUsers` for a page size."""
    return {**_list_of_users(), "pageSize": page_size}


def _serialize(descriptors: FileDescriptorSet, name: str, value: Mapping[str, object]) -> bytes:
    return json_format.Parse(json.dumps(value), message_class(descriptors, name)()).SerializeToString()


def message_class(descriptors: FileDescriptorSet, name: str) -> type[Message]:
    """Return the class of a message by its full name."""
    pool = DescriptorPool()
    for file in descriptors.file:
        pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName(name))
