"""`grpc-status-details-bin`: what is shown, kept, left out."""

from __future__ import annotations

import json

import pytest
from google.protobuf import any_pb2, duration_pb2, json_format, wrappers_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from api_gateway.transcoding.status_details import StatusDetailsError, decode_status, error_info, retry_delay_s
from tests.unit.transcoding.scenes import REGISTRY, message_bytes


def _status(*details: Message, code: int = 5, message: str = "no such user") -> bytes:
    status = status_pb2.Status(code=code, message=message)
    for detail in details:
        status.details.add().Pack(detail)
    return bytes(status.SerializeToString())


_STANDARD = [
    error_details_pb2.ErrorInfo(reason="R", domain="d", metadata={"a": "b", "c": ""}),
    error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=1, nanos=500_000_000)),
    error_details_pb2.DebugInfo(stack_entries=["a", "b"], detail="d"),
    error_details_pb2.QuotaFailure(
        violations=[
            error_details_pb2.QuotaFailure.Violation(
                subject="s",
                description="d",
                api_service="a",
                quota_metric="m",
                quota_id="i",
                quota_dimensions={"region": "eu"},
                quota_value=5,
                future_quota_value=6,
            )
        ]
    ),
    error_details_pb2.PreconditionFailure(
        violations=[error_details_pb2.PreconditionFailure.Violation(type="t", subject="s", description="d")]
    ),
    error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(
                field="f",
                description="d",
                reason="R",
                localized_message=error_details_pb2.LocalizedMessage(locale="de", message="m"),
            )
        ]
    ),
    error_details_pb2.RequestInfo(request_id="r", serving_data="s"),
    error_details_pb2.ResourceInfo(resource_type="t", resource_name="n", owner="o", description="d"),
    error_details_pb2.Help(links=[error_details_pb2.Help.Link(description="d", url="u")]),
    error_details_pb2.LocalizedMessage(locale="de", message="m"),
    duration_pb2.Duration(seconds=5),
    wrappers_pb2.StringValue(value="x"),
]


@pytest.mark.parametrize("detail", _STANDARD, ids=lambda detail: detail.DESCRIPTOR.name)
def test_standard_details_are_built_in(detail: Message) -> None:
    """semantics 20: every field of every type, as Google's own definition prints it, without any registry."""
    decoded = decode_status(_status(detail), None)
    packed = any_pb2.Any()
    packed.Pack(detail)
    assert decoded.details == (json_format.MessageToDict(packed),)
    assert (decoded.code, decoded.message) == (5, "no such user")


def test_every_field_of_the_standard_details_is_set_in_the_table() -> None:
    """The table above would not notice a field that is missing on both sides."""
    for detail in _STANDARD[:10]:
        _assert_full(detail)


def _assert_full(message: Message) -> None:
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        assert value, field.full_name
        if field.message_type is not None and field.is_repeated and not field.message_type.GetOptions().map_entry:
            _assert_full(value[0])


def test_details_of_the_backends_own_types_are_read() -> None:
    """semantics 20."""
    status = status_pb2.Status(code=3)
    status.details.add(type_url="t/everything.Shelf", value=message_bytes("Shelf", theme="x", size=5))
    assert decode_status(status.SerializeToString(), REGISTRY).details == (
        {"@type": "t/everything.Shelf", "theme": "x", "size": "5"},
    )


@pytest.mark.parametrize(
    ("type_url", "value", "expected"),
    [
        pytest.param("t/foo.Bar", b"\xff", {"@type": "t/foo.Bar", "value": "/w=="}, id="unknown_type"),
        pytest.param("", b"a", {"@type": "", "value": "YQ=="}, id="no_type"),
        pytest.param(
            "t/google.rpc.ErrorInfo", b"\xff", {"@type": "t/google.rpc.ErrorInfo", "value": "/w=="}, id="other_bytes"
        ),
        pytest.param(
            "t/google.rpc.ErrorInfo",
            b"\x0a\x02\xff\xfe",
            {"@type": "t/google.rpc.ErrorInfo", "value": "CgL//g=="},
            id="not_utf8",
        ),
        pytest.param(
            "t/google.protobuf.Timestamp",
            b"\x08" + b"\xff" * 8 + b"\x7f",
            {"@type": "t/google.protobuf.Timestamp", "value": "CP//////////fw=="},
            id="no_json_form",
        ),
        pytest.param(
            "t/google.protobuf.Any",
            b"\x0a\x09t/foo.Bar\x12\x01a",
            {"@type": "t/google.protobuf.Any", "value": {"@type": "t/foo.Bar", "value": "YQ=="}},
            id="unknown_inside_known",
        ),
    ],
)
def test_details_nobody_can_read_are_kept_as_base64(type_url: str, value: bytes, expected: object) -> None:
    """semantics 20: never dropped, never a 500."""
    status = status_pb2.Status(code=3)
    status.details.add(type_url=type_url, value=value)
    assert decode_status(status.SerializeToString(), REGISTRY).details == (expected,)


def test_empty_status() -> None:
    decoded = decode_status(b"", None)
    assert (decoded.code, decoded.message, decoded.details) == (0, "", ())


@pytest.mark.parametrize("data", [b"\xff", b"\x12\x02\xff\xfe", b"\x1a\x05ab", b"\x0b" * 1000, b"\x00\x00"])
def test_broken_status_raises_its_own_error(data: bytes) -> None:
    """semantics 20, G25."""
    with pytest.raises(StatusDetailsError):
        decode_status(data, None)


def test_error_info_is_what_google_defines() -> None:
    """semantics 20."""
    info = error_info("NO_ROUTE", {"path": "/x"})
    packed = json_format.Parse(json.dumps(info), any_pb2.Any())
    detail = error_details_pb2.ErrorInfo()
    assert packed.Unpack(detail)
    assert (detail.reason, detail.domain, dict(detail.metadata)) == ("NO_ROUTE", "api-gateway", {"path": "/x"})


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.builds(
            lambda url, value: status_pb2.Status(details=[any_pb2.Any(type_url=url, value=value)]).SerializeToString(),
            st.sampled_from(
                ["t/google.rpc.BadRequest", "t/google.protobuf.Any", "t/google.protobuf.Struct", "t/", "x"]
            ),
            st.binary(max_size=40),
        ),
    )
)
def test_any_bytes_decode_or_raise_the_declared_error(data: bytes) -> None:
    """semantics 20, H22."""
    try:
        decoded = decode_status(data, REGISTRY)
    except StatusDetailsError:
        return
    json.dumps(decoded.details)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"", None, id="no_details"),
        pytest.param(b"\xff", None, id="nonsense"),
        pytest.param(_status(), None, id="none"),
        pytest.param(_status(error_details_pb2.ErrorInfo(reason="R")), None, id="another"),
        pytest.param(_status(_STANDARD[0], _STANDARD[1]), 1.5, id="stated"),
        pytest.param(_status(error_details_pb2.RetryInfo()), 0.0, id="at_once"),
        pytest.param(
            _status(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(seconds=-3))), 0.0, id="negative"
        ),
    ],
)
def test_delay_that_a_status_asks_for(data: bytes, expected: float | None) -> None:
    assert retry_delay_s(data) == expected


def test_unreadable_delay_asks_for_nothing() -> None:
    status = status_pb2.Status(code=8)
    status.details.add(type_url="type.googleapis.com/google.rpc.RetryInfo", value=b"\x0a\xff")
    assert retry_delay_s(bytes(status.SerializeToString())) is None
