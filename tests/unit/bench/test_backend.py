"""The backend's schema and answers are what the cases expect."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import ngh2
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from bench.backend import BackendConnection
from bench.reflection import Reflection
from bench.schema import build_descriptors, canned_answers, load_descriptors, service_names


@pytest.mark.parametrize(("routes", "services"), [(3, 1), (10, 2), (103, 2), (104, 3)])
def test_schema_has_exactly_the_routes_asked_for(tmp_path: Path, routes: int, services: int) -> None:
    descriptors = load_descriptors(build_descriptors(routes, tmp_path))
    assert len(canned_answers(descriptors)) == routes
    assert len(service_names(descriptors)) == services


def test_fewer_routes_than_the_service_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 3 routes, got 2"):
        build_descriptors(2, tmp_path)


def test_reflection_sends_a_file_with_its_imports_and_refuses_unknown_names(tmp_path: Path) -> None:
    reflection = Reflection(load_descriptors(build_descriptors(10, tmp_path)))

    def ask(request: ServerReflectionRequest) -> ServerReflectionResponse:
        return ServerReflectionResponse.FromString(reflection.respond(request.SerializeToString()))

    listed = ask(ServerReflectionRequest(list_services="*")).list_services_response
    assert [service.name for service in listed.service] == ["bench.Users", "bench.Shelf0"]
    found = ask(ServerReflectionRequest(file_containing_symbol="bench.Shelf0")).file_descriptor_response
    files = [FileDescriptorProto.FromString(data) for data in found.file_descriptor_proto]
    assert files[0].name == "shelf0.proto"
    assert {name for file in files for name in file.dependency} <= {file.name for file in files}
    assert ask(ServerReflectionRequest(file_containing_symbol="bench.Nothing")).error_response.error_code == 5


class FakeTransport(asyncio.Transport):
    """Collects what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.written += bytes(data)


def call(client: ngh2.Connection, message: bytes, path: bytes = b"/bench.Users/GetUser") -> int:
    head = ((b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"bench"), (b":path", path))
    stream_id = client.send_request(head)
    client.send_data(stream_id, len(message).to_bytes(5, "big") + message, end_stream=True)
    return stream_id


def exchange(client: ngh2.Connection, backend: BackendConnection, transport: FakeTransport) -> list[ngh2.Event]:
    backend.data_received(client.data_to_send())
    client.receive_data(transport.written)
    transport.written = b""
    return client.events()


@pytest.fixture
def client_and_backend() -> tuple[ngh2.Connection, BackendConnection, FakeTransport]:
    transport, client = FakeTransport(), ngh2.Connection(ngh2.Role.CLIENT)
    backend = BackendConnection({b"/bench.Users/GetUser": lambda message: message + b" and tail"})
    backend.connection_made(transport)
    client.initiate_connection()
    return client, backend, transport


def test_answer_is_the_request_and_the_tail(
    client_and_backend: tuple[ngh2.Connection, BackendConnection, FakeTransport],
) -> None:
    call(client_and_backend[0], b"hello")
    events = exchange(*client_and_backend)
    assert [event.data for event in events if isinstance(event, ngh2.DataReceived)] == [b"\0\0\0\0\x0ehello and tail"]
    assert [event.headers for event in events if isinstance(event, ngh2.TrailersReceived)] == [
        ((b"grpc-status", b"0"),)
    ]


def test_unknown_method_is_unimplemented(
    client_and_backend: tuple[ngh2.Connection, BackendConnection, FakeTransport],
) -> None:
    call(client_and_backend[0], b"", b"/bench.Users/Nothing")
    heads = [event for event in exchange(*client_and_backend) if isinstance(event, ngh2.ResponseReceived)]
    assert (b"grpc-status", b"12") in heads[0].headers


def test_call_reset_in_the_same_read_does_not_disturb_the_others(
    client_and_backend: tuple[ngh2.Connection, BackendConnection, FakeTransport],
) -> None:
    client, backend, transport = client_and_backend
    gone = call(client, b"gone")
    backend_input = client.data_to_send()
    client.reset_stream(gone)
    stays = call(client, b"stays")
    backend.data_received(backend_input + client.data_to_send())
    client.receive_data(transport.written)
    answered = [event.stream_id for event in client.events() if isinstance(event, ngh2.DataReceived)]
    assert answered == [stays]
