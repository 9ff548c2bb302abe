"""Which content types a body may have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.model.errors import GatewayError
from api_gateway.transcoding.content_type import Format, format_of, format_of_body, refuse_encoded


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        pytest.param(b"", Format.JSON, id="none"),
        pytest.param(b"application/json", Format.JSON, id="json"),
        pytest.param(b"Application/JSON", Format.JSON, id="case"),
        pytest.param(b"application/json; charset=utf-8", Format.JSON, id="charset"),
        pytest.param(b'application/json ;charset="UTF-8"', Format.JSON, id="quoted_charset"),
        pytest.param(b"application/json;", Format.JSON, id="empty_parameter"),
        pytest.param(b"application/json; version=1; charset=utf8", Format.JSON, id="other_parameter"),
        pytest.param(b"application/merge-patch+json", Format.JSON, id="json_suffix"),
        pytest.param(b"application/vnd.acme.v1+json; charset=utf-8", Format.JSON, id="vendor"),
        pytest.param(b"application/x-www-form-urlencoded", Format.FORM, id="form"),
        pytest.param(b"application/x-www-form-urlencoded; charset=UTF-8", Format.FORM, id="form_charset"),
    ],
)
def test_supported_types(content_type: bytes, expected: Format) -> None:
    """semantics 14."""
    assert format_of(content_type) is expected


@pytest.mark.parametrize(
    "content_type",
    [
        pytest.param(b"text/plain", id="text"),
        pytest.param(b"text/json", id="text_json"),
        pytest.param(b"application/xml", id="xml"),
        pytest.param(b"application/grpc", id="grpc"),
        pytest.param(b"application/grpc+proto", id="grpc_proto"),
        pytest.param(b"multipart/form-data; boundary=x", id="multipart"),
        pytest.param(b"application/jsonx", id="longer"),
        pytest.param(b"application/json; charset=latin-1", id="latin1"),
        pytest.param(b'application/json; charset="utf-16"', id="utf16"),
        pytest.param(b"application/json; charset=utf-8; charset=utf-7", id="two_charsets"),
        pytest.param(b"application/json, text/html", id="two_values"),
        pytest.param(b"application/json\x00", id="nul"),
        pytest.param(b"application", id="no_slash"),
        pytest.param(b"/", id="slash"),
        pytest.param(b"application/json" + b"; a=b" * 100, id="long"),
    ],
)
def test_other_types_are_415(content_type: bytes) -> None:
    """semantics 14."""
    with pytest.raises(GatewayError) as caught:
        format_of(content_type)
    assert (caught.value.http, caught.value.reason) == (415, "UNSUPPORTED_MEDIA_TYPE")


@given(st.one_of(st.binary(max_size=60), st.text('application/json;=" charset', max_size=60).map(str.encode)))
def test_any_value_is_decided(content_type: bytes) -> None:
    try:
        format_of(content_type)
    except GatewayError as error:
        assert error.http == 415


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b'{"name": "Ada"}', Format.JSON, id="what curl -d sends"),
        pytest.param(b' \n{"name": "Ada"}', Format.JSON, id="space before it"),
        pytest.param(b"name=Ada", Format.FORM, id="a form"),
        pytest.param(b"name={}", Format.FORM, id="a brace inside"),
        pytest.param(b"", Format.FORM, id="nothing"),
    ],
)
def test_json_that_curl_calls_a_form(body: bytes, expected: Format) -> None:
    """semantics 14: newcomers forget the header; the body says what it is."""
    assert format_of_body(b"application/x-www-form-urlencoded", body) is expected


def test_json_stays_json_whatever_it_holds() -> None:
    """A body labelled JSON is never taken for a form."""
    assert format_of_body(b"application/json", b"a=b") is Format.JSON


@pytest.mark.parametrize("encoding", [b"gzip", b"GZIP", b"x", b"gzip, gzip", b"", b"identity, gzip"])
def test_encoded_bodies_are_refused(encoding: bytes) -> None:
    """H12, semantics 14: 415 with what would be taken; no bomb is unpacked."""
    with pytest.raises(GatewayError) as caught:
        refuse_encoded({b"content-encoding": encoding})
    error = caught.value
    assert (error.http, error.reason) == (415, "UNSUPPORTED_CONTENT_ENCODING")
    assert error.headers == ((b"accept-encoding", b"identity"),)


@pytest.mark.parametrize("headers", [{}, {b"content-encoding": b"identity"}, {b"content-encoding": b"Identity"}])
def test_plain_bodies_pass(headers: dict[bytes, bytes]) -> None:
    refuse_encoded(headers)
