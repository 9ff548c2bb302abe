"""Backends on three gRPC libraries behind one gateway each: discovered the same, served the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.backends import LIBRARIES, Backend
from tests.support.gateway import RunningGateway, serving, start_gateway

ECHO = "tests.echo.EchoService"
OVERRIDES = [
    ("Echo", "POST", "/echo/v1/echo", {}),
    ("Echo", "GET", "/echo/v1/echo/{id}", {}),
    ("PutItem", "PUT", "/echo/v1/{item.id=shelves/*}", {"body": "item", "response_body": "item"}),
    ("PatchItem", "PATCH", "/echo/v1/items/{item.id}", {"body": "item"}),
    ("RemoveItem", "DELETE", "/echo/v1/items/:id", {}),
    ("RenameItem", "POST", "/echo/v1/items/{id}:rename", {}),
]
"""What the annotations of the service say. The reflection of Node's gRPC drops them, so there the file says it."""
ITEM = {"id": "9", "name": "Zoë 🦊", "size": "9007199254740993", "tags": ["a", "b"], "labels": {"k": "v"}}


@pytest.fixture(scope="module")
def gateways(request: pytest.FixtureRequest) -> Iterator[dict[str, RunningGateway]]:
    """A gateway in front of each backend, by the backend's library."""
    with ExitStack() as stack:
        started = {}
        for library in LIBRARIES:
            backend: Backend = request.getfixturevalue(f"{library}_backend")
            overrides = [
                {"grpc_method": f"{ECHO}/{name}", "http_method": verb, "http_path": path, **more}
                for name, verb, path, more in OVERRIDES
            ]
            config = serving(backend.endpoint, route_overrides=overrides if library == "node" else [])
            started[library] = stack.enter_context(start_gateway(config))
        yield started


@pytest.fixture(params=LIBRARIES)
def gateway(request: pytest.FixtureRequest, gateways: dict[str, RunningGateway]) -> RunningGateway:
    """Each of the three in turn."""
    return gateways[request.param]


def echoed(method: str, **fields: Any) -> dict[str, Any]:
    """Return the reply of a method; proto3's empty values are left out."""
    empty = hashlib.sha256(b"").hexdigest()
    return {"payloadSha256": empty, "method": f"{ECHO}/{method}", **fields}


def payload(seed: int, size_bytes: int) -> bytes:
    return hashlib.shake_256(str(seed).encode()).digest(size_bytes)


CASES = [
    pytest.param(
        ("GET", "/api/items/7?name=n&size=5&tags=a&tags=b%20c", None),
        echoed("GetItem", id="7", item={"id": "7", "name": "n", "size": "5", "tags": ["a", "b c"]}),
        id="path and query",
    ),
    pytest.param(
        ("GET", "/api/items/a%2Fb%20c", None),
        echoed("GetItem", id="a/b c", item={"id": "a/b c"}),
        id="escaped path variable",
    ),
    pytest.param(
        ("GET", "/api/items?behaviour.messageCount=2", None),
        {"items": [{"id": "0", "name": "item 0"}, {"id": "1", "name": "item 1", "size": "1"}]},
        id="list",
    ),
    pytest.param(
        ("POST", "/api/items", {"id": "1", "name": "n", "size": 12345678901}),
        echoed("CreateItem", id="1", item={"id": "1", "name": "n", "size": "12345678901"}),
        id="create",
    ),
    pytest.param(
        ("PUT", "/api/items/7", {"name": "new"}),
        echoed("UpdateItem", id="7", item={"id": "7", "name": "new"}),
        id="update",
    ),
    pytest.param(("DELETE", "/api/items/7", None), {}, id="delete"),
    pytest.param(
        ("POST", "/echo/v1/echo", {"id": "e", "seed": "18446744073709551615", "text": "t", "item": ITEM}),
        echoed("Echo", id="e", seed="18446744073709551615", text="t", item=ITEM),
        id="whole body",
    ),
    pytest.param(("GET", "/echo/v1/echo/x?text=t", None), echoed("Echo", id="x", text="t"), id="additional binding"),
    pytest.param(
        ("PUT", "/echo/v1/shelves/3?validate_only=true", {"name": "n"}),
        {"id": "shelves/3", "name": "n"},
        id="a field as the body and as the answer, a variable of two segments",
    ),
    pytest.param(
        ("PATCH", "/echo/v1/items/5", {"name": "n", "size": "0"}),
        echoed("PatchItem", id="5", item={"id": "5", "name": "n"}, updateMask="name,size"),
        id="patch with a mask from the body",
    ),
    pytest.param(
        ("POST", "/echo/v1/items/4:rename", {"name": "n"}),
        echoed("RenameItem", id="4", item={"id": "4", "name": "n"}),
        id="verb",
    ),
    pytest.param(("DELETE", "/echo/v1/items/4", None), {}, id="annotated delete"),
]


@pytest.mark.parametrize(("request_line", "expected"), CASES)
def test_same_request_same_answer(
    gateway: RunningGateway, request_line: tuple[str, str, Any], expected: dict[str, Any]
) -> None:
    answer = gateway.ask(*request_line)
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    for differs in ("backend", "receivedMetadata", "timeoutMs"):
        document.pop(differs, None)
    assert document == expected


def test_a_large_answer_arrives_whole(gateway: RunningGateway) -> None:
    """Beyond HTTP/2's first windows."""
    size_bytes = 300_000
    answer = gateway.ask("POST", "/echo/v1/echo", {"seed": 5, "behaviour": {"responseSizeBytes": size_bytes}})
    assert answer.json()["payloadSha256"] == hashlib.sha256(payload(5, size_bytes)).hexdigest()
    assert len(answer.json()["payload"]) == size_bytes // 3 * 4


@pytest.mark.parametrize(
    ("code", "status", "name"),
    [
        pytest.param(3, 400, "INVALID_ARGUMENT"),
        pytest.param(5, 404, "NOT_FOUND"),
        pytest.param(8, 429, "RESOURCE_EXHAUSTED"),
        pytest.param(12, 501, "UNIMPLEMENTED"),
        pytest.param(16, 401, "UNAUTHENTICATED"),
    ],
)
def test_same_failure_same_status(gateway: RunningGateway, code: int, status: int, name: str) -> None:
    """semantics 19."""
    failure = {"code": code, "message": "told to fail: 50 % ü"}
    answer = gateway.ask("POST", "/echo/v1/echo", {"id": "fails", "behaviour": {"failure": failure}})
    assert (answer.status, answer.error["status"], answer.error["message"]) == (status, name, failure["message"])


def test_the_deadline_travels(gateway: RunningGateway) -> None:
    """semantics 30: the service's timeout, or what the client asks for if that is less."""
    usual = gateway.get("/api/items/7").json()["timeoutMs"]
    assert 4_000 < int(usual) <= 5_000
    hasty = gateway.get("/api/items/7", headers={"x-request-timeout": "2.5"}).json()["timeoutMs"]
    assert 1_500 < int(hasty) <= 2_500
