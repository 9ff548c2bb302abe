"""Reading a backend's schema: what is asked, what is understood, and what is refused with which words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from api_gateway.discovery import reflection
from api_gateway.discovery.reflection import ReflectionError, read_schema
from api_gateway.model.errors import GatewayError, Source, unavailable
from api_gateway.model.status import Code
from tests.support.descriptors import compile_protos, descriptors_of
from tests.support.fake_reflection import FakeBackend

ECHO = "tests.echo.EchoService"


def echo_backend(**more: object) -> FakeBackend:
    return FakeBackend(descriptors_of("echo.proto"), **more)  # type: ignore[arg-type]  # each test says what it adds


async def refusal(backend: FakeBackend) -> str:
    """Return why a backend cannot be read; the call must not be left open."""
    with pytest.raises(ReflectionError) as caught:
        await read_schema(backend, deadline_s=5.0)
    assert all(stream.is_cancelled for stream in backend.streams)
    return str(caught.value)


async def test_a_backend_is_read_over_one_stream() -> None:
    """G66: behind a load balancer, all answers come from one build."""
    backend = echo_backend()
    schema = await read_schema(backend, deadline_s=5.0)
    assert list(schema.services) == [ECHO]
    assert "GetItem" in [method.name for method in schema.methods()]
    (stream,) = backend.streams
    assert stream.is_half_closed
    assert stream.is_cancelled
    assert backend.opened == [(b"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", 5.0, True)]


async def test_semantics_43_missing_imports_are_asked_for_by_name_and_once() -> None:
    """G66: those of imports too."""
    backend = echo_backend()
    await read_schema(backend, deadline_s=5.0)
    files = [question for question in backend.questions if question.startswith("file_by_filename")]
    assert files == [
        "file_by_filename google/api/annotations.proto",
        "file_by_filename google/api/httpbody.proto",
        "file_by_filename google/protobuf/empty.proto",
        "file_by_filename google/protobuf/field_mask.proto",
        "file_by_filename google/api/http.proto",
        "file_by_filename google/protobuf/any.proto",
        "file_by_filename google/protobuf/descriptor.proto",
    ]


async def test_what_came_before_is_not_built_again() -> None:
    """B6: a backend is asked after every lost connection; what it says then is mostly what it said before."""
    backend = echo_backend()
    schema = await read_schema(backend, deadline_s=5.0)
    assert await read_schema(backend, deadline_s=5.0, known=schema) is schema
    backend.offer(reversed(descriptors_of("echo.proto")))
    assert await read_schema(backend, deadline_s=5.0, known=schema) is schema


async def test_imports_that_came_along_are_not_looked_for_again() -> None:
    """B6: nothing is parsed either when the answers are complete and the same."""
    backend = echo_backend()

    def answer_with_imports(request: ServerReflectionRequest) -> bytes:
        answer = ServerReflectionResponse.FromString(backend.reflect(request))
        if request.WhichOneof("message_request") == "file_containing_symbol":
            answer.file_descriptor_response.file_descriptor_proto[:] = descriptors_of("echo.proto")
        return answer.SerializeToString()

    backend.answer = answer_with_imports
    schema = await read_schema(backend, deadline_s=5.0)
    assert await read_schema(backend, deadline_s=5.0, known=replace(schema)) is not schema
    assert backend.questions == ["list_services *", f"file_containing_symbol {ECHO}"] * 2


@pytest.mark.parametrize("changed", ["echo.proto", "google/api/http.proto"])
async def test_a_change_of_any_file_is_a_new_schema(changed: str) -> None:
    """Of an import as well, which is asked for by name: what is known decides nothing before that has come."""
    backend = echo_backend()
    schema = await read_schema(backend, deadline_s=5.0)
    files = [FileDescriptorProto.FromString(data) for data in descriptors_of("echo.proto")]
    for file in files:
        if file.name == changed:
            file.message_type.add(name="Added")
    backend.offer([file.SerializeToString() for file in files])
    again = await read_schema(backend, deadline_s=5.0, known=schema)
    assert again.fingerprint != schema.fingerprint
    assert await read_schema(backend, deadline_s=5.0, known=again) is again


async def test_another_choice_of_services_is_a_new_schema() -> None:
    backend = echo_backend()
    schema = await read_schema(backend, deadline_s=5.0)
    more = echo_backend(services=[ECHO, "not.Described"])
    again = await read_schema(more, deadline_s=5.0, known=schema)
    assert (schema.undescribed, again.undescribed) == ((), ("not.Described",))


async def test_semantics_7_nothing_is_asked_about_hidden_services() -> None:
    backend = echo_backend(services=[ECHO, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"])
    schema = await read_schema(backend, deadline_s=5.0)
    assert list(schema.services) == [ECHO]
    assert [question for question in backend.questions if "Health" in question or "Reflection" in question] == []


async def test_semantics_43_v1alpha_is_asked_where_v1_is_unknown() -> None:
    """G66."""
    backend = echo_backend(versions=["grpc.reflection.v1alpha"])
    schema = await read_schema(backend, deadline_s=5.0, waits_for_ready=False)
    assert list(schema.services) == [ECHO]
    assert [(path.split(b".")[2], waits) for path, _, waits in backend.opened] == [(b"v1", False), (b"v1alpha", False)]
    assert backend.streams[0].is_cancelled


async def test_semantics_43_the_version_is_decided_anew_each_time() -> None:
    """G66: after a reconnect another build may answer; nothing is remembered, neither way."""
    backend = echo_backend()
    versions: tuple[list[str], ...] = (["grpc.reflection.v1alpha"], ["grpc.reflection.v1"], ["grpc.reflection.v1alpha"])
    for backend.versions in versions:
        await read_schema(backend, deadline_s=5.0)
    assert [path.split(b".")[2] for path, _, _ in backend.opened] == [b"v1", b"v1alpha", b"v1", b"v1", b"v1alpha"]


async def test_a_backend_without_reflection_says_what_to_do() -> None:
    assert await refusal(echo_backend(versions=[])) == (
        "it does not offer server reflection (neither v1 nor v1alpha); switch reflection on in the backend"
    )


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        pytest.param(
            GatewayError(Code.DEADLINE_EXCEEDED, "deadline exceeded"),
            "it did not answer the reflection call in time",
            id="deadline",
        ),
        pytest.param(
            unavailable("the service cannot be reached", "UPSTREAM_UNAVAILABLE", log_reason="connection refused"),
            "the service cannot be reached (connection refused)",
            id="unreachable",
        ),
        pytest.param(GatewayError(Code.INTERNAL, "out of order", source=Source.UPSTREAM), "out of order", id="its own"),
    ],
)
async def test_failures_of_the_call_are_explained(failure: GatewayError, text: str) -> None:
    backend = echo_backend()
    backend.failure = failure
    assert await refusal(backend) == text
    assert len(backend.opened) == 1, "only UNIMPLEMENTED means another version"


async def test_symbol_without_a_file_is_named() -> None:
    backend = echo_backend(services=["p.Missing"])
    assert await refusal(backend) == "it has no descriptor for service p.Missing: p.Missing not found"


async def test_a_service_without_a_descriptor_takes_no_other_along() -> None:
    """G66: an error_response does not end the stream; what else is listed is asked for, over the same one."""
    backend = echo_backend(services=["a.Missing", ECHO, "z.Missing"])
    schema = await read_schema(backend, deadline_s=5.0)
    assert (list(schema.services), schema.undescribed) == ([ECHO], ("a.Missing", "z.Missing"))
    assert len(backend.streams) == 1
    assert "file_containing_symbol z.Missing" in backend.questions


async def test_an_error_that_does_not_say_not_found_refuses_the_reading() -> None:
    """G66: of a backend in trouble nothing is forgotten: the last good schema stays."""
    backend = echo_backend(services=["a.Missing", ECHO])

    def troubled(request: ServerReflectionRequest) -> bytes:
        if request.file_containing_symbol != "a.Missing":
            return backend.reflect(request)
        return ServerReflectionResponse(
            error_response={"error_code": int(Code.INTERNAL), "error_message": "out of order"}
        ).SerializeToString()

    backend.answer = troubled
    assert await refusal(backend) == "it has no descriptor for service a.Missing: out of order"


async def test_import_without_a_file_is_named() -> None:
    text = 'syntax = "proto3"; import "b.proto"; service S { rpc Do(M) returns (M); }'
    files = compile_protos({"a.proto": text, "b.proto": 'syntax = "proto3"; message M {}'})
    backend = FakeBackend(files[-1:])
    assert await refusal(backend) == "it has no descriptor for file b.proto: b.proto not found"


def answers(response: ServerReflectionResponse | None) -> FakeBackend:
    backend = echo_backend()
    backend.answer = lambda request: response.SerializeToString() if response is not None else None
    return backend


@pytest.mark.parametrize(
    ("response", "text"),
    [
        pytest.param(None, "it ended the reflection call before the answer", id="end"),
        pytest.param(ServerReflectionResponse(), "its reflection answer is empty", id="empty"),
        pytest.param(
            ServerReflectionResponse(error_response={"error_code": 7, "error_message": "not for you"}),
            "it refused to list its services: not for you",
            id="error",
        ),
        pytest.param(
            ServerReflectionResponse(error_response={"error_code": 7}),
            "it refused to list its services: error 7",
            id="error without a text",
        ),
        pytest.param(
            ServerReflectionResponse(file_descriptor_response={}),
            "it refused to list its services: it answered file_descriptor_response",
            id="another answer",
        ),
    ],
)
async def test_odd_answers_are_explained(response: ServerReflectionResponse | None, text: str) -> None:
    assert await refusal(answers(response)) == text


async def test_answers_that_are_no_messages_are_refused() -> None:
    backend = echo_backend()
    backend.answer = lambda request: b"\xff\xff"
    assert await refusal(backend)


async def test_semantics_43_descriptors_that_do_not_fit_are_refused() -> None:
    """G66: what a hostile backend tells is bounded."""
    backend = echo_backend()

    def broken(request: ServerReflectionRequest) -> bytes:
        if request.WhichOneof("message_request") == "list_services":
            return backend.reflect(request)
        response = ServerReflectionResponse()
        response.file_descriptor_response.file_descriptor_proto.append(b"\x0a\x7f")
        return response.SerializeToString()

    backend.answer = broken
    assert (await refusal(backend)).startswith("not a file descriptor")


async def test_semantics_43_number_of_services_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """G66: what a hostile backend tells is bounded."""
    monkeypatch.setattr(reflection, "MAX_SERVICES", 2)
    assert await refusal(echo_backend(services=["p.A", "p.B", "p.C"])) == "it lists 3 services, more than 2"


async def test_semantics_43_size_is_bounded_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """G66: what a hostile backend tells is bounded."""
    monkeypatch.setattr(reflection, "MAX_SCHEMA_BYTES", 100)
    backend = echo_backend()
    assert (await refusal(backend)).startswith("its descriptors are more than 100 bytes")
    assert len(backend.questions) == 2, "it is not asked for more"
