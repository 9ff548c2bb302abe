"""What becomes of a backend's answer, through the whole gateway: status, JSON, errors, headers (semantics 17 to 29)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from api_gateway.model.status import HTTP_STATUS, Code
from tests.support.backends import Backend
from tests.support.gateway import Answer, RunningGateway, serving, start_gateway
from tests.support.mirroring_backend import mirroring_backend

FORMATS = {"aip193": "application/json", "status": "application/json", "problem": "application/problem+json"}
ECHO = ("POST", "/echo/v1/echo")


@pytest.fixture(scope="module")
def gateway(grpcio_backend: Backend) -> Iterator[RunningGateway]:
    """A gateway that passes on what begins with `x-acme-`."""
    config = serving(
        grpcio_backend.endpoint,
        headers={"forward": ["x-acme-*", "x-raw-bin"]},
        service={"circuit_breaker": {"failure_threshold": 1_000}},
    )
    with start_gateway(config) as started:
        yield started


@pytest.fixture(scope="module", params=FORMATS)
def speaking(request: pytest.FixtureRequest, grpcio_backend: Backend) -> Iterator[tuple[str, RunningGateway]]:
    """A gateway for each format of errors."""
    with start_gateway(serving(grpcio_backend.endpoint, errors={"format": request.param})) as started:
        yield request.param, started


def behaving(**behaviour: Any) -> dict[str, Any]:
    return {"id": "a", "behaviour": behaviour}


def metadata(answer: Answer) -> dict[str, list[str]]:
    """Return the metadata that the backend got."""
    found: dict[str, list[str]] = {}
    for entry in answer.json()["receivedMetadata"]:
        found.setdefault(entry["key"], []).append(entry.get("text") or entry.get("binary", ""))
    return found


@pytest.mark.parametrize("code", [*range(1, 17), 17, 99], ids=lambda code: f"code {code}")
def test_semantics_19_status(gateway: RunningGateway, code: int) -> None:
    answer = gateway.ask(*ECHO, behaving(failure={"code": code, "message": "why"}))
    assert answer.status == HTTP_STATUS.get(code, 500)
    assert answer.error["message"]
    if code <= 16:
        assert (answer.error["status"], answer.error["message"]) == (Code(code).name, "why")


@pytest.mark.parametrize(
    ("value", "status"),
    [("201", 201), ("204", 204), ("302", 302), ("404", 200), ("99", 200), ("2xx", 200), ("1000", 200), ("+201", 200)],
)
@pytest.mark.parametrize("place", ["initialMetadata", "trailingMetadata"])
def test_semantics_18_backend_chooses_the_success(gateway: RunningGateway, place: str, value: str, status: int) -> None:
    answer = gateway.ask(*ECHO, behaving(**{place: [{"key": "x-http-code", "text": value}]}))
    assert answer.status == status
    assert "x-http-code" not in answer.headers
    assert answer.body == b"" if status == 204 else answer.json()["id"] == "a"


def test_semantics_18_status_of_an_error_is_not_the_backends_to_choose(gateway: RunningGateway) -> None:
    entry = {"key": "x-http-code", "text": "201"}
    answer = gateway.ask(*ECHO, behaving(failure={"code": 5}, initialMetadata=[entry], trailingMetadata=[entry]))
    assert answer.status == answer.error["code"] == 404


def test_semantics_18_empty_is_an_empty_object(gateway: RunningGateway) -> None:
    answer = gateway.ask("DELETE", "/echo/v1/items/7")
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, "application/json", b"{}")


def test_semantics_17_options_of_a_service(grpcio_backend: Backend) -> None:
    options = {"emit_defaults": True, "preserve_proto_names": True}
    with start_gateway(serving(grpcio_backend.endpoint, service={"transcoding": options})) as gateway:
        document = gateway.ask("PUT", "/echo/v1/shelves/7", {"size": "5"}).json()
        assert document == {"id": "shelves/7", "name": "", "size": "5", "tags": [], "labels": {}}
        assert "payload_sha256" in gateway.get("/api/items/7").json()


FILES = """
    syntax = "proto3";
    package files;
    import "google/api/annotations.proto";
    import "google/api/httpbody.proto";
    message Upload { google.api.HttpBody file = 1; string name = 2; }
    service Files {
      rpc Raw(google.api.HttpBody) returns (google.api.HttpBody) {
        option (google.api.http) = { post: "/raw" body: "*" };
      }
      rpc Named(Upload) returns (Upload) {
        option (google.api.http) = { post: "/files/{name}" body: "file" response_body: "file" };
      }
      rpc Name(Upload) returns (Upload) {
        option (google.api.http) = { post: "/names/{name}" body: "file" response_body: "name" };
      }
    }
"""


def test_semantics_14_and_18_http_body_both_ways() -> None:
    """Any content type raw, multipart included; as the whole message, or as a field of it."""
    form = b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n\x00\xff\r\n--b--\r\n'
    with mirroring_backend(FILES) as endpoint, start_gateway(serving(endpoint)) as gateway:
        for path in ("/raw", "/files/a"):
            for kind, content in (
                ("multipart/form-data; boundary=b", form),
                ("image/png", b"\x89PNG\r\n"),
                ("application/json", b'{"not": "parsed'),
                ("application/x-www-form-urlencoded", b"a=%zz"),
            ):
                answer = gateway.ask("POST", path, content, headers={"content-type": kind})
                assert (answer.status, answer.headers["content-type"], answer.body) == (200, kind, content)
            plain = gateway.ask("POST", path, b"x")
            assert (plain.headers["content-type"], plain.body) == ("application/octet-stream", b"x")
        named = gateway.ask("POST", "/names/a%20b", b"x", headers={"content-type": "text/plain"})
        assert (named.headers["content-type"], named.json()) == ("application/json", "a b")


def inner(error_format: str, answer: Answer) -> dict[str, Any]:
    """Return what an error says, whatever the format; its shape is checked."""
    assert answer.headers["content-type"] == FORMATS[error_format]
    document: dict[str, Any] = answer.json()
    return check_shape(error_format, answer.status, document)


def check_shape(error_format: str, status: int, document: dict[str, Any]) -> dict[str, Any]:
    code = {400: Code.INVALID_ARGUMENT, 404: Code.NOT_FOUND, 405: Code.UNIMPLEMENTED, 409: Code.ABORTED}[status]
    if error_format == "aip193":
        document = document["error"]
        assert (document["code"], document["status"]) == (status, code.name)
    elif error_format == "status":
        assert set(document) <= {"code", "message", "details"}
        assert document["code"] == code
    else:
        assert (document["type"], document["status"], document["code"]) == ("about:blank", status, code.name)
        document["message"] = document["detail"]
    return document


def test_semantics_20_every_error_has_the_format(speaking: tuple[str, RunningGateway]) -> None:
    """Those of the gateway, of its edge, of its own endpoints, and of backends."""
    error_format, gateway = speaking
    for method, target, status, reason in (
        ("GET", "/nowhere", 404, "ROUTE_NOT_FOUND"),
        ("GET", "/api/items/7?colour=red", 400, "UNKNOWN_PARAMETER"),
        ("PATCH", "/api/items/7", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/health", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "http://other/", 400, "INVALID_TARGET"),
    ):
        answer = gateway.ask(method, target)
        assert answer.status == status
        (info,) = inner(error_format, answer)["details"]
        assert (info["@type"], info["reason"], info["domain"]) == (
            "type.googleapis.com/google.rpc.ErrorInfo", reason, "api-gateway",
        )  # fmt: skip
        assert answer.headers["x-request-id"]


def test_semantics_20_details_survive_in_every_format(speaking: tuple[str, RunningGateway]) -> None:
    error_format, gateway = speaking
    status = status_pb2.Status(code=10, message="why")
    status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay={"seconds": 5}))
    status.details.append(any_pb2.Any(type_url="t/acme.Secret", value=b"\xff\x00"))
    failure = {
        "code": 10, "message": "why", "statusDetails": base64.b64encode(status.SerializeToString()).decode(),
    }  # fmt: skip
    answer = gateway.ask(*ECHO, behaving(failure=failure))
    assert answer.status == 409
    error = inner(error_format, answer)
    assert error["message"] == "why"
    assert error["details"] == [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "5s"},
        {"@type": "t/acme.Secret", "value": "/wA="},
    ]


def test_semantics_24_error_in_a_stream_has_the_format(speaking: tuple[str, RunningGateway]) -> None:
    """Before the first message an answer like any other, after it a last line `{"error": ...}`."""
    error_format, gateway = speaking
    target = ("POST", "/echo/v1/stream")
    before = gateway.ask(*target, behaving(failure={"code": 5, "message": "why"}))
    assert (before.status, inner(error_format, before)["message"]) == (404, "why")
    after = gateway.ask(*target, behaving(messageCount=3, failure={"code": 5, "message": "why", "afterMessages": 2}))
    assert after.status == 200
    *messages, last = [json.loads(line) for line in after.body.splitlines()]
    assert [message["id"] for message in messages] == ["a", "a"]
    assert set(last) == {"error"}
    document = last if error_format == "aip193" else last["error"]
    assert check_shape(error_format, 404, document)["message"] == "why"


def test_semantics_27_headers_to_the_backend(gateway: RunningGateway) -> None:
    answer = gateway.ask(
        *ECHO,
        {"id": "a"},
        headers={
            "Authorization": "Bearer t",
            "Accept-Language": "de",
            "User-Agent": "curl/8",
            "X-Request-Id": "r1",
            "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "Tracestate": "a=b",
            "Baggage": "c=d",
            "Grpc-Metadata-Tenant": "t1",
            "Grpc-Metadata-K-Bin": "AQI=",
            "X-Acme-Plan": "gold",
            "X-Raw-Bin": "AQID",
            # None of these
            "X-Other": "1",
            "Cookie": "a=b",
            "Grpc-Metadata-Te": "1",
            "Grpc-Metadata-Grpc-Timeout": "1n",
            "Connection": "keep-alive, x-acme-secret",
            "X-Acme-Secret": "1",
            "X-User-Id": "root",
            "X_User_Roles": "admin",
            "Grpc-Metadata-X_Auth-Claims": "e30",
        },
    )
    got = metadata(answer)
    assert {key: got[key] for key in got if key not in ("traceparent", "user-agent", "grpc-accept-encoding")} == {
        "authorization": ["Bearer t"],
        "accept-language": ["de"],
        "x-forwarded-user-agent": ["curl/8"],
        "x-request-id": ["r1"],
        "tracestate": ["a=b"],
        "baggage": ["c=d"],
        "tenant": ["t1"],
        "k-bin": ["AQI="],
        "x-acme-plan": ["gold"],
        "x-raw-bin": ["AQID"],
        "x-forwarded-for": ["127.0.0.1"],
        "x-forwarded-host": [f"127.0.0.1:{gateway.port}"],
        "x-forwarded-proto": ["http"],
    }
    assert got["traceparent"][0].startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert got["user-agent"][0].startswith("api-gateway/")


@pytest.mark.parametrize("name", ["Grpc-Metadata-K-Bin", "X-Raw-Bin"])
def test_semantics_27_broken_base64_is_400(gateway: RunningGateway, name: str) -> None:
    answer = gateway.ask(*ECHO, {}, headers={name: "*"})
    assert (answer.status, answer.reason) == (400, "INVALID_METADATA")


def test_semantics_29_headers_from_the_backend(gateway: RunningGateway) -> None:
    sent = [
        {"key": "x-rate", "text": "1"},
        {"key": "x-raw-bin", "binary": "AQI="},
        {"key": "content-language", "text": "de"},
        {"key": "connection-note", "text": "n"},
    ]
    answer = gateway.ask(*ECHO, behaving(initialMetadata=sent, trailingMetadata=[{"key": "x-cost", "text": "2"}]))
    assert (answer.headers["x-rate"], answer.headers["x-cost"]) == ("1", "2")
    assert answer.headers["x-raw-bin"].rstrip("=") == "AQI"
    assert answer.headers["connection-note"] == "n"
    assert answer.headers["x-request-id"]
    assert "content-language" not in answer.headers
    assert answer.headers["content-type"] == "application/json"
    assert not [name for name in answer.headers if name.startswith("grpc-")]
