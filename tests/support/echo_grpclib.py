"""The echo backend on grpclib: `python -m tests.support.echo_grpclib`. Reflection v1 and v1alpha.

A second implementation of gRPC in pure Python on h2: its framing, header order and endings differ from grpcio's.
"""

from __future__ import annotations

import os
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from grpclib.const import Cardinality, Handler, Status
from grpclib.encoding.base import StatusDetailsCodecBase
from grpclib.health.service import Health
from grpclib.reflection.service import ServerReflection
from grpclib.server import Server, Stream

from tests.support.echo_behaviour import Arrival, EchoBehaviour, Ending, Metadata, ServiceBehaviour
from tests.support.echo_journal import EchoJournal
from tests.support.echo_process import EchoOptions, TlsFiles, run
from tests.support.echo_schema import CONTROL, echo_schema, message_class
from tests.support.gen import echo_control_pb2 as control_pb2
from tests.support.interop_behaviour import SERVICE as INTEROP
from tests.support.interop_behaviour import InteropBehaviour

BACKEND = "grpclib"
CallStream = Stream[Any, Any]
_CARDINALITIES = {(kind.client_streaming, kind.server_streaming): kind for kind in Cardinality}
Answer = Callable[[CallStream], Awaitable[None]]


class GrpclibServer:
    """A started server."""

    def __init__(self, server: Server, port: int) -> None:
        self._server = server
        self.port = port

    async def stop(self) -> None:
        """See EchoServer."""
        self._server.close()
        await self._server.wait_closed()


class RawDetails(StatusDetailsCodecBase):
    """Sends status details as the bytes they are."""

    def encode(self, status: Status, message: str | None, details: Any) -> bytes:
        return bytes(details)

    def decode(self, status: Status, message: str | None, data: bytes) -> bytes:
        return data


class Servable:
    """A service as grpclib wants it: handlers by path."""

    def __init__(self, service: ServiceDescriptor, answer_of: Callable[[MethodDescriptor], Answer]) -> None:
        self._handlers = {
            f"/{service.full_name}/{method.name}": Handler(
                answer_of(method),
                _CARDINALITIES[method.client_streaming, method.server_streaming],
                message_class(method.input_type),
                message_class(method.output_type),
            )
            for method in service.methods
        }

    def __mapping__(self) -> dict[str, Handler]:
        return self._handlers


_CARDINALITIES = {(kind.client_streaming, kind.server_streaming): kind for kind in Cardinality}


async def start(options: EchoOptions) -> GrpclibServer:
    """Serve as `options` say. Raises OSError when the port is taken."""
    journal = EchoJournal(options.journal)
    behaviour = EchoBehaviour(BACKEND, journal)
    schema = echo_schema(options.extra_methods)
    echo = Servable(schema.service, lambda method: _answer(method, behaviour))
    interop = Servable(INTEROP, lambda method: _answer(method, InteropBehaviour()))
    control = Servable(CONTROL, lambda method: getattr(Control(journal), method.name, _unimplemented))
    server = Server(
        [*ServerReflection.extend([echo], pool=schema.pool), interop, control, Health()],
        status_details_codec=RawDetails(),
    )
    listener = socket.create_server((options.host, options.port))
    await server.start(sock=listener, ssl=_ssl_context(options.tls) if options.tls else None)
    return GrpclibServer(server, listener.getsockname()[1])


def _ssl_context(tls: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    context.set_alpn_protocols(["h2"])
    if tls.client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(tls.client_ca)
    return context


class GrpclibWire:
    """Answers on a grpclib stream."""

    def __init__(self, stream: CallStream) -> None:
        self._stream = stream

    async def send_initial_metadata(self, metadata: Metadata) -> None:
        """See Wire."""
        await self._stream.send_initial_metadata(metadata=metadata)

    async def send(self, reply: Message) -> None:
        """See Wire."""
        await self._stream.send_message(reply)

    def compress_next(self, is_compressed: bool) -> None:
        """See Wire: grpclib compresses nothing."""

    async def finish(self, ending: Ending) -> None:
        """See Wire."""
        await self._stream.send_trailing_metadata(
            status=Status(ending.code),
            status_message=ending.message or None,
            status_details=ending.status_details or None,
            metadata=ending.metadata,
        )


def _answer(method: MethodDescriptor, behaviour: ServiceBehaviour) -> Answer:
    full_name = f"{method.containing_service.full_name}/{method.name}"

    async def answer(stream: CallStream) -> None:
        arrival = Arrival(
            method=full_name,
            metadata=tuple((stream.metadata or {}).items()),
            timeout_s=stream.deadline.time_remaining() if stream.deadline else None,
        )
        await behaviour.execute(arrival, aiter(stream), GrpclibWire(stream))

    return answer


class Control:
    """`tests.echo.ControlService`, as far as this backend goes."""

    def __init__(self, journal: EchoJournal) -> None:
        self._journal = journal

    async def GetJournal(self, stream: CallStream) -> None:  # noqa: N802  named by gRPC
        request = await stream.recv_message() or control_pb2.GetJournalRequest()
        await stream.send_message(await self._journal.wait(request))

    async def ClearJournal(self, stream: CallStream) -> None:  # noqa: N802  named by gRPC
        await stream.recv_message()
        self._journal.clear()
        await stream.send_message(Empty())

    async def Die(self, stream: CallStream) -> None:  # noqa: N802  named by gRPC
        request = await stream.recv_message() or control_pb2.DieRequest()
        os._exit(request.exit_code)


async def _unimplemented(stream: CallStream) -> None:
    await stream.send_trailing_metadata(status=Status.UNIMPLEMENTED)


if __name__ == "__main__":
    sys.exit(run(BACKEND, start))
