"""The two tables between gRPC codes and HTTP statuses."""

from __future__ import annotations

import pytest

from api_gateway.model.status import Code, code_from_http, code_name, http_status


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.OK, 200),
        (Code.CANCELLED, 499),
        (Code.UNKNOWN, 500),
        (Code.INVALID_ARGUMENT, 400),
        (Code.DEADLINE_EXCEEDED, 504),
        (Code.NOT_FOUND, 404),
        (Code.ALREADY_EXISTS, 409),
        (Code.PERMISSION_DENIED, 403),
        (Code.RESOURCE_EXHAUSTED, 429),
        (Code.FAILED_PRECONDITION, 400),
        (Code.ABORTED, 409),
        (Code.OUT_OF_RANGE, 400),
        (Code.UNIMPLEMENTED, 501),
        (Code.INTERNAL, 500),
        (Code.UNAVAILABLE, 503),
        (Code.DATA_LOSS, 500),
        (Code.UNAUTHENTICATED, 401),
        pytest.param(17, 500, id="a code that gRPC does not define"),
    ],
)
def test_status_for_clients(code: int, status: int) -> None:
    """semantics 19: gRPC status to HTTP."""
    assert http_status(code) == status


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, Code.INTERNAL),
        (401, Code.UNAUTHENTICATED),
        (403, Code.PERMISSION_DENIED),
        (404, Code.UNIMPLEMENTED),
        (429, Code.UNAVAILABLE),
        (431, Code.INTERNAL),
        (502, Code.UNAVAILABLE),
        (503, Code.UNAVAILABLE),
        (504, Code.UNAVAILABLE),
        (200, Code.UNKNOWN),
        (302, Code.UNKNOWN),
        (500, Code.UNKNOWN),
    ],
)
def test_code_of_a_backend_that_did_not_speak_grpc(status: int, code: Code) -> None:
    """G18: http-grpc-status-mapping.md, with 431 as the document has it."""
    assert code_from_http(status) is code


@pytest.mark.parametrize(
    ("status", "for_clients"),
    [(400, 500), (401, 401), (404, 501), (429, 503), (502, 503), (504, 503), (418, 500)],
)
def test_a_backends_http_status_is_not_the_clients(status: int, for_clients: int) -> None:
    """G19: clients get google.rpc.Code's status; the mapping for backends is not read backwards."""
    assert http_status(code_from_http(status)) == for_clients


def test_names() -> None:
    """Numbers outside gRPC's list are called UNKNOWN."""
    assert (code_name(5), code_name(99), code_name(-1)) == ("NOT_FOUND", "UNKNOWN", "UNKNOWN")
