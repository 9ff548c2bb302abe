"""Answers as ProtoJSON, compared with Google's library."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_gateway.model.errors import GatewayError, Source
from api_gateway.model.status import Code
from tests.unit.transcoding.scenes import encoder, message_bytes
from tests.unit.transcoding.strategies import POOL, message_class, messages, same_json, same_message

_METHODS = {
    "everything.Scalars": "EchoScalars",
    "everything.Optionals": "EchoOptionals",
    "everything.Repeated": "EchoRepeated",
    "everything.Maps": "EchoMaps",
    "everything.Oneofs": "EchoOneofs",
    "everything.WellKnown": "EchoWellKnown",
    "everything.Keywords": "EchoKeywords",
    "everything.Names": "EchoNames",
    "everything.Tree": "EchoTree",
    "everything.Everything": "Echo",
    "legacy.Legacy": "legacy.LegacyService/Echo",
    "modern.Modern": "modern.ModernService/Echo",
}
_OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "emit_defaults": {"always_print_fields_with_no_presence": True},
    "preserve_proto_names": {"preserving_proto_field_name": True},
    "enums_as_ints": {"use_integers_for_enums": True},
}


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def _tag(number: int, payload: bytes) -> bytes:
    """Return a length-delimited field."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _any(type_url: str, value: bytes) -> bytes:
    return _tag(1, type_url.encode()) + _tag(2, value)


@pytest.mark.parametrize("option", _OPTIONS)
@pytest.mark.parametrize("name", _METHODS)
@settings(max_examples=42, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_writes_what_google_writes(name: str, option: str, data: st.DataObject) -> None:
    """semantics 17: ProtoJSON exactly, with each option. 12 x 4 x 42 are 2,016 messages."""
    message = data.draw(messages(name))
    chosen: dict[str, Any] = {option: True} if option != "default" else {}
    kind, body = encoder(_METHODS[name], **chosen).encode(message.SerializeToString())
    expected = json.loads(json_format.MessageToJson(message, descriptor_pool=POOL, **_OPTIONS[option]))
    if option == "enums_as_ints":
        # An intended difference: NullValue is null in ProtoJSON whatever the option; Google's Python writes 0.
        expected = _null_values(expected)
    assert kind == b"application/json"
    assert b"\n" not in body
    assert same_json(json.loads(body), expected)


def _null_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: None if key == "nullValue" else _null_values(item) for key, item in value.items()}
    return [_null_values(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", _METHODS)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_google_reads_what_we_write(name: str, data: st.DataObject) -> None:
    """semantics 17: nothing is lost on the way out."""
    message = data.draw(messages(name))
    body = encoder(_METHODS[name]).encode(message.SerializeToString())[1].decode()
    again = json_format.Parse(body, message_class(name)(), descriptor_pool=POOL)
    expected = json_format.Parse(
        json_format.MessageToJson(message, descriptor_pool=POOL), message_class(name)(), descriptor_pool=POOL
    )
    assert same_message(again, expected)


_EMPTY_ANSWER: dict[str, str] = {
    "shelf": "{}",
    "shelves": "[]",
    "counts": "{}",
    "note": '""',
    "size": '"0"',
    "colour": '"COLOUR_UNSPECIFIED"',
    "raw": '""',
    "ratio": "0.0",
    "at": "null",
    "value": "null",
    "number": "null",
    "chosen": "{}",
    "sizes": "[]",
    "maybe": "null",
    "any": "null",
    "flag": "false",
    "wrapped": "null",
}
_FULL_ANSWER: dict[str, Any] = {
    "shelf": {"name": "s", "size": "5"},
    "shelves": [{"name": "a"}, {}],
    "counts": {"a": "1", 'q"': "2"},
    "note": 'line\n"quoted" ☃',
    "size": "-9223372036854775808",
    "colour": "COLOUR_RED",
    "raw": "+/8=",
    "ratio": "NaN",
    "at": "2020-01-01T00:00:00Z",
    "value": [1.0, None, {"a": "b"}],
    "number": 5,
    "sizes": ["1", "2"],
    "maybe": "",
    "any": {"@type": "type.googleapis.com/everything.Tree", "name": "t"},
    "flag": True,
    "wrapped": "w",
}


@pytest.mark.parametrize("field", _EMPTY_ANSWER)
def test_response_body_of_an_empty_answer(field: str) -> None:
    """semantics 13: what is not set is null, an ordinary message {}, and without presence the default."""
    assert encoder("FieldBody", field).encode(b"") == (b"application/json", _EMPTY_ANSWER[field].encode())


@pytest.mark.parametrize("field", _FULL_ANSWER)
def test_response_body_is_the_value_of_the_field(field: str) -> None:
    """semantics 13: scalar, list, map and message fields alike."""
    body = encoder("FieldBody", field).encode(message_bytes("AnswerFields", **_FULL_ANSWER))[1]
    assert json.loads(body) == _FULL_ANSWER[field]


def test_response_body_follows_the_options() -> None:
    """semantics 17."""
    answer = message_bytes("AnswerFields", shelf={"name": "s"}, colour="COLOUR_RED")
    shelf = json.loads(encoder("FieldBody", "shelf", emit_defaults=True).encode(answer)[1])
    assert shelf["theme"] == ""
    assert encoder("FieldBody", "colour", enums_as_ints=True).encode(answer)[1] == b"1"


def test_response_body_must_be_a_field() -> None:
    with pytest.raises(ValueError, match="has no field nope"):
        encoder("FieldBody", "nope")


def test_response_body_is_found_by_either_name() -> None:
    assert encoder("EchoScalars", "an_int32").encode(b"\x18\x05")[1] == b"5"
    assert encoder("EchoScalars", "anInt32").encode(b"\x18\x05")[1] == b"5"


def test_empty_is_an_empty_object() -> None:
    """semantics 18."""
    assert encoder("Nothing").encode(b"") == (b"application/json", b"{}")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(_tag(1, b"image/png") + _tag(2, b"\x89\x00"), (b"image/png", b"\x89\x00"), id="typed"),
        pytest.param(_tag(2, b"\x00"), (b"application/octet-stream", b"\x00"), id="untyped_is_octets"),
        pytest.param(_tag(1, b"text/plain; charset=utf-8"), (b"text/plain; charset=utf-8", b""), id="no_data"),
        pytest.param(b"", (b"application/octet-stream", b""), id="empty"),
    ],
)
def test_http_body_is_raw(message: bytes, expected: tuple[bytes, bytes]) -> None:
    """semantics 18: as the answer, and as its `response_body` field."""
    assert encoder("RawUpload").is_raw
    assert encoder("RawUpload").encode(message) == expected
    field = encoder("FieldBody", "file")
    assert field.is_raw
    assert field.encode(_tag(10, message)) == expected
    assert field.encode(b"") == (b"application/octet-stream", b"")


@pytest.mark.parametrize(
    "content_type", [b"text/plain\r\nset-cookie: a=b", "text/ü".encode(), b"\x00", b"a" * 100 + b"\n"]
)
def test_http_body_cannot_inject_headers(content_type: bytes) -> None:
    """semantics 28 in spirit: a content type that is no header value is a broken answer."""
    with pytest.raises(GatewayError) as caught:
        encoder("RawUpload").encode(_tag(1, content_type))
    assert (caught.value.http, caught.value.reason) == (502, "UPSTREAM_INVALID_MESSAGE")


@pytest.mark.parametrize(
    ("method", "message"),
    [
        pytest.param("EchoScalars", b"\xff", id="varint_cut"),
        pytest.param("EchoScalars", b"\x00\x01", id="field_0"),
        pytest.param("EchoScalars", b"\x1f", id="wire_type_7"),
        pytest.param("EchoScalars", b"\x72\x05ab", id="string_cut"),
        pytest.param("EchoScalars", b"\x72\x02\xff\xfe", id="string_not_utf8"),
        pytest.param("EchoScalars", b"\x72\xff\xff\xff\xff\x0f", id="length_4_gib"),
        pytest.param("EchoScalars", b"\xa3\x06" * 100_000, id="deep_groups"),
        pytest.param("EchoTree", b"\x12\x7e" * 5_000, id="deep_lengths_that_lie"),
        pytest.param("EchoWellKnown", _tag(1, b"\x08" + b"\xff" * 8 + b"\x7f"), id="timestamp_out_of_range"),
        pytest.param("EchoWellKnown", _tag(2, b"\x08" + b"\xff" * 8 + b"\x7f"), id="duration_out_of_range"),
        pytest.param("EchoWellKnown", _tag(3, _tag(1, b"foo_1")), id="mask_without_json_form"),
        pytest.param("EchoWellKnown", _tag(5, b""), id="value_without_kind"),
        pytest.param("EchoWellKnown", _tag(5, b"\x11" + b"\xff" * 8), id="value_nan"),
        pytest.param("EchoWellKnown", _tag(7, _any("t/everything.Scalars", b"\xff")), id="any_of_other_bytes"),
        pytest.param("EchoWellKnown", _tag(7, _any("t/", b"a")), id="any_without_name"),
        pytest.param("legacy.LegacyService/Echo", b"", id="required_missing"),
    ],
)
def test_undecodable_answers_are_bad_gateway(method: str, message: bytes) -> None:
    """semantics 16, 21, H14: 502, never 500; the codec's words go to the log only."""
    with pytest.raises(GatewayError) as caught:
        encoder(method).encode(message)
    error = caught.value
    assert (error.http, error.code, error.reason) == (502, Code.INTERNAL, "UPSTREAM_INVALID_MESSAGE")
    assert error.source is Source.UPSTREAM
    assert error.message == "the backend sent a message that cannot be decoded"
    assert error.log_reason


def test_deep_answers_are_bad_gateway_not_a_crash() -> None:
    """H14: more than 100 levels of messages."""
    message = b""
    for _ in range(5_000):
        message = _tag(2, message)
    with pytest.raises(GatewayError, match="cannot be decoded"):
        encoder("EchoTree").encode(message)


def test_any_of_known_types_is_resolved() -> None:
    """semantics 17: with the backend's types, the well-known ones and the standard error details."""
    message = _tag(19, _any("t/everything.Tree", _tag(1, b"x")))
    message += _tag(19, _any("t/google.protobuf.Duration", b"\x08\x05"))
    message += _tag(19, _any("t/google.rpc.ErrorInfo", _tag(1, b"R")))
    assert json.loads(encoder("EchoWellKnown").encode(message)[1])["anys"] == [
        {"@type": "t/everything.Tree", "name": "x"},
        {"@type": "t/google.protobuf.Duration", "value": "5s"},
        {"@type": "t/google.rpc.ErrorInfo", "reason": "R"},
    ]


def test_any_of_unknown_type_is_base64() -> None:
    """semantics 20 in spirit: an answer is not lost because one type in it is unknown; at every depth."""
    unknown = _any("t/foo.Bar", b"\xff\x00")
    message = _tag(7, unknown) + _tag(19, _any("t/everything.WellKnown", _tag(7, unknown)))
    message += _tag(19, _any("t/everything.Tree", _tag(1, b"x")))
    assert json.loads(encoder("EchoWellKnown").encode(message)[1]) == {
        "any": {"@type": "t/foo.Bar", "value": "/wA="},
        "anys": [
            {"@type": "t/everything.WellKnown", "any": {"@type": "t/foo.Bar", "value": "/wA="}},
            {"@type": "t/everything.Tree", "name": "x"},
        ],
    }
    assert encoder("FieldBody", "any").encode(_tag(16, unknown))[1] == b'{"@type":"t/foo.Bar","value":"/wA="}'


def test_float32_prints_as_it_was_written() -> None:
    """semantics 17: 0.1 and not 0.10000000149011612."""
    assert encoder("EchoScalars").encode(message_bytes("Scalars", aFloat=0.1))[1] == b'{"aFloat":0.1}'


def test_float32_inside_any_prints_all_its_digits() -> None:
    """An intended difference: the codec widens floats inside an Any, the value is the same."""
    message = _tag(7, _any("t/everything.Scalars", message_bytes("Scalars", aFloat=0.1)))
    assert b"0.10000000149011612" in encoder("EchoWellKnown").encode(message)[1]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_encode_or_are_bad_gateway(message: bytes) -> None:
    """H14, H22: nothing but the declared error, whatever the backend sends."""
    for method in ("EchoScalars", "EchoWellKnown", "EchoTree", "EchoMaps", "RawUpload", "legacy.LegacyService/Echo"):
        try:
            kind, body = encoder(method).encode(message)
        except GatewayError as error:
            assert error.http == 502
        else:
            assert kind != b"application/json" or method == "RawUpload" or isinstance(json.loads(body), dict)
