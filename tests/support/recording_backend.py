"""A gRPC backend inside the test process: it answers as told, and remembers every message it was sent.

Calls are told apart by the metadata `probe`. What nobody planned is answered with the request itself: read and written
again, as a backend would, so that the ways in which messages can be put on the wire make no difference.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection, reflection_pb2

PROBE = "probe"
"""Metadata key of the id that a call is recorded by."""
_THREADS = 8
_STOP_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One planned answer."""

    messages: tuple[bytes, ...] = (b"",)
    """Serialized answers; a unary method sends the first."""
    code: grpc.StatusCode = grpc.StatusCode.OK
    text: str = ""
    details: bytes = b""
    """A serialized `google.rpc.Status`, or empty."""
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """One call that arrived."""

    method: str
    """`package.Service/Method`."""
    message: bytes
    """In normal form: equal bytes are equal messages."""


@dataclass(slots=True)
class RecordingBackend:
    """What it serves, was told, and saw. For use by many threads."""

    files: tuple[FileDescriptorProto, ...]
    pool: DescriptorPool
    port: int = 0
    _plans: dict[str, Reply] = field(default_factory=dict)
    _seen: dict[str, list[Seen]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def endpoint(self) -> str:
        """URL for the gateway's configuration."""
        return f"http://127.0.0.1:{self.port}"

    def services(self) -> list[str]:
        """Return the full names of its services."""
        return [f"{file.package}.{service.name}" for file in self.files for service in file.service]

    def plan(self, probe: str, reply: Reply) -> None:
        """Answer the calls of an id so."""
        with self._lock:
            self._plans[probe] = reply

    def take(self, probe: str) -> tuple[Seen, ...]:
        """Return, and forget, the calls of an id so far."""
        with self._lock:
            return tuple(self._seen.pop(probe, ()))

    def record(self, method: str, message: bytes, context: grpc.ServicerContext) -> Reply:
        """Remember a call and return how to answer it."""
        probe = str(dict(context.invocation_metadata()).get(PROBE, ""))
        service, _, name = method.partition("/")
        input_type = GetMessageClass(self.pool.FindServiceByName(service).FindMethodByName(name).input_type)
        try:
            received = input_type.FromString(message)
            normalise(received, self.pool)
        except DecodeError as error:
            return Reply(code=grpc.StatusCode.INTERNAL, text=f"the request is no message: {error}")
        normal = received.SerializeToString(deterministic=True)
        with self._lock:
            self._seen.setdefault(probe, []).append(Seen(method, normal))
            return self._plans.get(probe) or Reply(messages=(normal,))


def normalise(message: Message, pool: DescriptorPool) -> None:
    """Rewrite the content of every `Any` of a known type in its one deterministic form. Raises DecodeError."""
    if message.DESCRIPTOR.full_name == "google.protobuf.Any":
        _normalise_any(cast("Any", message), pool)
        return
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        if descriptor.message_type.GetOptions().map_entry:
            inner = list(value.values()) if descriptor.message_type.fields_by_name["value"].message_type else []
        else:
            inner = list(value) if descriptor.is_repeated else [value]
        for each in inner:
            normalise(each, pool)


def _normalise_any(message: Any, pool: DescriptorPool) -> None:
    try:
        content_type = pool.FindMessageTypeByName(message.type_url.rpartition("/")[2])
    except KeyError:
        return
    content = GetMessageClass(content_type).FromString(message.value)
    normalise(content, pool)
    message.value = content.SerializeToString(deterministic=True)


@contextmanager
def recording_backend(descriptors: Sequence[bytes]) -> Iterator[RecordingBackend]:
    """Serve every service of serialized file descriptors, imports first, with reflection, until the context ends."""
    pool = DescriptorPool()
    for data in descriptors:
        pool.AddSerializedFile(data)
    backend = RecordingBackend(tuple(FileDescriptorProto.FromString(data) for data in descriptors), pool)
    server = grpc.server(
        ThreadPoolExecutor(_THREADS), handlers=[_Handlers(backend)], options=[("grpc.so_reuseport", 0)]
    )
    pool.AddSerializedFile(reflection_pb2.DESCRIPTOR.serialized_pb)
    reflection.enable_server_reflection([*backend.services(), reflection.SERVICE_NAME], server, pool=pool)
    backend.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield backend
    finally:
        server.stop(_STOP_S).wait()


class _Handlers(grpc.GenericRpcHandler):
    """All methods of a backend, on bytes."""

    def __init__(self, backend: RecordingBackend) -> None:
        self._handlers = {
            f"/{file.package}.{service.name}/{method.name}": _handler(
                backend, f"{file.package}.{service.name}/{method.name}", is_stream=method.server_streaming
            )
            for file in backend.files
            for service in file.service
            for method in service.method
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        """Return a method's handler."""
        return self._handlers.get(handler_call_details.method)


def _handler(backend: RecordingBackend, method: str, *, is_stream: bool) -> grpc.RpcMethodHandler[bytes, bytes]:
    def stream(message: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        reply = backend.record(method, message, context)
        if reply.metadata:
            context.send_initial_metadata(reply.metadata)
        if reply.code is grpc.StatusCode.OK or is_stream:
            yield from reply.messages
        if reply.code is not grpc.StatusCode.OK:
            if reply.details:
                context.set_trailing_metadata((("grpc-status-details-bin", reply.details),))
            context.abort(reply.code, reply.text)

    def unary(message: bytes, context: grpc.ServicerContext) -> bytes:
        return next(stream(message, context))

    return grpc.unary_stream_rpc_method_handler(stream) if is_stream else grpc.unary_unary_rpc_method_handler(unary)
