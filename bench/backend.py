"""A fast gRPC backend with server reflection: `python -m bench.backend DESCRIPTOR_SET`.

It listens on a loopback port of the kernel's choice, prints the port as its first line, and ends at SIGTERM or at the
end of its standard input. Its own CPU time is not measured, but it shares the machine, so it decodes nothing and builds
nothing per call.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import ngh2
import uvloop

from bench.reflection import REFLECTION_PATHS, Reflection
from bench.schema import canned_answers, load_descriptors

TRACES_ARRIVED: Final = "traces arrived"
"""The line printed when the first spans come."""
_TRACE_EXPORT: Final = b"/opentelemetry.proto.collector.trace.v1.TraceService/Export"

Respond = Callable[[bytes], bytes]
"""From one request message to one response message."""

_PREFIX: Final = struct.Struct(">BI")
_RESPONSE_HEADERS: Final = ((b":status", b"200"), (b"content-type", b"application/grpc"))
_TRAILERS_OK: Final = ((b"grpc-status", b"0"),)
_UNIMPLEMENTED: Final = (*_RESPONSE_HEADERS, (b"grpc-status", b"12"), (b"grpc-message", b"no such method"))
# Each load generator leaves its last requests unanswered, so every run ends with a burst of resets.
_CONFIGURATION: Final = ngh2.Configuration(stream_reset_rate_limit=(1_000_000, 1_000_000))
_SETTINGS: Final = {ngh2.Setting.MAX_CONCURRENT_STREAMS: 1_000, ngh2.Setting.INITIAL_WINDOW_SIZE: 1 << 20}


@dataclass(slots=True)
class _Call:
    respond: Respond
    has_answered: bool = False
    received: bytearray = field(default_factory=bytearray)


class BackendConnection(asyncio.Protocol):
    """One HTTP/2 connection. A call is answered message by message, and closed when its client has closed its side."""

    def __init__(self, methods: dict[bytes, Respond]) -> None:
        self._methods = methods
        self._calls: dict[int, _Call] = {}
        self._http2 = ngh2.Connection(ngh2.Role.SERVER, _CONFIGURATION)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._http2.initiate_connection(_SETTINGS)
        self._transport.write(self._http2.data_to_send())

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._http2.receive_data(data)
        for event in self._http2.events():
            # A stream that the same read also reset is gone already when its first events are looked at.
            with suppress(ngh2.StreamUnavailableError):
                self._on_event(event)
        outgoing = self._http2.data_to_send()
        if outgoing:
            self._transport.write(outgoing)

    def _on_event(self, event: ngh2.Event) -> None:
        if isinstance(event, ngh2.DataReceived):
            self._on_data(event)
        elif isinstance(event, ngh2.RequestReceived):
            self._on_request(event)
        elif isinstance(event, ngh2.StreamClosed):
            self._calls.pop(event.stream_id, None)
        elif isinstance(event, ngh2.ConnectionClosed) and self._transport is not None:
            self._transport.close()

    def _on_request(self, event: ngh2.RequestReceived) -> None:
        path = next(value for name, value in event.headers if name == b":path")
        respond = self._methods.get(path)
        if respond is None:
            self._http2.send_response(event.stream_id, _UNIMPLEMENTED, end_stream=True)
        elif event.end_stream:
            self._http2.reset_stream(event.stream_id)
        else:
            self._calls[event.stream_id] = _Call(respond)

    def _on_data(self, event: ngh2.DataReceived) -> None:
        call = self._calls.get(event.stream_id)
        if call is None:
            return
        call.received += event.data
        received = call.received
        while len(received) >= _PREFIX.size:
            end = _PREFIX.size + _PREFIX.unpack_from(received)[1]
            if len(received) < end:
                break
            self._answer(event.stream_id, call, bytes(received[_PREFIX.size : end]))
            del received[:end]
        if event.end_stream:
            self._http2.send_trailers(event.stream_id, _TRAILERS_OK)

    def _answer(self, stream_id: int, call: _Call, message: bytes) -> None:
        if not call.has_answered:
            call.has_answered = True
            self._http2.send_response(stream_id, _RESPONSE_HEADERS)
        answer = call.respond(message)
        self._http2.send_data(stream_id, _PREFIX.pack(0, len(answer)) + answer)


def build_methods(descriptor_set: Path) -> dict[bytes, Respond]:
    """Return every method of the descriptor set, reflection and a trace collector, by path."""
    descriptors = load_descriptors(descriptor_set)
    methods: dict[bytes, Respond] = {answer.path: _echo_with(answer.tail) for answer in canned_answers(descriptors)}
    methods[_TRACE_EXPORT] = TraceCollector().export
    reflection = Reflection(descriptors)
    methods.update(dict.fromkeys(REFLECTION_PATHS, reflection.respond))
    return methods


class TraceCollector:
    """Takes all spans, and says so at the first ones."""

    def __init__(self) -> None:
        self._has_spans = False

    def export(self, _spans: bytes) -> bytes:
        """Answer one `ExportTraceServiceRequest`."""
        if not self._has_spans:
            self._has_spans = True
            print(TRACES_ARRIVED, flush=True)
        return b""


def _echo_with(tail: bytes) -> Respond:
    return lambda message: message + tail


async def serve(descriptor_set: Path) -> None:
    """Serve until SIGTERM or until standard input ends."""
    methods = build_methods(descriptor_set)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_reader(sys.stdin.fileno(), stopped.set)
    server = await loop.create_server(lambda: BackendConnection(methods), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    gc.freeze()
    gc.disable()
    await stopped.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
