"""The one error that may reach a client. It knows its code, whose fault it is and whether a retry is safe.

`edge/respond.py` is the only place that turns it into an HTTP response.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from .headers import HeaderBlock
from .status import Code, http_status


class Source(Enum):
    """Whose fault an error is."""

    CLIENT = "client"
    GATEWAY = "gateway"
    UPSTREAM = "upstream"


class Wording:
    """Shared by errors that are told in the same words again and again: they are written once, by `edge/respond.py`.

    Everything that an answer tells must be the same in all errors of one wording, their headers too.
    """

    __slots__ = ("body", "headers")

    def __init__(self) -> None:
        self.body = b""
        self.headers: HeaderBlock | None = None
        """None until the first of them was written."""


class GatewayError(Exception):
    """A request that ends without its answer.

    `message` is safe to show to clients. `reason` (UPPER_SNAKE, at most 63 characters) and `metadata` become the
    `google.rpc.ErrorInfo` of errors the gateway makes itself; errors that a backend stated have no reason and carry the
    backend's `details` (a serialized `google.rpc.Status`, empty when there was none). `log_reason` is for the log only.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        reason: str = "",
        source: Source = Source.GATEWAY,
        http: int | None = None,
        metadata: Mapping[str, str] | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        details: bytes = b"",
        retryable: bool = False,
        close: bool = False,
        log_reason: str = "",
        wording: Wording | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.source = source
        self.http = http if http is not None else http_status(code)
        self.metadata = metadata or {}
        self.headers = headers
        self.details = details
        self.retryable = retryable
        self.close = close
        """Whether the client connection must be closed after the answer."""
        self.log_reason = log_reason
        self.attempts = 1
        """Times the backend was called before it was given up."""
        self.wording = wording

    def for_log(self) -> str:
        """Return the message with what only the log may tell."""
        return f"{self.message} ({self.log_reason})" if self.log_reason else self.message


def bad_request(message: str, reason: str = "BAD_REQUEST", *, close: bool = False, **metadata: str) -> GatewayError:
    """Make the error for a request that no retry can mend (400 INVALID_ARGUMENT)."""
    return GatewayError(
        Code.INVALID_ARGUMENT, message, reason=reason, source=Source.CLIENT, metadata=metadata, close=close
    )


def unavailable(
    message: str,
    reason: str,
    *,
    retry_after_s: int = 1,
    source: Source = Source.GATEWAY,
    log_reason: str = "",
    **metadata: str,
) -> GatewayError:
    """Make the error for something that may work later (503 UNAVAILABLE with `Retry-After`)."""
    return GatewayError(
        Code.UNAVAILABLE,
        message,
        reason=reason,
        source=source,
        metadata=metadata,
        headers=((b"retry-after", b"%d" % retry_after_s),),
        retryable=True,
        log_reason=log_reason,
    )
