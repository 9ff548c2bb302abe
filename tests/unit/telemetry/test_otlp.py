"""The bytes of OTLP. That receivers read them is shown by tests/e2e/test_gateway_traces.py."""

from __future__ import annotations

import pytest

from api_gateway.model.errors import GatewayError
from api_gateway.telemetry import otlp
from tests.unit.telemetry.span_records import fields, message


@pytest.mark.parametrize(
    ("number", "data"),
    [
        pytest.param(0, b"\x00", id="zero"),
        pytest.param(127, b"\x7f", id="one_byte"),
        pytest.param(128, b"\x80\x01", id="two_bytes"),
        pytest.param(300, b"\xac\x02", id="documented_example"),
        pytest.param(-1, b"\xff" * 9 + b"\x01", id="negative"),
    ],
)
def test_varint(number: int, data: bytes) -> None:
    assert otlp.varint(number) == data


def test_texts_that_are_not_utf8_are_repaired() -> None:
    """One broken text would have a receiver refuse the whole batch."""
    assert otlp.utf8(b"caf\xe9") == "caf\ufffd".encode()
    assert otlp.utf8("café".encode()) == "café".encode()


def test_long_fields_have_long_lengths() -> None:
    assert fields(otlp.text_attribute(otlp.key("k"), b"v" * 300))[9] == [otlp.text_value(otlp.key("k"), b"v" * 300)]


def test_envelope_holds_resource_scope_and_spans() -> None:
    spans = [otlp.field(b"\x12", b"\x2a\x01a"), otlp.field(b"\x12", b"\x2a\x01b")]
    request = otlp.Envelope({"service.name": "x", "process.pid": 7}, scope="s", version="1").wrap(spans)
    (group,) = fields(request)[1]
    (resource,), (scope_spans,) = message(group)[1], message(group)[2]
    assert message(resource)[1] == [
        otlp.text_value(otlp.key("service.name"), b"x"),
        otlp.int_value(otlp.key("process.pid"), 7),
    ]
    assert message(scope_spans)[1] == [b"\x0a\x01s\x12\x011"]
    assert message(scope_spans)[2] == [b"\x2a\x01a", b"\x2a\x01b"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(b"", (0, ""), id="all_taken"),
        pytest.param(b"\x0a\x07\x08\x05\x12\x03bad", (5, "bad"), id="some_rejected"),
        pytest.param(b"\x0a\x05\x12\x03hmm", (0, "hmm"), id="warning"),
        pytest.param(b"\x10\x01\x0a\x02\x08\x01", (1, ""), id="unknown_field"),
    ],
)
def test_partial_success(answer: bytes, expected: tuple[int, str]) -> None:
    assert otlp.read_rejected(answer) == expected


@pytest.mark.parametrize("answer", [b"\x0a\x05\x08", b"\x0a", b"\xff" * 12, b"\x0b", b"\x0a\x02\x08\x80"])
def test_broken_answer_is_an_error(answer: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        otlp.read_rejected(answer)
    assert caught.value.reason == "BAD_EXPORT_ANSWER"
