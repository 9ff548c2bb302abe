"""What a request means, through the whole gateway: which method, and with which message (semantics 1 to 16)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.backends import Backend
from tests.support.gateway import Answer, RunningGateway, serving, start_gateway

ECHO = "tests.echo.EchoService"
FORM = {"content-type": "application/x-www-form-urlencoded"}


def override(method: str, verb: str, path: str, **more: Any) -> dict[str, Any]:
    return {"grpc_method": f"{ECHO}/{method}", "http_method": verb, "http_path": path, **more}


OVERRIDES = [
    override("GetItem", "GET", "/things/:id"),
    override("GetItem", "GET", "/things/{id=shelves/*}/details"),
    override("GetItem", "GET", "/files/{id=**}/raw"),
    override("GetItem", "GET", "/files/{id=**}:stat"),
    override("GetItem", "REPORT", "/things/:id"),
    override("ListItems", "GET", "/things/all"),
    # The same as what RenameItem is annotated with: the override wins.
    override("UpdateItem", "POST", "/echo/v1/items/:id:rename", timeout_ms=4_000),
    override("PatchItem", "PATCH", "/patched/{item.id}", body="item", response_body="update_mask"),
]


@pytest.fixture(scope="module")
def gateway(grpcio_backend: Backend) -> Iterator[RunningGateway]:
    """A gateway with overrides, in front of the echo service."""
    config = serving(grpcio_backend.endpoint, route_overrides=OVERRIDES, discovery={"expose_unmapped": True})
    with start_gateway(config) as started:
        yield started


def ask(gateway: RunningGateway, line: str, body: object, headers: dict[str, str]) -> Answer:
    method, _, target = line.partition(" ")
    return gateway.ask(method, target, body, headers=headers)


def method_and_id(answer: Answer) -> tuple[int, str, str]:
    document = answer.json()
    return answer.status, document["method"].rpartition("/")[2], document.get("id", "")


@pytest.mark.parametrize(
    ("method", "target", "called"),
    [
        pytest.param("GET", "/things/7", ("GetItem", "7"), id="semantics 1 and 2: override with :id"),
        pytest.param("GET", "/things/shelves/7/details", ("GetItem", "shelves/7"), id="semantics 2: full grammar"),
        pytest.param("REPORT", "/things/7", ("GetItem", "7"), id="semantics 1: overrides add up"),
        pytest.param("GET", "/echo/v1/echo/7", ("Echo", "7"), id="semantics 1: annotation, an additional binding"),
        pytest.param("POST", "/api/items?", ("CreateItem", ""), id="semantics 1 and 5: convention"),
        pytest.param("GET", "/things/a%2Fb%20c+%2B", ("GetItem", "a/b c++"), id="semantics 3: one segment, decoded"),
        pytest.param("GET", "/files/a/b%2Fc%20d/raw", ("GetItem", "a/b%2Fc d"), id="semantics 3: ** with a suffix"),
        pytest.param("GET", "/files/raw", ("GetItem", ""), id="semantics 3: ** takes nothing"),
        pytest.param("GET", "/files/a/b:stat", ("GetItem", "a/b"), id="semantics 3: verb behind **"),
        pytest.param("GET", "/things/a:b", ("GetItem", "a:b"), id="semantics 3: what no template knows is no verb"),
        pytest.param("GET", "/%74hings/7", ("GetItem", "7"), id="semantics 9: one normal form"),
        pytest.param("POST", "/echo/v1/items/7:rename", ("UpdateItem", "7"), id="semantics 4: stronger source wins"),
        pytest.param("POST", f"/{ECHO}/Probe", ("Probe", ""), id="semantics 6: unmapped and exposed"),
    ],
)
def test_request_reaches_its_method(gateway: RunningGateway, method: str, target: str, called: tuple[str, str]) -> None:
    assert method_and_id(gateway.ask(method, target)) == (200, *called)


def test_semantics_4_literal_wins_over_variable(gateway: RunningGateway) -> None:
    assert gateway.get("/things/all").json() == {}
    assert gateway.get("/things/all%20").json()["id"] == "all "


def test_semantics_4_loser_of_a_conflict_is_logged_and_counted(gateway: RunningGateway) -> None:
    event = gateway.wait_for_event("route conflict")
    assert f"{ECHO}/RenameItem" in json.dumps(event)
    assert gateway.metric("api_gateway_route_conflicts") == 1


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        pytest.param("GET", "/api/items/7", 405, id="semantics 1: override replaced the convention"),
        pytest.param("POST", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", 404, id="semantics 7"),
        pytest.param("POST", "/grpc.health.v1.Health/Check", 404, id="semantics 7: health"),
        pytest.param("POST", "/gateway.ServiceAuthPolicy/GetAuthPolicy", 404, id="semantics 7: policies"),
        pytest.param("DELETE", "/things/7", 405, id="semantics 8: other method"),
        pytest.param("GET", "/things/7/", 404, id="semantics 8: unknown path"),
        pytest.param("GET", "/things/%2e%2e", 400, id="semantics 9: dots"),
        pytest.param("GET", "/files/a//raw", 400, id="semantics 9: empty inner segment"),
        pytest.param("GET", "/files/a%5Cb/raw", 400, id="semantics 9: backslash"),
        pytest.param("GET", "/things/%00", 400, id="semantics 9: control character"),
        pytest.param("GET", "/things/%ff", 400, id="semantics 9: not UTF-8"),
    ],
)
def test_request_without_a_method(gateway: RunningGateway, method: str, target: str, status: int) -> None:
    answer = gateway.ask(method, target)
    assert answer.status == answer.error["code"] == status
    assert answer.reason
    assert ("allow" in answer.headers) == (status == 405)


def test_semantics_8_head_and_options(gateway: RunningGateway) -> None:
    whole, head = gateway.get("/things/7"), gateway.ask("HEAD", "/things/7")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]
    options = gateway.ask("OPTIONS", "/things/7")
    assert (options.status, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS, REPORT")


BOUND: list[Any] = [
    # target, body, headers, the item that the backend saw
    pytest.param(
        "POST /echo/v1/items/7:rename",
        {"id": "9", "name": "n"},
        {},
        {"id": "7", "name": "n"},
        id="semantics 10: path over body",
    ),
    pytest.param(
        "POST /api/items", {"size": "5", "tags": ["a"]}, {}, {"size": "5", "tags": ["a"]}, id="semantics 13: whole body"
    ),
    pytest.param(
        "POST /api/items",
        b"name=a+b&size=5&tags=x&tags=y",
        FORM,
        {"name": "a b", "size": "5", "tags": ["x", "y"]},
        id="semantics 14: form",
    ),
    pytest.param(
        "POST /api/items",
        b'{"name":"n"}',
        {"content-type": "application/merge-patch+json"},
        {"name": "n"},
        id="semantics 14: +json",
    ),
    pytest.param("POST /api/items", b'{"name":"n"}', {}, {"name": "n"}, id="semantics 14: no content type"),
    pytest.param(
        "GET /things/7?name=a+b%2Bc&size=-5",
        None,
        {},
        {"id": "7", "name": "a b+c", "size": "-5"},
        id="semantics 3 and 11: query",
    ),
    pytest.param(
        "GET /echo/v1/echo/7?item.parent.name=p&item.labels[k]=v&item.tags=1&item.tags=2",
        None,
        {},
        {"parent": {"name": "p"}, "labels": {"k": "v"}, "tags": ["1", "2"]},
        id="semantics 11: nested, map, repeated",
    ),
]


@pytest.mark.parametrize(("line", "body", "headers", "item"), BOUND)
def test_message_is_bound(
    gateway: RunningGateway, line: str, body: object, headers: dict[str, str], item: dict[str, Any]
) -> None:
    answer = ask(gateway, line, body, headers)
    assert (answer.status, answer.json()["item"]) == (200, item)


REFUSED: list[Any] = [
    pytest.param("GET /things/7?id=8", None, {}, 400, "PARAMETER_CONFLICT", id="semantics 10: bound by the path"),
    pytest.param("PATCH /patched/7?item.name=n", {}, {}, 400, "PARAMETER_CONFLICT", id="semantics 10: under the body"),
    pytest.param("GET /things/7?size=1&size=2", None, {}, 400, "PARAMETER_CONFLICT", id="semantics 11: two values"),
    pytest.param("GET /things/7?colour=red", None, {}, 400, "UNKNOWN_PARAMETER", id="semantics 12: unknown key"),
    pytest.param("POST /api/items", {"colour": "red"}, {}, 400, "UNKNOWN_FIELD", id="semantics 12: unknown JSON key"),
    pytest.param(
        "REPORT /things/7", {"name": "n"}, {}, 400, "UNEXPECTED_BODY", id="semantics 13: body where none is mapped"
    ),
    pytest.param(
        "POST /api/items", b"<a/>", {"content-type": "text/xml"}, 415, "UNSUPPORTED_MEDIA_TYPE", id="semantics 14: XML"
    ),
    pytest.param(
        "POST /api/items",
        b"--b--",
        {"content-type": "multipart/form-data; boundary=b"},
        415,
        "",
        id="semantics 14: multipart",
    ),
    pytest.param(
        "POST /api/items",
        b"\x1f\x8b",
        {"content-encoding": "gzip"},
        415,
        "UNSUPPORTED_CONTENT_ENCODING",
        id="semantics 14, H12: gzip",
    ),
    pytest.param("POST /api/items", b'{"tags": ["a", 7]}', {}, 400, "INVALID_FIELD", id="semantics 16: wrong type"),
    pytest.param(
        "POST /api/items", b'{"size": 9223372036854775808}', {}, 400, "INVALID_FIELD", id="semantics 16: out of range"
    ),
    pytest.param("POST /api/items", b'{"size": 1', {}, 400, "INVALID_JSON", id="semantics 16: broken"),
    pytest.param("POST /api/items", b'{"name": "\xff"}', {}, 400, "INVALID_JSON", id="semantics 16: not UTF-8"),
    pytest.param("POST /api/items", b'{"name": NaN}', {}, 400, "INVALID_JSON", id="semantics 16, H13: NaN"),
    pytest.param(
        "POST /echo/v1/echo",
        b'{"item":' + b'{"parent":' * 101 + b"{}" + b"}" * 102,
        {},
        400,
        "",
        id="semantics 16: depth",
    ),
    pytest.param(
        "GET /things/7?" + "&".join(["tags=x"] * 1_100), None, {}, 400, "TOO_MANY_PARAMETERS", id="H11: many parameters"
    ),
    pytest.param("GET /things/7?" + "tags=x&" * 10_000, None, {}, 414, "URI_TOO_LONG", id="H11: 10,000 parameters"),
    pytest.param(
        "GET /things/7?" + "a." * 3_000 + "b=1", None, {}, 400, "UNKNOWN_PARAMETER", id="H11: deep field path"
    ),
]


@pytest.mark.parametrize(("line", "body", "headers", "status", "reason"), REFUSED)
def test_request_that_does_not_fit_is_refused(
    gateway: RunningGateway, line: str, body: object, headers: dict[str, str], status: int, reason: str
) -> None:
    answer = ask(gateway, line, body, headers)
    assert answer.status == status, answer.body
    assert answer.reason == reason or not reason
    assert "Traceback" not in gateway.process.stderr.text()


@pytest.mark.parametrize(
    ("query", "mask"),
    [
        pytest.param("", "labels,name,parent.name", id="filled"),
        pytest.param("?updateMask=size,parent.id", "size,parent.id", id="given"),
    ],
)
def test_semantics_15_mask_of_a_patch(gateway: RunningGateway, query: str, mask: str) -> None:
    """With `response_body` (13): the answer is the mask itself."""
    body = {"name": "n", "parent": {"name": "p"}, "labels": {"a": "b"}}
    answer = gateway.ask("PATCH", f"/patched/7{query}", body)
    assert sorted(answer.json().split(",")) == sorted(mask.split(","))


def test_semantics_12_both_switches(grpcio_backend: Backend) -> None:
    config = serving(
        grpcio_backend.endpoint, service={"transcoding": {"unknown_query": "ignore", "unknown_fields": "ignore"}}
    )
    with start_gateway(config) as gateway:
        assert gateway.get("/api/items/7?colour=red&name=n").json()["item"] == {"id": "7", "name": "n"}
        assert gateway.ask("POST", "/api/items", {"colour": "red", "name": "n"}).json()["item"] == {"name": "n"}
