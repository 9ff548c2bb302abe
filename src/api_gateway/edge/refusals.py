"""The errors that end a client connection: what cannot be read as a request, or did not come in time."""

from __future__ import annotations

from ..model.errors import GatewayError, Source, bad_request
from ..model.status import Code
from .application import EdgeLimits


def invalid_http(text: str) -> GatewayError:
    """Make the error for bytes that are no HTTP/1.1 request (400). `text` is the parser's reason; it quotes nobody."""
    return bad_request(f"this is not a valid HTTP/1.1 request: {text}", "INVALID_HTTP", close=True)


def invalid_target() -> GatewayError:
    """Make the error for request targets in another form than a path (400)."""
    return bad_request("the request target must be a path", "INVALID_TARGET", close=True)


def invalid_host(text: str) -> GatewayError:
    """Make the error for a Host header that names no host, or more than one (400)."""
    return bad_request(f"the Host header {text}", "INVALID_HOST", close=True)


def upgrade_not_offered() -> GatewayError:
    """Make the error for an upgrade of the protocol that cannot be passed over (400)."""
    return bad_request("an upgrade of the protocol is not offered", "UPGRADE_NOT_OFFERED", close=True)


def too_many_pipelined(limits: EdgeLimits) -> GatewayError:
    """Make the error for more requests than may wait behind one another (400)."""
    return bad_request(
        f"more than {limits.max_pipelined} requests were sent without waiting for answers",
        "TOO_MANY_PIPELINED_REQUESTS",
        close=True,
    )


def chunks_too_small() -> GatewayError:
    """Make the error for a chunked body that is mostly chunk extensions, chunk sizes or trailers (400)."""
    return bad_request("the chunks of the body carry more framing than content", "INVALID_HTTP", close=True)


def unknown_transfer_encoding(encoding: bytes) -> GatewayError:
    """Make the error for a transfer encoding other than `chunked` (501), or for a dubious form of it (400)."""
    return _refusal(
        400 if b"chunked" in encoding.lower() else 501,
        Code.UNIMPLEMENTED,
        "the only transfer encoding understood is chunked, in HTTP/1.1",
        "INVALID_TRANSFER_ENCODING",
    )


def unknown_expectation() -> GatewayError:
    """Make the error for an expectation other than `100-continue` (417)."""
    return _refusal(417, Code.INVALID_ARGUMENT, "the only expectation understood is 100-continue", "EXPECTATION_FAILED")


def uri_too_long(limits: EdgeLimits) -> GatewayError:
    """Make the error for a request target over its limit (414)."""
    text = f"the request target is longer than {limits.max_uri_bytes} bytes"
    return _refusal(414, Code.INVALID_ARGUMENT, text, "URI_TOO_LONG")


def header_too_large(limits: EdgeLimits) -> GatewayError:
    """Make the error for a header section over its limits (431)."""
    text = (
        f"the header is larger than {limits.max_header_bytes} bytes or has more than {limits.max_header_count} fields"
    )
    return _refusal(431, Code.INVALID_ARGUMENT, text, "HEADER_TOO_LARGE")


def version_not_supported() -> GatewayError:
    """Make the error for other versions of HTTP (505)."""
    return _refusal(
        505,
        Code.UNIMPLEMENTED,
        "the only versions spoken here are HTTP/1.1 and HTTP/1.0",
        "HTTP_VERSION_NOT_SUPPORTED",
    )


def request_timeout() -> GatewayError:
    """Make the error for a request that trickles in (408)."""
    return _refusal(408, Code.DEADLINE_EXCEEDED, "the request did not arrive in time", "REQUEST_TIMEOUT")


def _refusal(http: int, code: Code, message: str, reason: str) -> GatewayError:
    return GatewayError(code, message, reason=reason, source=Source.CLIENT, http=http, close=True)
