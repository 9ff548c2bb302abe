"""A plain reflection client on Google's own gRPC, for the tests' second opinion."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from tests.support.rpc import bidi_stream

if TYPE_CHECKING:
    import grpc.aio


class ReflectionError(Exception):
    """The backend answered with an error response."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reflected:
    """What a backend told about itself."""

    services: tuple[str, ...]
    files: tuple[bytes, ...]
    """Serialized `FileDescriptorProto`s, each once, with all imports."""


async def reflect(channel: grpc.aio.Channel, messages: ModuleType) -> Reflected:
    """Ask for all services and all their files. `messages` is the pb2 module of the version to speak: v1 or v1alpha."""
    client = _Client(channel, messages)
    listed = (await client.ask(list_services=""))[0].list_services_response
    services = tuple(service.name for service in listed.service)
    files = await client.files([{"file_containing_symbol": name} for name in services])
    while missing := _missing_imports(files):
        files |= await client.files([{"file_by_filename": name} for name in sorted(missing)])
    return Reflected(services=services, files=tuple(file.SerializeToString() for file in files.values()))


class _Client:
    def __init__(self, channel: grpc.aio.Channel, messages: ModuleType) -> None:
        self._channel = channel
        self._messages = messages
        self._method = f"{messages.DESCRIPTOR.package}.ServerReflection/ServerReflectionInfo"

    async def ask(self, *questions: dict[str, str], **question: str) -> list[Any]:
        requests = [self._messages.ServerReflectionRequest(**each) for each in (*questions, question) if each]
        replies = await bidi_stream(self._channel, self._method, requests, self._messages.ServerReflectionResponse)
        for reply in replies:
            if reply.HasField("error_response"):
                raise ReflectionError(reply.error_response.error_message)
        return replies

    async def files(self, questions: list[dict[str, str]]) -> dict[str, Any]:
        found = {}
        for reply in await self.ask(*questions):
            for data in reply.file_descriptor_response.file_descriptor_proto:
                file = FileDescriptorProto.FromString(data)
                found[file.name] = file
        return found


def _missing_imports(files: dict[str, Any]) -> set[str]:
    return {name for file in files.values() for name in file.dependency} - files.keys()
