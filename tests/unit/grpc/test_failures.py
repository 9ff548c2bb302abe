"""The errors of calls: code, HTTP status and reason of each."""

from __future__ import annotations

import pytest
from ngh2 import ErrorCode

from api_gateway.grpc import failures
from api_gateway.grpc.framing import FramingError
from api_gateway.grpc.metadata import Status
from api_gateway.model.errors import GatewayError, Source
from api_gateway.model.status import Code


@pytest.mark.parametrize(
    ("error", "code", "http", "reason"),
    [
        (failures.unreachable("s", "refused"), Code.UNAVAILABLE, 503, "UPSTREAM_UNAVAILABLE"),
        (failures.deadline_exceeded("s"), Code.DEADLINE_EXCEEDED, 504, "UPSTREAM_TIMEOUT"),
        (failures.connection_lost("s", "reset"), Code.UNAVAILABLE, 503, "UPSTREAM_CONNECTION_LOST"),
        (failures.broken("s", "flag"), Code.INTERNAL, 502, "UPSTREAM_PROTOCOL_ERROR"),
        (failures.cut_short("s"), Code.INTERNAL, 502, "UPSTREAM_PROTOCOL_ERROR"),
        (failures.unreadable("s", FramingError("flag")), Code.INTERNAL, 502, "UPSTREAM_PROTOCOL_ERROR"),
        (
            failures.unreadable("s", FramingError("long", is_too_large=True)),
            Code.RESOURCE_EXHAUSTED,
            502,
            "UPSTREAM_MESSAGE_TOO_LARGE",
        ),
        (failures.cardinality("s", "no message"), Code.UNIMPLEMENTED, 502, "UPSTREAM_PROTOCOL_ERROR"),
    ],
)
def test_what_clients_are_told(error: GatewayError, code: Code, http: int, reason: str) -> None:
    """semantics 21: 502 for what the backend broke; the service is named, the detail is for the log."""
    assert (error.code, error.http, error.reason, error.source) == (code, http, reason, Source.UPSTREAM)
    assert error.metadata["service"] == "s"
    assert not error.log_reason or error.log_reason not in error.message


@pytest.mark.parametrize(
    ("error_code", "code"),
    [
        (ErrorCode.NO_ERROR, Code.INTERNAL),
        (ErrorCode.PROTOCOL_ERROR, Code.INTERNAL),
        (ErrorCode.FLOW_CONTROL_ERROR, Code.INTERNAL),
        (ErrorCode.STREAM_CLOSED, Code.INTERNAL),
        (ErrorCode.REFUSED_STREAM, Code.UNAVAILABLE),
        (ErrorCode.CANCEL, Code.CANCELLED),
        (ErrorCode.ENHANCE_YOUR_CALM, Code.RESOURCE_EXHAUSTED),
        (ErrorCode.INADEQUATE_SECURITY, Code.PERMISSION_DENIED),
        (ErrorCode.HTTP_1_1_REQUIRED, Code.INTERNAL),
        pytest.param(4_711, Code.INTERNAL, id="a code that HTTP/2 does not define"),
    ],
)
def test_resets(error_code: int, code: Code) -> None:
    """G31: the table of PROTOCOL-HTTP2.md."""
    assert failures.reset("s", error_code).code == code


def test_a_stated_status_keeps_its_words_and_details() -> None:
    """Nothing of what the backend said is lost, and no reason of ours is put into its mouth."""
    error = failures.stated(Status(code=Code.ABORTED, message="again", details=b"d"))
    assert (error.code, error.message, error.details, error.reason) == (Code.ABORTED, "again", b"d", "")


def test_the_clients_own_metadata_may_be_at_fault() -> None:
    """431: the request is too large for this backend."""
    error = failures.metadata_too_large("s")
    assert (error.code, error.http, error.source) == (Code.RESOURCE_EXHAUSTED, 431, Source.GATEWAY)


@pytest.mark.parametrize(
    ("error", "is_tls", "text"),
    [
        (ConnectionRefusedError("refused"), True, "refused"),
        (ConnectionResetError("reset"), False, "reset"),
        (ConnectionResetError("reset"), True, "may demand a client certificate"),
        (OSError(), True, "OSError"),
    ],
)
def test_failures_are_described(error: Exception, is_tls: bool, text: str) -> None:
    """Never an empty text, and a hint where servers hang up without a word."""
    assert text in failures.describe(error, is_tls=is_tls)


def test_a_call_that_was_never_sent_is_no_failure_of_the_backend() -> None:
    """semantics 40."""
    error = failures.queued_too_long("s")
    assert (error.code, error.http, error.reason) == (Code.DEADLINE_EXCEEDED, 504, "UPSTREAM_QUEUE_TIMEOUT")
    assert (error.source, error.metadata["service"]) == (Source.GATEWAY, "s")
