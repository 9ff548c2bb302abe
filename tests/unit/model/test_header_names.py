"""Names that nobody hands on."""

from __future__ import annotations

import pytest

from api_gateway.model.header_names import RESERVED, reserved_reason
from api_gateway.policy.identity import IDENTITY_HEADERS


@pytest.mark.parametrize(
    "name",
    [
        *("te", "upgrade", "connection", "transfer-encoding", "trailer", "expect", "host", "http2-settings"),
        *("grpc-timeout", "grpc_timeout", "grpc-metadata-a", "content-type", "content-length", ":path"),
        *("x-user-id", "x_user_id", "x-user_roles", "x_auth_claims", "x-forwarded-for", "x_forwarded_proto"),
    ],
)
def test_semantics_27_and_28_reserved_in_every_spelling(name: str) -> None:
    assert reserved_reason(name)


@pytest.mark.parametrize("name", ["x-tenant", "cookie", "accept", "grpc", "contents", "tea", "x-user-agent"])
def test_other_names_are_free(name: str) -> None:
    assert reserved_reason(name) == ""


FORBIDDEN = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te", "trailer", "host"}
"""Names that HTTP/2 forbids or that mean something for one connection only (RFC 9113 section 8.2.2)."""


def test_nothing_that_other_parts_keep_back_is_missing() -> None:
    """HTTP/2 ends a whole connection for one of its forbidden fields, and identity is the policies' alone."""
    assert FORBIDDEN <= RESERVED
    assert all(reserved_reason(name.decode()) for name in IDENTITY_HEADERS)
