"""The messages of grpc.reflection.v1 that are used here, built in code (grpc/reflection/v1/reflection.proto).

v1alpha differs in its package name only, which is not on the wire.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from protobuf import Message
from protobuf.wkt import FileDescriptorProto, FileDescriptorSet
from protobuf.wkt.google.protobuf.descriptor_pb import DescriptorProto, FieldDescriptorProto, OneofDescriptorProto

_Kind = FieldDescriptorProto.Type
_Label = FieldDescriptorProto.Label


@cache
def reflection_messages() -> tuple[Callable[..., Message], type[Message]]:
    """Return what makes a `ServerReflectionRequest` from one `name=text` choice, and the response's type."""
    registry = FileDescriptorSet(file=[FileDescriptorProto.from_binary(_file().to_binary())]).to_registry()
    request_description = registry.message("reflection.Request")
    response_description = registry.message("reflection.Response")
    if request_description is None or response_description is None:
        raise AssertionError("the registry lost a message that was just put into it")
    choices = {field.name: field for field in request_description.fields}
    request_type = request_description.type

    def make_request(**choice: str) -> Message:
        request = request_type()
        for name, text in choice.items():
            request[choices[name]] = text
        return request

    return make_request, response_description.type


def _file() -> FileDescriptorProto:
    return FileDescriptorProto(
        name="reflection.proto",
        package="reflection",
        syntax="proto3",
        message_type=[
            DescriptorProto(
                name="Request",
                oneof_decl=[OneofDescriptorProto(name="message_request")],
                field=[
                    _field("file_by_filename", 3, oneof_index=0),
                    _field("file_containing_symbol", 4, oneof_index=0),
                    _field("list_services", 7, oneof_index=0),
                ],
            ),
            DescriptorProto(
                name="Response",
                oneof_decl=[OneofDescriptorProto(name="message_response")],
                field=[
                    _field("file_descriptor_response", 4, type_name=".reflection.Files", oneof_index=0),
                    _field("list_services_response", 6, type_name=".reflection.Services", oneof_index=0),
                    _field("error_response", 7, type_name=".reflection.Error", oneof_index=0),
                ],
            ),
            DescriptorProto(
                name="Files",
                field=[_field("file_descriptor_proto", 1, type=_Kind.BYTES, label=_Label.REPEATED)],
            ),
            DescriptorProto(
                name="Services",
                field=[_field("service", 1, type_name=".reflection.Service", label=_Label.REPEATED)],
            ),
            DescriptorProto(name="Service", field=[_field("name", 1)]),
            DescriptorProto(
                name="Error", field=[_field("error_code", 1, type=_Kind.INT32), _field("error_message", 2)]
            ),
        ],
    )


def _field(name: str, number: int, **more: Any) -> FieldDescriptorProto:
    more.setdefault("type", _Kind.MESSAGE if "type_name" in more else _Kind.STRING)
    more.setdefault("label", _Label.OPTIONAL)
    return FieldDescriptorProto(name=name, number=number, **more)
