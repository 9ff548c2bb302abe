"""Numbers that round to the largest 32-bit float are that float, wherever they stand."""

from __future__ import annotations

import json
import struct

import pytest
from protobuf import Message, Registry

from api_gateway.config.settings import TranscodingSettings
from api_gateway.model.errors import GatewayError
from api_gateway.transcoding.json_decoder import JsonDecoder
from tests.support.descriptors import method_of, schema_of

LARGEST = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]


def decoded(method: str, text: str) -> Message:
    schema = schema_of("everything.proto")
    message = method_of(schema, f"everything.EverythingService/{method}").input
    return JsonDecoder(message, TranscodingSettings(), Registry()).decode(text.encode())


@pytest.mark.parametrize(
    "number", ["3.4028235e38", "3.4028235e+38", '"3.4028235e+38"', "340282350000000000000000000000000000000.0"]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_float_as_writers_print_it(number: str, sign: int) -> None:
    signed = number if sign > 0 else number.replace("3", "-3", 1)
    message = decoded("EchoScalars", f'{{"aFloat": {signed}, "aDouble": 3.4028235e38}}')
    assert (message.a_float, message.a_double) == (sign * LARGEST, 3.4028235e38)  # type: ignore[attr-defined] # fields of the schema


@pytest.mark.parametrize(
    ("method", "text"),
    [
        pytest.param("EchoRepeated", '{"floats": [1, 3.4028235e38]}', id="list"),
        pytest.param("EchoMaps", '{"sint32Float": {"7": 3.4028235e38}}', id="map"),
        pytest.param("EchoOneofs", '{"ratio": 3.4028235e38}', id="oneof"),
        pytest.param("EchoWellKnown", '{"floatValue": 3.4028235e38}', id="wrapper"),
        pytest.param("Echo", '{"scalars": {"a_float": 3.4028235e38}}', id="message"),
        pytest.param("EchoRepeated", '{"messages": [{"aFloat": 3.4028235e38}]}', id="message in a list"),
        pytest.param("EchoMaps", '{"stringMessage": {"k": {"aFloat": 3.4028235e38}}}', id="message in a map"),
    ],
)
def test_wherever_floats_stand(method: str, text: str) -> None:
    exact = json.dumps(json.loads(text)).replace("3.4028235e+38", str(LARGEST))
    assert decoded(method, text) == decoded(method, exact)


@pytest.mark.parametrize(
    "number", ["3.4028236e38", "-3.4028236e38", "1e39", '"3.4028235e3_8"', '" 3.4028235e38"', '"x"']
)
def test_what_is_larger_is_refused(number: str) -> None:
    with pytest.raises(GatewayError) as refused:
        decoded("EchoScalars", f'{{"aFloat": {number}}}')
    assert refused.value.metadata["field"] == "aFloat"


def test_the_error_is_about_what_is_wrong_beside_it() -> None:
    with pytest.raises(GatewayError) as refused:
        decoded("EchoScalars", '{"aFloat": 3.4028235e38, "anInt32": "x"}')
    assert refused.value.metadata["field"] == "anInt32"


def test_long_texts_are_not_searched() -> None:
    """H13: refusing costs no more than reading."""
    with pytest.raises(GatewayError):
        decoded("EchoRepeated", '{"floats": [3.4028235e38' + ", 1" * 100_000 + "]}")
