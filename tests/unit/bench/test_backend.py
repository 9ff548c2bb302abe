"""The backend's schema and answers are what the cases expect."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

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
