"""The echo service's descriptors, with more methods where a test wants a schema that changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor, FileDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import Default, DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tests.support.gen import echo_control_pb2, echo_pb2

CONTROL: ServiceDescriptor = echo_control_pb2.DESCRIPTOR.services_by_name["ControlService"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoSchema:
    """The service as one backend offers it, and the pool that its reflection answers from."""

    service: ServiceDescriptor
    pool: DescriptorPool


def echo_schema(extra_methods: Sequence[str] = (), beside: Sequence[FileDescriptor] = ()) -> EchoSchema:
    """Return EchoService with `extra_methods` added at its end, each `ItemRequest -> EchoReply` without annotation.

    The pool knows the files `beside` it too.
    """
    file = FileDescriptorProto()
    echo_pb2.DESCRIPTOR.CopyToProto(file)
    for name in extra_methods:
        file.service[0].method.add(name=name, input_type=".tests.echo.ItemRequest", output_type=".tests.echo.EchoReply")
    # A pool of its own: one pool holds one definition of a file, and the default pool has the plain one.
    pool = DescriptorPool()
    for other in (*echo_pb2.DESCRIPTOR.dependencies, *beside):
        _add_with_imports(pool, other)
    service = pool.AddSerializedFile(file.SerializeToString()).services_by_name["EchoService"]
    return EchoSchema(service=service, pool=pool)


def message_class(descriptor: Descriptor) -> type[Message]:
    """Return the generated class of a message type, whichever pool its descriptor is from."""
    return GetMessageClass(Default().FindMessageTypeByName(descriptor.full_name))


def _add_with_imports(pool: DescriptorPool, file: FileDescriptor) -> None:
    for dependency in file.dependencies:
        _add_with_imports(pool, dependency)
    pool.AddSerializedFile(file.serialized_pb)
