"""Floats in their shortest text."""

from __future__ import annotations

import json
import math
from struct import pack, unpack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.transcoding.short_floats import compile_shortener, shortest
from tests.unit.transcoding.scenes import as_json, descriptor, message_bytes


def _widened(value: float) -> float:
    return float(unpack("<f", pack("<f", value))[0])


@pytest.mark.parametrize("text", ["0.1", "-2.1", "3.14159", "16777217.0", "1e+20", "0.0", "65504.0", "1.1754944e-38"])
def test_floats_get_their_short_form_back(text: str) -> None:
    """semantics 17."""
    short = shortest(_widened(float(text)))
    assert repr(short) == text or (text == "16777217.0" and short == 16777216.0)


@pytest.mark.parametrize("value", [math.inf, -math.inf, 3.4028234663852886e38, -0.0])
def test_special_floats_stay(value: float) -> None:
    """The largest float's short form is beyond what the codec takes."""
    assert math.copysign(1, shortest(value)) == math.copysign(1, value)
    assert shortest(value) == value


def test_nan_stays() -> None:
    assert math.isnan(shortest(math.nan))


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_value_is_the_same_as_32_bits(value: float) -> None:
    assert pack("<f", shortest(value)) == pack("<f", value)


def _shortened(name: str, message: bytes) -> object:
    shorten = compile_shortener(descriptor(name))
    assert shorten is not None
    decoded = descriptor(name).type.from_binary(message)
    shorten(decoded)
    return as_json(name, decoded.to_binary()), decoded.to_json()


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        pytest.param("Scalars", {"aFloat": 0.1, "aDouble": 0.30000000000000004}, id="doubles_stay"),
        pytest.param("Optionals", {"aFloat": 0.1, "aMessage": {"aFloat": 0.2}}, id="presence"),
        pytest.param("Repeated", {"floats": [0.1, 0.2], "messages": [{"aFloat": 0.3}]}, id="lists"),
        pytest.param("Maps", {"sint32Float": {"1": 0.1}, "stringMessage": {"a": {"aFloat": 0.2}}}, id="maps"),
        pytest.param("Oneofs", {"message": {"aFloat": 0.1}}, id="oneof_message"),
        pytest.param("Oneofs", {"ratio": 0.1}, id="oneof_float"),
        pytest.param("Oneofs", {"number": 1}, id="oneof_without_float"),
        pytest.param("WellKnown", {"floatValue": 0.1}, id="wrapper"),
        pytest.param("Everything", {"scalars": {"aFloat": 0.1}, "wellKnown": {"floatValue": 0.2}}, id="nested"),
    ],
)
def test_floats_are_found_everywhere(name: str, fields: dict[str, object]) -> None:
    """semantics 17: fields, lists, maps, wrappers, at every depth."""
    shorten = compile_shortener(descriptor(name))
    assert shorten is not None
    decoded = descriptor(name).type.from_binary(message_bytes(name, **fields))
    shorten(decoded)
    assert json.loads(decoded.to_json()) == fields


def test_unset_fields_stay_unset() -> None:
    for name in ("Scalars", "Optionals", "Repeated", "Maps", "WellKnown", "Everything", "Oneofs"):
        shorten = compile_shortener(descriptor(name))
        assert shorten is not None
        decoded = descriptor(name).type()
        shorten(decoded)
        assert decoded.to_binary() == b""


@pytest.mark.parametrize("name", ["Tree", "Names", "google.protobuf.Struct", "legacy.Legacy"])
def test_types_without_floats_cost_nothing(name: str) -> None:
    assert compile_shortener(descriptor(name)) is None
