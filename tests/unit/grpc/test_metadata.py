"""Binary values and statuses on the wire. Which metadata is sent on: `tests/unit/transcoding/test_headers.py`."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.grpc.metadata import (
    Status,
    decode_binary_value,
    decode_status_message,
    is_grpc_content_type,
    read_status,
    status_without_grpc,
)
from api_gateway.model.status import Code


@given(st.binary(max_size=30))
def test_binary_values_are_read_padded_and_unpadded(value: bytes) -> None:
    """G11."""
    padded = base64.b64encode(value)
    assert decode_binary_value(padded) == decode_binary_value(padded.rstrip(b"=")) == value


@pytest.mark.parametrize("wire", [b"CAUSAm5v", b"CAU", b"CAU="])
def test_details_are_read_padded_and_unpadded(wire: bytes) -> None:
    """G11."""
    status = read_status([(b"grpc-status", b"5"), (b"grpc-status-details-bin", wire)])
    assert status is not None
    assert status.details == (b"\x08\x05\x12\x02no" if len(wire) == 8 else b"\x08\x05")


@pytest.mark.parametrize("value", [b"a", b"a!b", b"ab\ncd", b"====="])
def test_junk_is_not_base64(value: bytes) -> None:
    """G11: Python's own decoder ignores junk; ours must not."""
    with pytest.raises(ValueError, match="not base64"):
        decode_binary_value(value)


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        (b"plain", "plain"),
        (b"caf%C3%A9", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"),
        pytest.param(b"100%", "100%", id="an escape cut short stays"),
        pytest.param(b"%zz", "%zz", id="a bad escape stays"),
        pytest.param(b"%ff", "\N{REPLACEMENT CHARACTER}", id="bad UTF-8 is replaced"),
    ],
)
def test_status_messages(wire: bytes, text: str) -> None:
    """G23: never raises, never loses the call."""
    assert decode_status_message(wire) == text


@given(st.binary(max_size=40))
def test_no_status_message_raises(wire: bytes) -> None:
    """G23: whatever the bytes."""
    decode_status_message(wire)


@pytest.mark.parametrize("value", [b"abc", b"-1", b"", b"99999999999", b"1 ", b"+1", b"1_0"])
def test_malformed_status_is_unknown(value: bytes) -> None:
    """G24: error parsing the returned status."""
    status = read_status([(b"grpc-status", value)])
    assert status is not None
    assert status.code == Code.UNKNOWN


def test_details_that_cannot_be_decoded_do_not_lose_the_status() -> None:
    """G25: the call ends with its code."""
    trailers = [(b"grpc-status", b"5"), (b"grpc-message", b"no"), (b"grpc-status-details-bin", b"!")]
    assert read_status(trailers) == Status(code=5, message="no")


def test_no_status_is_none() -> None:
    """G15: the caller decides what that means."""
    assert read_status([(b"x", b"y")]) is None


def test_an_html_page_is_shown_in_part() -> None:
    """G20: the first bytes, bounded."""
    status = status_without_grpc(503, b"text/html", b"<html>" + b"x" * 1000)
    assert status.code == Code.UNAVAILABLE
    assert "text/html" in status.message
    assert "<html>" in status.message
    assert len(status.message) < 400


@pytest.mark.parametrize(
    ("value", "is_ours"),
    [
        (b"application/grpc", True),
        (b"application/grpc+proto", True),
        (b"application/grpc;charset=utf-8", True),
        (b"application/grpc+thrift", False),
        (b"application/grpc-web", False),
        (b"text/html", False),
        (b"", False),
    ],
)
def test_content_types(value: bytes, is_ours: bool) -> None:
    """G21: another codec is an error."""
    assert is_grpc_content_type(value) is is_ours
