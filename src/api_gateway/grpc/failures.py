"""The errors that a call to a backend may end with, each with its gRPC code, its reason and what clients may know."""

from __future__ import annotations

from typing import Final

from ngh2 import ErrorCode

from ..model.errors import GatewayError, Source, unavailable
from ..model.status import Code
from .framing import FramingError
from .metadata import Status

_RESET_CODES: Final[dict[int, Code]] = {
    ErrorCode.REFUSED_STREAM: Code.UNAVAILABLE,
    ErrorCode.CANCEL: Code.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: Code.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: Code.PERMISSION_DENIED,
}
"""gRPC codes of RST_STREAM (grpc doc/PROTOCOL-HTTP2.md, "Errors"); everything else is INTERNAL."""


def stated(status: Status, reason: str = "") -> GatewayError:
    """Make the error of a status. A reason marks one that the backend did not state: it was inferred."""
    return GatewayError(
        status.code,
        status.message,
        reason=reason,
        source=Source.UPSTREAM,
        details=status.details,
        headers=((b"retry-after", b"1"),) if status.code == Code.UNAVAILABLE else (),
        retryable=status.code == Code.UNAVAILABLE,
    )


def unreachable(service: str, detail: str) -> GatewayError:
    """Make the error of a call for which there was no connection; `detail` is for the log."""
    return unavailable(
        "the service cannot be reached",
        "UPSTREAM_UNAVAILABLE",
        source=Source.UPSTREAM,
        log_reason=detail,
        service=service,
    )


def not_serving(service: str, detail: str) -> GatewayError:
    """Make the error of a call whose service can be reached and says that it does not serve."""
    return unavailable(
        "the service is not serving at the moment",
        "UPSTREAM_NOT_SERVING",
        source=Source.UPSTREAM,
        log_reason=detail,
        service=service,
    )


def deadline_exceeded(service: str) -> GatewayError:
    """Make the error of a call that was not answered in time."""
    return GatewayError(
        Code.DEADLINE_EXCEEDED,
        "the service did not answer in time",
        reason="UPSTREAM_TIMEOUT",
        source=Source.UPSTREAM,
        metadata={"service": service},
    )


def queued_too_long(service: str) -> GatewayError:
    """Make the error of a call that no stream was free for in time.

    It is not the backend's: that is connected, and whoever holds the streams may do so on purpose.
    """
    return GatewayError(
        Code.DEADLINE_EXCEEDED,
        "too many requests are at the service, and none ended in time for this one",
        reason="UPSTREAM_QUEUE_TIMEOUT",
        metadata={"service": service},
    )


def connection_lost(service: str, detail: str) -> GatewayError:
    """Make the error of a call whose connection broke; `detail` is for the log."""
    return unavailable(
        "the connection to the service was lost",
        "UPSTREAM_CONNECTION_LOST",
        source=Source.UPSTREAM,
        log_reason=detail,
        service=service,
    )


def reset(service: str, error_code: int) -> GatewayError:
    """Make the error of a call that the backend ended with RST_STREAM."""
    code = _RESET_CODES.get(error_code, Code.INTERNAL)
    name = ErrorCode(error_code).name if error_code in ErrorCode._value2member_map_ else str(error_code)
    return GatewayError(
        code,
        "the service broke the call off",
        reason="UPSTREAM_RESET",
        source=Source.UPSTREAM,
        http=502 if code == Code.INTERNAL else None,
        metadata={"service": service, "http2_error": name},
        headers=((b"retry-after", b"1"),) if code == Code.UNAVAILABLE else (),
    )


def broken(service: str, detail: str) -> GatewayError:
    """Make the error of an answer that is not gRPC as specified; `detail` is for the log."""
    return GatewayError(
        Code.INTERNAL,
        "the service sent an answer that is not valid gRPC",
        reason="UPSTREAM_PROTOCOL_ERROR",
        source=Source.UPSTREAM,
        http=502,
        metadata={"service": service},
        log_reason=detail,
    )


def cut_short(service: str) -> GatewayError:
    """Make the error of an answer that ended inside a message."""
    return broken(service, "the answer ended inside a message")


def unreadable(service: str, error: FramingError) -> GatewayError:
    """Make the error of an answer that cannot be read: not framed as specified, or a message over the limit."""
    if not error.is_too_large:
        return broken(service, str(error))
    return GatewayError(
        Code.RESOURCE_EXHAUSTED,
        "the service sent a message that is larger than allowed",
        reason="UPSTREAM_MESSAGE_TOO_LARGE",
        source=Source.UPSTREAM,
        http=502,
        metadata={"service": service},
        log_reason=str(error),
    )


def cardinality(service: str, count: str) -> GatewayError:
    """Make the error of a unary call that was answered with no message, or with two."""
    return GatewayError(
        Code.UNIMPLEMENTED,
        f"the service answered a unary call with {count}",
        reason="UPSTREAM_PROTOCOL_ERROR",
        source=Source.UPSTREAM,
        http=502,
        metadata={"service": service},
    )


def metadata_too_large(service: str) -> GatewayError:
    """Make the error of a request whose header list the backend does not take."""
    return GatewayError(
        Code.RESOURCE_EXHAUSTED,
        "the request has more metadata than the service accepts",
        reason="METADATA_TOO_LARGE",
        http=431,
        metadata={"service": service},
    )


def describe(error: Exception, *, is_tls: bool) -> str:
    """Return for operators why a connection could not be opened."""
    text = str(error) or type(error).__name__
    if is_tls and isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError):
        # Not every server says why it hangs up during the handshake, and this is why most do.
        return f"{text} before HTTP/2 began; the server may demand a client certificate that it accepts"
    return text
