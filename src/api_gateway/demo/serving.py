"""How an object with one coroutine a method becomes a gRPC service, straight from its descriptor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import grpc
import grpc.aio
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

_HANDLERS: Final = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}
"""By whether the client and the server send streams."""


class Service(Protocol):
    """An implementation: has a coroutine (or an async generator, for server streams) for each method, by its name."""

    @property
    def descriptor(self) -> ServiceDescriptor:
        """The service it implements."""


def generic_handler(service: Service, *, alias: str = "") -> grpc.GenericRpcHandler:
    """Return what a grpcio server needs to serve `service`, under the full name `alias` where given.

    Raises AttributeError when a method is not implemented.
    """
    methods = {method.name: _method_handler(service, method) for method in service.descriptor.methods}
    return grpc.method_handlers_generic_handler(alias or service.descriptor.full_name, methods)


def _method_handler(service: Service, method: MethodDescriptor) -> grpc.RpcMethodHandler[Any, Any]:
    request, reply = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
    make_handler = _HANDLERS[method.client_streaming, method.server_streaming]
    return make_handler(getattr(service, method.name), request.FromString, reply.SerializeToString)


def add_services(server: grpc.aio.Server, services: Iterable[Service]) -> None:
    """Serve `services`, with reflection and health beside them.

    Reflection is v1alpha: it is all that grpcio-reflection has. Health knows the server as a whole and says SERVING.
    """
    services = tuple(services)
    server.add_generic_rpc_handlers(tuple(generic_handler(service) for service in services))
    names = [service.descriptor.full_name for service in services]
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
