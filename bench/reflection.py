"""Server reflection for the backend, from one descriptor set, without I/O. v1 and v1alpha are the same on the wire."""

from __future__ import annotations

from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_reflection.v1alpha.reflection_pb2 import (
    ErrorResponse,
    ExtensionNumberResponse,
    FileDescriptorResponse,
    ListServiceResponse,
    ServerReflectionRequest,
    ServerReflectionResponse,
    ServiceResponse,
)

from bench.schema import service_names

REFLECTION_PATHS: Final = tuple(
    f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo".encode() for version in ("v1", "v1alpha")
)
_NOT_FOUND: Final = 5


class Reflection:
    """Answers reflection requests, one at a time; a file comes with everything it imports."""

    def __init__(self, descriptors: FileDescriptorSet) -> None:
        self._services = service_names(descriptors)
        self._files = {file.name: file for file in descriptors.file}
        self._file_of = {symbol: file.name for file in descriptors.file for symbol in _symbols(file)}

    def respond(self, message: bytes) -> bytes:
        """Answer one serialized `ServerReflectionRequest`."""
        request = ServerReflectionRequest.FromString(message)
        response = ServerReflectionResponse(valid_host=request.host, original_request=request)
        kind = request.WhichOneof("message_request")
        if kind == "list_services":
            services = [ServiceResponse(name=name) for name in self._services]
            response.list_services_response.CopyFrom(ListServiceResponse(service=services))
        elif kind == "file_by_filename":
            self._send_file(request.file_by_filename, response)
        elif kind == "file_containing_symbol":
            self._send_file(self._file_of.get(request.file_containing_symbol, ""), response)
        elif kind == "all_extension_numbers_of_type":
            name = request.all_extension_numbers_of_type
            response.all_extension_numbers_response.CopyFrom(ExtensionNumberResponse(base_type_name=name))
        else:
            self._send_file("", response)
        answer: bytes = response.SerializeToString()
        return answer

    def _send_file(self, name: str, response: ServerReflectionResponse) -> None:
        if name not in self._files:
            response.error_response.CopyFrom(ErrorResponse(error_code=_NOT_FOUND, error_message="not found"))
            return
        wanted, found = [name], dict[str, bytes]()
        while wanted:
            file = self._files[wanted.pop()]
            if file.name not in found:
                found[file.name] = file.SerializeToString()
                wanted.extend(file.dependency)
        response.file_descriptor_response.CopyFrom(FileDescriptorResponse(file_descriptor_proto=list(found.values())))


def _symbols(file: FileDescriptorProto) -> list[str]:
    prefix = f"{file.package}." if file.package else ""
    services = [f"{prefix}{service.name}" for service in file.service]
    methods = [f"{prefix}{service.name}.{method.name}" for service in file.service for method in service.method]
    messages = [f"{prefix}{message.name}" for message in file.message_type]
    enums = [f"{prefix}{enum.name}" for enum in file.enum_type]
    return services + methods + messages + enums
