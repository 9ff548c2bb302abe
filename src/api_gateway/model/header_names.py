"""Names of header fields that no client and no configuration may hand on to a backend (semantics 27 and 28)."""

from __future__ import annotations

from typing import Final

RESERVED_STARTS: Final = ("grpc-", "content-", ":", "x-forwarded-")
"""What gRPC, the body and the gateway itself say about a call."""
RESERVED: Final = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "proxy-authenticate",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "te",
        "trailer",
        "expect",
        "host",
        "x-http-code",
        "lb-cost-bin",
        "x-user-id",
        "x-user-roles",
        "x-auth-claims",
    )
)
"""What belongs to one connection (RFC 9110 section 7.6.1), and the caller's identity, which only policies state.

`lb-cost-bin` is gRPC's own without its prefix: a server on gRPC's C core fails a call in which it is shorter than it
should be, with INTERNAL, as if it were its own mistake."""


def reserved_reason(name: str) -> str:
    """Return why a lower-case name must not be handed on, empty when it may be. `_` counts as `-`."""
    canonical = name.replace("_", "-")
    if canonical.startswith(RESERVED_STARTS):
        start = next(start for start in RESERVED_STARTS if canonical.startswith(start))
        return f"{start}* belongs to gRPC, to the body or to the gateway"
    if canonical in RESERVED:
        return f"{name} belongs to the connection or to the gateway"
    return ""
