"""The echo backend on Google's grpcio: `python -m tests.support.echo_grpcio`. Reflection v1alpha only."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from api_gateway.demo.gen import policy_pb2
from api_gateway.demo.serving import generic_handler
from tests.support.echo_behaviour import Arrival, EchoBehaviour, Ending, Metadata, ServiceBehaviour
from tests.support.echo_journal import EchoJournal
from tests.support.echo_process import EchoOptions, TlsFiles, run
from tests.support.echo_schema import CONTROL, echo_schema, message_class
from tests.support.gen import echo_control_pb2 as control_pb2
from tests.support.interop_behaviour import SERVICE as INTEROP
from tests.support.interop_behaviour import InteropBehaviour

BACKEND = "grpcio"
STOP_GRACE_S = 1.0
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_MS_PER_S = 1000

Context = Any


class GrpcioServer:
    """A started server."""

    def __init__(self, server: grpc.aio.Server, port: int) -> None:
        self._server = server
        self.port = port

    async def stop(self) -> None:
        """See EchoServer."""
        await self._server.stop(STOP_GRACE_S)


async def start(options: EchoOptions) -> GrpcioServer:
    """Serve as `options` say. Raises RuntimeError when the port is taken."""
    journal = EchoJournal(options.journal)
    policies = AuthPolicies(journal)
    statuses = health.aio.HealthServicer()
    beside = (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR, policy_pb2.DESCRIPTOR)
    schema = echo_schema(options.extra_methods, beside)  # type: ignore[arg-type]  # their stubs name the class in C
    names = [schema.service.full_name, health.SERVICE_NAME, reflection.SERVICE_NAME]
    handlers = [
        _service_handler(schema.service, EchoBehaviour(BACKEND, journal)),
        _service_handler(INTEROP, InteropBehaviour()),
        generic_handler(Control(journal, policies, statuses)),
    ]
    if options.has_auth_policy:
        handlers.append(generic_handler(policies))
        names.append(policies.descriptor.full_name)
    # Without the first option a second backend on the same port would start and get half of the connections.
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)))
    server.add_generic_rpc_handlers(tuple(handlers))
    health_pb2_grpc.add_HealthServicer_to_server(statuses, server)
    reflection.enable_server_reflection(names, server, pool=schema.pool)
    port = _listen(server, f"{options.host}:{options.port}", options.tls)
    await server.start()
    return GrpcioServer(server, port)


def _listen(server: grpc.aio.Server, address: str, tls: TlsFiles | None) -> int:
    if tls is None:
        return server.add_insecure_port(address)
    client_ca = Path(tls.client_ca).read_bytes() if tls.client_ca else None
    credentials = grpc.ssl_server_credentials(
        [(Path(tls.key).read_bytes(), Path(tls.certificate).read_bytes())],
        root_certificates=client_ca,
        require_client_auth=client_ca is not None,
    )
    return server.add_secure_port(address, credentials)


class GrpcioWire:
    """Answers on a grpcio context; a unary reply is kept, because grpcio takes it as the handler's result."""

    def __init__(self, context: Context, *, is_server_streaming: bool) -> None:
        self._context = context
        self._is_server_streaming = is_server_streaming
        self._is_compressing = False
        self.reply: Message | None = None

    async def send_initial_metadata(self, metadata: Metadata) -> None:
        """See Wire."""
        await self._context.send_initial_metadata(metadata)

    async def send(self, reply: Message) -> None:
        """See Wire."""
        if self._is_server_streaming:
            await self._context.write(reply)
        else:
            self.reply = reply

    def compress_next(self, is_compressed: bool) -> None:
        """See Wire. Compression is chosen for a call before its head; single messages are taken out of it."""
        if is_compressed and not self._is_compressing:
            self._is_compressing = True
            self._context.set_compression(grpc.Compression.Gzip)
        elif self._is_compressing and not is_compressed:
            self._context.disable_next_message_compression()

    async def finish(self, ending: Ending) -> None:
        """See Wire."""
        trailers = ending.metadata
        if ending.status_details:
            trailers = (*trailers, ("grpc-status-details-bin", ending.status_details))
        if ending.code:
            await self._context.abort(_CODES[ending.code], ending.message, trailers)
        self._context.set_trailing_metadata(trailers)


def _service_handler(service: ServiceDescriptor, behaviour: ServiceBehaviour) -> grpc.GenericRpcHandler:
    methods = {method.name: _method_handler(method, behaviour) for method in service.methods}
    return grpc.method_handlers_generic_handler(service.full_name, methods)


def _method_handler(method: MethodDescriptor, behaviour: ServiceBehaviour) -> grpc.RpcMethodHandler[Any, Any]:
    full_name = f"{method.containing_service.full_name}/{method.name}"

    async def answer(requests: Any, context: Context) -> Message | None:
        wire = GrpcioWire(context, is_server_streaming=method.server_streaming)
        arrival = Arrival(
            method=full_name, metadata=tuple(context.invocation_metadata() or ()), timeout_s=context.time_remaining()
        )
        await behaviour.execute(arrival, aiter(requests) if method.client_streaming else _only(requests), wire)
        return wire.reply

    make_handler = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[method.client_streaming, method.server_streaming]
    request, reply = message_class(method.input_type), message_class(method.output_type)
    return make_handler(answer, request.FromString, reply.SerializeToString)


async def _only(request: Message) -> AsyncIterator[Message]:
    yield request


class AuthPolicies:
    """`gateway.ServiceAuthPolicy` that answers whatever a test told it to. Untold, every method is public."""

    descriptor = policy_pb2.DESCRIPTOR.services_by_name["ServiceAuthPolicy"]

    def __init__(self, journal: EchoJournal) -> None:
        self._journal = journal
        self._answers: dict[str, control_pb2.SetAuthPolicyRequest] = {}

    def set(self, answer: control_pb2.SetAuthPolicyRequest) -> None:
        """Answer like this from now on."""
        self._answers[answer.grpc_method] = answer

    async def GetAuthPolicy(  # noqa: N802  named by gRPC
        self, request: policy_pb2.AuthPolicyRequest, context: Context
    ) -> policy_pb2.AuthPolicyResponse:
        default = self._answers.get("*", control_pb2.SetAuthPolicyRequest())
        answer = self._answers.get(request.grpc_method, default)
        with self._journal.execution(f"policy:{request.grpc_method}", "gateway.ServiceAuthPolicy/GetAuthPolicy"):
            await asyncio.sleep(answer.sleep_ms / _MS_PER_S)
            if answer.failure_code:
                await context.abort(_CODES[answer.failure_code], "told to fail")
        return policy_pb2.AuthPolicyResponse(
            require_auth=answer.require_auth,
            required_roles=answer.required_roles,
            cache_ttl_seconds=answer.cache_ttl_seconds,
        )


class Control:
    """`tests.echo.ControlService`."""

    descriptor = CONTROL

    def __init__(self, journal: EchoJournal, policies: AuthPolicies, statuses: health.aio.HealthServicer) -> None:
        self._journal = journal
        self._policies = policies
        self._statuses = statuses

    async def GetJournal(  # noqa: N802  named by gRPC
        self, request: control_pb2.GetJournalRequest, context: Context
    ) -> control_pb2.Journal:
        return await self._journal.wait(request)

    async def ClearJournal(self, request: Empty, context: Context) -> Empty:  # noqa: N802  named by gRPC
        self._journal.clear()
        return Empty()

    async def SetAuthPolicy(  # noqa: N802  named by gRPC
        self, request: control_pb2.SetAuthPolicyRequest, context: Context
    ) -> Empty:
        self._policies.set(request)
        return Empty()

    async def SetHealth(  # noqa: N802  named by gRPC
        self, request: control_pb2.SetHealthRequest, context: Context
    ) -> Empty:
        status = health_pb2.HealthCheckResponse
        await self._statuses.set(request.service, status.SERVING if request.is_serving else status.NOT_SERVING)
        return Empty()

    async def Die(self, request: control_pb2.DieRequest, context: Context) -> Empty:  # noqa: N802  named by gRPC
        os._exit(request.exit_code)


if __name__ == "__main__":
    sys.exit(run(BACKEND, start))
