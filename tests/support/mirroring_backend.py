"""A gRPC backend that gives back whatever bytes it gets, for services whose requests and answers are of one type."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection, reflection_pb2

from tests.support.descriptors import compile_protos


@contextmanager
def mirroring_backend(proto: str) -> Iterator[str]:
    """Serve all services of a `.proto` text, with reflection, until the context ends; yields the address as a URL."""
    files = compile_protos({"mirror.proto": proto})
    pool = DescriptorPool()
    for data in (*files, reflection_pb2.DESCRIPTOR.serialized_pb):
        pool.AddSerializedFile(data)
    file = FileDescriptorProto.FromString(files[-1])
    names = [f"{file.package}.{service.name}" for service in file.service]
    server = grpc.server(ThreadPoolExecutor(4), handlers=[_Mirror(names)])
    reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], server, pool=pool)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop(grace=None).wait()


class _Mirror(grpc.GenericRpcHandler):
    def __init__(self, services: list[str]) -> None:
        self._services = services

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        if handler_call_details.method.split("/")[1] not in self._services:
            return None
        return grpc.unary_unary_rpc_method_handler(_mirror)


def _mirror(request: bytes, context: grpc.ServicerContext) -> bytes:
    return request
