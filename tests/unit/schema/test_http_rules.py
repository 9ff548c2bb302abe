"""`google.api.http`: what it says of a method, whoever defined it."""

from __future__ import annotations

import pytest
from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto, MethodOptions

from api_gateway.schema import MAX_ADDITIONAL_BINDINGS, HttpRule, Method, SchemaError, build_schema
from tests.support.descriptors import method_of, schema_from_text


def rules_of(option: str) -> tuple[HttpRule, ...]:
    built = schema_from_text(
        f"""
        syntax = "proto3";
        package p;
        import "google/api/annotations.proto";
        message M {{ string id = 1; M m = 2; }}
        service S {{ rpc Do(M) returns (M) {{ {option} }} }}
        """
    )
    return method_of(built, "p.S/Do").rules


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param('get: "/a"', [("GET", "/a", "", "")], id="get"),
        pytest.param('put: "/a" body: "*"', [("PUT", "/a", "*", "")], id="put"),
        pytest.param('post: "/a" body: "m"', [("POST", "/a", "m", "")], id="post"),
        pytest.param('delete: "/a"', [("DELETE", "/a", "", "")], id="delete"),
        pytest.param('patch: "/a" response_body: "m"', [("PATCH", "/a", "", "m")], id="patch"),
        pytest.param('custom { kind: "HEAD" path: "/a" }', [("HEAD", "/a", "", "")], id="custom"),
        pytest.param('custom { kind: "*" path: "/a" }', [("*", "/a", "", "")], id="custom any"),
        pytest.param('custom { path: "/a" }', [], id="custom without a kind"),
        pytest.param('custom { kind: "X" }', [], id="custom without a path"),
        pytest.param('get: ""', [], id="empty path"),
        pytest.param('body: "*"', [], id="no pattern"),
        pytest.param(
            'get: "/a" additional_bindings { post: "/b" body: "*" } additional_bindings { get: "/c" }',
            [("GET", "/a", "", ""), ("POST", "/b", "*", ""), ("GET", "/c", "", "")],
            id="additional bindings in order",
        ),
        pytest.param('additional_bindings { get: "/b" }', [("GET", "/b", "", "")], id="additional binding only"),
        pytest.param(
            'get: "/a" additional_bindings { get: "/b" additional_bindings { get: "/c" } }',
            [("GET", "/a", "", ""), ("GET", "/b", "", "")],
            id="one level only",
        ),
    ],
)
def test_http_rules(rule: str, expected: list[tuple[str, str, str, str]]) -> None:
    found = rules_of(f"option (google.api.http) = {{ {rule} }};")
    assert [(entry.verb, entry.template, entry.body, entry.response_body) for entry in found] == expected


def test_method_without_annotation_has_no_rules() -> None:
    assert rules_of("option deprecated = true;") == ()


def file_with_options(options: MethodOptions) -> bytes:
    file = FileDescriptorProto(name="x.proto", package="p", syntax="proto3")
    file.message_type.add(name="M")
    method = file.service.add(name="S").method.add(name="Do", input_type=".p.M", output_type=".p.M")
    method.options.CopyFrom(options)
    return file.SerializeToString()


def with_options(options: MethodOptions) -> Method:
    """Build a method with options whose definition, `google.api.http`, is no part of the schema."""
    return method_of(build_schema([file_with_options(options)], ["p.S"]), "p.S/Do")


def test_rules_are_read_without_google_s_files() -> None:
    options = MethodOptions()
    options.Extensions[annotations_pb2.http].get = "/a/{id}"
    assert with_options(options).rules == (HttpRule(verb="GET", template="/a/{id}"),)


def test_number_of_additional_bindings_is_bounded() -> None:
    options = MethodOptions()
    rule = options.Extensions[annotations_pb2.http]
    rule.get = "/a"
    rule.additional_bindings.extend(
        http_pb2.HttpRule(get=f"/{number}") for number in range(MAX_ADDITIONAL_BINDINGS + 9)
    )
    assert len(with_options(options).rules) == 1 + MAX_ADDITIONAL_BINDINGS


def test_broken_annotation_is_a_schema_error() -> None:
    options = MethodOptions()
    options.Extensions[annotations_pb2.http].get = "/a"
    # The length of the path is made longer than what is left.
    data = file_with_options(options).replace(b"\x12\x02/a", b"\x12\x09/a")
    with pytest.raises(SchemaError, match="do not fit together"):
        build_schema([data], ["p.S"])
