"""The error that reaches clients."""

from __future__ import annotations

from api_gateway.model.errors import GatewayError, Source, bad_request, unavailable
from api_gateway.model.status import Code


def test_status_follows_the_code_unless_one_is_given() -> None:
    """An error knows its HTTP status."""
    assert GatewayError(Code.NOT_FOUND, "x").http == 404
    assert GatewayError(Code.INTERNAL, "x", http=502).http == 502


def test_bad_request_is_the_clients_fault() -> None:
    """400 with the metadata given."""
    error = bad_request("no", "INVALID_JSON", field="a.b")
    assert (error.http, error.source, error.reason, dict(error.metadata)) == (
        400,
        Source.CLIENT,
        "INVALID_JSON",
        {"field": "a.b"},
    )


def test_unavailable_says_when_to_come_back() -> None:
    """semantics 22: 503 carries Retry-After."""
    error = unavailable("later", "X", retry_after_s=7)
    assert (error.http, error.headers, error.retryable) == (503, ((b"retry-after", b"7"),), True)
