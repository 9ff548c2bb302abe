"""The errors that end a connection."""

from __future__ import annotations

import re

import pytest

from api_gateway.edge import refusals
from api_gateway.edge.application import EdgeLimits
from api_gateway.model.errors import GatewayError, Source

LIMITS = EdgeLimits(max_uri_bytes=123, max_header_bytes=4_567, max_header_count=89, max_pipelined=10)


@pytest.mark.parametrize(
    ("error", "http", "reason"),
    [
        (refusals.invalid_http("why"), 400, "INVALID_HTTP"),
        (refusals.invalid_target(), 400, "INVALID_TARGET"),
        (refusals.invalid_host("is missing"), 400, "INVALID_HOST"),
        (refusals.upgrade_not_offered(), 400, "UPGRADE_NOT_OFFERED"),
        (refusals.too_many_pipelined(LIMITS), 400, "TOO_MANY_PIPELINED_REQUESTS"),
        (refusals.chunks_too_small(), 400, "INVALID_HTTP"),
        (refusals.unknown_transfer_encoding(b"gzip"), 501, "INVALID_TRANSFER_ENCODING"),
        (refusals.unknown_transfer_encoding(b"gzip, Chunked"), 400, "INVALID_TRANSFER_ENCODING"),
        (refusals.unknown_expectation(), 417, "EXPECTATION_FAILED"),
        (refusals.uri_too_long(LIMITS), 414, "URI_TOO_LONG"),
        (refusals.header_too_large(LIMITS), 431, "HEADER_TOO_LARGE"),
        (refusals.version_not_supported(), 505, "HTTP_VERSION_NOT_SUPPORTED"),
        (refusals.request_timeout(), 408, "REQUEST_TIMEOUT"),
    ],
    ids=lambda value: value.reason.lower() if isinstance(value, GatewayError) else "",
)
def test_refusal(error: GatewayError, http: int, reason: str) -> None:
    """Each is the client's fault and the end of the connection, and says so in plain words."""
    assert (error.http, error.reason) == (http, reason)
    assert error.source is Source.CLIENT
    assert error.close
    assert re.fullmatch(r"[a-z][^\n]*[^.]", error.message)


def test_limits_are_named() -> None:
    assert "123 bytes" in refusals.uri_too_long(LIMITS).message
    assert "4567 bytes" in refusals.header_too_large(LIMITS).message
    assert "89 fields" in refusals.header_too_large(LIMITS).message
