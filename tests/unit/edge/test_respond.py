"""Errors as responses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from api_gateway.edge.respond import ErrorAnswers, ErrorFormat, error_response
from api_gateway.model.errors import GatewayError, Source, Wording, bad_request, unavailable
from api_gateway.model.status import HTTP_STATUS, Code


def shown(error: GatewayError) -> dict[str, Any]:
    response = error_response(error)
    (body,) = json.loads(response.body).items()
    assert body[0] == "error"
    assert response.status == body[1]["code"] == error.http
    inside: dict[str, Any] = body[1]
    return inside


def backend_error(code: Code, *details: Any, message: str = "from the backend") -> GatewayError:
    status = status_pb2.Status(code=code, message=message)
    for detail in details:
        if isinstance(detail, AnyMessage):
            status.details.append(detail)
        else:
            status.details.add().Pack(detail)
    return GatewayError(code, message, source=Source.UPSTREAM, details=status.SerializeToString())


def test_error_has_one_shape() -> None:
    """semantics 20: AIP-193, with the gateway's reason."""
    assert shown(bad_request("no such field", "UNKNOWN_FIELD", field="nme")) == {
        "code": 400,
        "status": "INVALID_ARGUMENT",
        "message": "no such field",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "UNKNOWN_FIELD",
                "domain": "api-gateway",
                "metadata": {"field": "nme"},
            }
        ],
    }


def test_errors_of_one_wording_are_written_once() -> None:
    wording = Wording()
    first, second = (unavailable("busy", "BUSY", retry_after_s=7) for _ in range(2))
    expected = error_response(first)
    for error in (first, second):
        error.wording = wording
        response = error_response(error, headers=[(b"x-request-id", b"1")])
        assert response.body is wording.body
        assert response.body == expected.body
        assert response.headers == [(b"x-request-id", b"1")]
        assert response.common is not None
        assert response.common is wording.headers
        assert list(response.common.fields) == expected.headers


@pytest.mark.parametrize("code", list(HTTP_STATUS), ids=lambda code: Code(code).name)
def test_each_code_has_its_status_and_name(code: int) -> None:
    """semantics 19 and 20."""
    error = shown(GatewayError(code, "why"))
    assert (error["code"], error["status"]) == (HTTP_STATUS[code], Code(code).name)


def test_code_that_grpc_does_not_define_is_500() -> None:
    """semantics 19."""
    error = shown(GatewayError(77, "why"))
    assert (error["code"], error["status"]) == (500, "UNKNOWN")


def test_status_of_its_own_wins() -> None:
    error = GatewayError(Code.UNIMPLEMENTED, "no such method", http=405, headers=((b"allow", b"GET"),))
    assert shown(error)["code"] == 405
    assert (b"allow", b"GET") in error_response(error).headers


def test_headers_of_the_exchange_come_along() -> None:
    """semantics 22 and 29: Retry-After of the error, request id and limits of the exchange."""
    error = unavailable("later", "CIRCUIT_OPEN", retry_after_s=7)
    response = error_response(error, headers=[(b"x-request-id", b"abc")])
    assert response.headers == [
        (b"content-type", b"application/json"),
        (b"x-request-id", b"abc"),
        (b"retry-after", b"7"),
    ]


@pytest.mark.parametrize("close", [True, False])
def test_error_decides_whether_the_connection_ends(close: bool) -> None:
    assert error_response(bad_request("why", close=close)).close is close


def test_error_without_reason_has_no_details() -> None:
    assert "details" not in shown(GatewayError(Code.NOT_FOUND, "gone", source=Source.UPSTREAM))


def test_details_of_the_backend_are_decoded() -> None:
    """semantics 20: the well-known types are built in."""
    violation = error_details_pb2.BadRequest.FieldViolation(field="email", description="is no address")
    error = shown(backend_error(Code.INVALID_ARGUMENT, error_details_pb2.BadRequest(field_violations=[violation])))
    assert error["message"] == "from the backend"
    assert error["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "email", "description": "is no address"}],
        }
    ]


def test_unknown_detail_is_kept() -> None:
    """semantics 20: as base64, never dropped and never a 500."""
    unknown = AnyMessage(type_url="type.googleapis.com/acme.Secret", value=b"\x08\x01")
    error = shown(backend_error(Code.ABORTED, unknown))
    assert error["code"] == 409
    assert error["details"] == [{"@type": "type.googleapis.com/acme.Secret", "value": "CAE="}]


@pytest.mark.parametrize("details", [b"\xff\xff\xff", b"\x0a\x7f", b"\x1a\x02\x0a\x01"], ids=["tag", "length", "any"])
def test_details_that_cannot_be_decoded_lose_no_error(details: bytes) -> None:
    """G25: the call still ends with its code and message."""
    error = shown(GatewayError(Code.NOT_FOUND, "gone", source=Source.UPSTREAM, details=details))
    assert (error["code"], error["message"]) == (404, "gone")


@pytest.mark.parametrize(
    "message",
    ['quo"te', "line\nbreak", "\x1b[31m", "naïve ☃", "\ud800", "</script>"],
    ids=["quote", "newline", "escape", "unicode", "lone_surrogate", "markup"],
)
def test_any_message_is_valid_json(message: str) -> None:
    """H19: and a client's answer is never a 500 for it."""
    response = error_response(GatewayError(Code.NOT_FOUND, message, source=Source.UPSTREAM))
    assert json.loads(response.body)["error"]["status"] == "NOT_FOUND"


STATUS_TYPE = "type.googleapis.com/acme.Secret"
FORMATS: list[ErrorFormat] = ["aip193", "status", "problem"]


def test_status_format_is_the_json_of_google_rpc_status() -> None:
    """semantics 20: ProtoJSON, so that any protobuf library reads it back."""
    violation = error_details_pb2.BadRequest.FieldViolation(field="email", description="is no address")
    error = backend_error(Code.NOT_FOUND, error_details_pb2.BadRequest(field_violations=[violation]), message="gone")
    response = ErrorAnswers("status")(error)
    assert (response.status, response.headers[0]) == (404, (b"content-type", b"application/json"))
    assert json_format.Parse(response.body, status_pb2.Status()).SerializeToString() == error.details
    assert json.loads(response.body)["code"] == 5


def test_problem_format_is_rfc_9457() -> None:
    """semantics 20: `status` is the HTTP status, `title` its phrase, as the type `about:blank` wants."""
    response = ErrorAnswers("problem")(bad_request("no such field", "UNKNOWN_FIELD", field="nme"))
    assert (response.status, response.headers[0]) == (400, (b"content-type", b"application/problem+json"))
    assert json.loads(response.body) == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "no such field",
        "code": "INVALID_ARGUMENT",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "UNKNOWN_FIELD",
                "domain": "api-gateway",
                "metadata": {"field": "nme"},
            }
        ],
    }


@pytest.mark.parametrize("error_format", FORMATS)
def test_every_format_keeps_details_of_any_type(error_format: ErrorFormat) -> None:
    """semantics 20: known ones decoded, unknown and broken ones as base64; never dropped, never a 500."""
    error = backend_error(
        Code.ABORTED,
        error_details_pb2.ErrorInfo(reason="BUSY", domain="acme"),
        AnyMessage(type_url=STATUS_TYPE, value=b"\x08\x01"),
        AnyMessage(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff"),
        AnyMessage(),
    )
    response = ErrorAnswers(error_format)(error)
    document = json.loads(response.body)
    assert response.status == 409
    assert (document.get("error") or document)["details"] == [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "BUSY", "domain": "acme"},
        {"@type": STATUS_TYPE, "value": "CAE="},
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "value": "/w=="},
        {"@type": "", "value": ""},
    ]


@pytest.mark.parametrize("error_format", FORMATS)
def test_every_format_keeps_headers_and_the_end_of_the_connection(error_format: ErrorFormat) -> None:
    """semantics 22 and 29."""
    error = GatewayError(Code.UNAVAILABLE, "later", headers=((b"retry-after", b"7"),), close=True)
    response = ErrorAnswers(error_format)(error, headers=[(b"x-request-id", b"abc")])
    assert response.headers[1:] == [(b"x-request-id", b"abc"), (b"retry-after", b"7")]
    assert response.close


@pytest.mark.parametrize("error_format", FORMATS)
def test_error_in_a_stream_is_one_member_in_every_format(error_format: ErrorFormat) -> None:
    """semantics 24: `{"error": ...}` on one line, so that no client takes it for a message."""
    error = GatewayError(Code.NOT_FOUND, "line\nbreak", source=Source.UPSTREAM)
    text = ErrorAnswers(error_format).in_stream(error)
    assert b"\n" not in text
    document = json.loads(text)
    whole = json.loads(ErrorAnswers(error_format)(error).body)
    assert document == {"error": whole["error"] if error_format == "aip193" else whole}


@pytest.mark.parametrize("code", [17, 77, -1])
@pytest.mark.parametrize("error_format", FORMATS)
def test_codes_beyond_grpc_are_500_in_every_format(code: int, error_format: ErrorFormat) -> None:
    """semantics 19."""
    response = ErrorAnswers(error_format)(GatewayError(code, "why", source=Source.UPSTREAM))
    assert response.status == 500
    assert b"why" in response.body
