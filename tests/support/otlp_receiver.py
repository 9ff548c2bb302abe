"""A real OTLP receiver: the service of the `opentelemetry-proto` package on grpcio, in threads of the test's own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as _messages
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as _service

from tests.support.certificates import CertificateFiles

trace_service_pb2: Any = _messages
trace_service_pb2_grpc: Any = _service
"""Written by protoc, with types that do not hold for what grpcio takes."""

TIMEOUT_S = 30.0
SERVER, CLIENT = 2, 3
ERROR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedSpan:
    """One span with what it was sent under."""

    span: Any
    """`opentelemetry.proto.trace.v1.Span`."""
    resource: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.span.name)

    @property
    def kind(self) -> int:
        """Its kind."""
        return int(self.span.kind)

    @property
    def trace_id(self) -> str:
        """In hex."""
        return str(self.span.trace_id.hex())

    @property
    def span_id(self) -> str:
        """In hex."""
        return str(self.span.span_id.hex())

    @property
    def parent_id(self) -> str:
        """In hex; empty at the root."""
        return str(self.span.parent_span_id.hex())

    @property
    def attributes(self) -> dict[str, Any]:
        """All attributes; fails the test when one is there twice."""
        return values(self.span.attributes)

    @property
    def events(self) -> list[str]:
        """Names of its events."""
        return [event.name for event in self.span.events]

    @property
    def is_error(self) -> bool:
        """Whether its status says so."""
        return int(self.span.status.code) == ERROR


class Receiver:
    """Keeps what it is sent. `answer` may be replaced: it gets context and request and returns the response."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        self.span_count = 0
        self.metadata: list[dict[str, Any]] = []
        self.calls = 0
        """Exports asked for, refused ones included."""
        self.answer: Callable[[Any, Any], Any] = lambda request, context: self.take(request)
        self.port = 0
        self._changed = threading.Condition()

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name of the method
        """Answer one export."""
        with self._changed:
            self.calls += 1
            self.metadata.append(dict(context.invocation_metadata()))
            self._changed.notify_all()
        return self.answer(request, context)

    def take(self, request: Any) -> Any:
        """Keep a request's spans."""
        with self._changed:
            self.requests.append(request)
            self.span_count += sum(len(scope.spans) for group in request.resource_spans for scope in group.scope_spans)
            self._changed.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    def spans(self) -> list[ReceivedSpan]:
        """Return all spans so far."""
        with self._changed:
            requests = list(self.requests)
        return [
            ReceivedSpan(span=span, resource=values(group.resource.attributes))
            for request in requests
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]

    def wait_for(self, is_it: Callable[[list[ReceivedSpan]], bool], what: str) -> list[ReceivedSpan]:
        """Wait until the spans so far are as wanted; fail the test when they never are."""
        self._wait(lambda: is_it(self.spans()), what)
        return self.spans()

    def wait_for_count(self, count: int) -> list[ReceivedSpan]:
        """Wait for so many spans, whatever they are."""
        self._wait(lambda: self.span_count >= count, f"{count} spans")
        return self.spans()

    def wait_for_calls(self, count: int) -> None:
        """Wait for so many exports."""
        self._wait(lambda: self.calls >= count, f"{count} exports")

    def _wait(self, holds: Callable[[], bool], what: str) -> None:
        deadline_s = time.monotonic() + TIMEOUT_S
        with self._changed:
            while not holds():
                assert self._changed.wait(deadline_s - time.monotonic()), f"not within {TIMEOUT_S} s: {what}"

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def start_receiver(
    *, port: int = 0, tls: CertificateFiles | None = None, clients_ca: str | None = None
) -> Iterator[Receiver]:
    """Serve on loopback; with `clients_ca` only for clients that show a certificate of that authority."""
    receiver = Receiver()
    server = grpc.server(ThreadPoolExecutor(4))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(receiver, server)
    if tls is None:
        receiver.port = server.add_insecure_port(f"127.0.0.1:{port}")
    else:
        pair = (Path(tls.key).read_bytes(), Path(tls.certificate).read_bytes())
        trusted = Path(clients_ca).read_bytes() if clients_ca is not None else None
        credentials = grpc.ssl_server_credentials([pair], trusted, require_client_auth=trusted is not None)
        receiver.port = server.add_secure_port(f"127.0.0.1:{port}", credentials)
    server.start()
    try:
        yield receiver
    finally:
        server.stop(None).wait()


def values(attributes: Any) -> dict[str, Any]:
    """Return attributes as a dictionary; fails the test when a key is there twice."""
    found = {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
    assert len(found) == len(attributes), attributes
    return found
