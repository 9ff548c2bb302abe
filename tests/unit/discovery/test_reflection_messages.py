"""Our reflection messages against Google's: the same bytes mean the same."""

from __future__ import annotations

from typing import Any

import pytest
from grpc_reflection.v1alpha import reflection_pb2

from api_gateway.discovery.reflection_messages import reflection_messages


@pytest.mark.parametrize(
    ("choice", "text"),
    [("list_services", "*"), ("file_containing_symbol", "p.Service"), ("file_by_filename", "a/b.proto")],
)
def test_requests_are_googles(choice: str, text: str) -> None:
    make_request, _ = reflection_messages()
    theirs = reflection_pb2.ServerReflectionRequest(**{choice: text})  # type: ignore[arg-type]  # all three are text
    assert make_request(**{choice: text}).to_binary() == theirs.SerializeToString()


def read(theirs: reflection_pb2.ServerReflectionResponse) -> Any:
    _, response = reflection_messages()
    read: Any = response.from_binary(theirs.SerializeToString())
    return read.message_response


def test_files_are_read() -> None:
    theirs = reflection_pb2.ServerReflectionResponse(valid_host="backend")
    theirs.original_request.file_by_filename = "a.proto"
    theirs.file_descriptor_response.file_descriptor_proto.extend([b"one", b"two"])
    answer = read(theirs)
    assert answer.field == "file_descriptor_response"
    assert list(answer.value.file_descriptor_proto) == [b"one", b"two"]


def test_services_are_read() -> None:
    theirs = reflection_pb2.ServerReflectionResponse()
    for name in ("p.A", "p.B"):
        theirs.list_services_response.service.add(name=name)
    answer = read(theirs)
    assert answer.field == "list_services_response"
    assert [service.name for service in answer.value.service] == ["p.A", "p.B"]


def test_errors_are_read() -> None:
    theirs = reflection_pb2.ServerReflectionResponse()
    theirs.error_response.error_code = 5
    theirs.error_response.error_message = "no such file"
    answer = read(theirs)
    assert (answer.field, answer.value.error_code, answer.value.error_message) == ("error_response", 5, "no such file")


def test_answer_without_content_is_none() -> None:
    assert read(reflection_pb2.ServerReflectionResponse(valid_host="backend")) is None
