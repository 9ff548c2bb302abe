"""Well-known types as text: times, durations, masks, wrappers."""

from __future__ import annotations

import math
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protobuf import DescEnum, ScalarType

from api_gateway.transcoding.fields import Element, element_of
from api_gateway.transcoding.text_values import converter_for
from tests.unit.transcoding.scenes import REGISTRY, descriptor


def _convert(element: Element, text: str) -> Any:
    convert: Callable[[str], object] | None = converter_for(element)
    assert convert is not None
    return convert(text)


def _enum(name: str) -> DescEnum:
    found = REGISTRY.enum(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("scalar", "text", "value"),
    [
        pytest.param(ScalarType.INT32, "0", 0, id="zero"),
        pytest.param(ScalarType.INT32, "-0", 0, id="minus_zero"),
        pytest.param(ScalarType.INT32, "-2147483648", -(2**31), id="int32_min"),
        pytest.param(ScalarType.SFIXED32, "2147483647", 2**31 - 1, id="int32_max"),
        pytest.param(ScalarType.UINT32, "4294967295", 2**32 - 1, id="uint32_max"),
        pytest.param(ScalarType.SINT64, "-9223372036854775808", -(2**63), id="int64_min"),
        pytest.param(ScalarType.FIXED64, "18446744073709551615", 2**64 - 1, id="uint64_max"),
        pytest.param(ScalarType.INT32, "1e3", 1000, id="exponent"),
        pytest.param(ScalarType.INT32, "5.0", 5, id="whole_fraction"),
        pytest.param(ScalarType.UINT64, "1e19", 10**19, id="exponent_beyond_doubles"),
        pytest.param(ScalarType.INT64, "9007199254740993.0", 2**53 + 1, id="fraction_beyond_doubles"),
        pytest.param(ScalarType.INT32, "-0.0e5", 0, id="minus_zero_exponent"),
        pytest.param(ScalarType.INT32, "0e99999", 0, id="zero_with_any_exponent"),
        pytest.param(ScalarType.BOOL, "true", True, id="true"),
        pytest.param(ScalarType.BOOL, "false", False, id="false"),
        pytest.param(ScalarType.DOUBLE, "1.5e-3", 0.0015, id="double"),
        pytest.param(ScalarType.DOUBLE, "-Infinity", -math.inf, id="minus_infinity"),
        pytest.param(ScalarType.FLOAT, "0.5", 0.5, id="float"),
        pytest.param(ScalarType.FLOAT, "3.4028235e38", 3.4028234663852886e38, id="largest_float"),
        pytest.param(ScalarType.STRING, " a\0é", " a\0é", id="string_as_it_is"),
        pytest.param(ScalarType.BYTES, "", b"", id="no_bytes"),
        pytest.param(ScalarType.BYTES, "+/+/", b"\xfb\xff\xbf", id="standard_alphabet"),
        pytest.param(ScalarType.BYTES, "-_-_", b"\xfb\xff\xbf", id="url_alphabet"),
        pytest.param(ScalarType.BYTES, "YQ", b"a", id="unpadded"),
        pytest.param(ScalarType.BYTES, "YQ==", b"a", id="padded"),
    ],
)
def test_scalars(scalar: ScalarType, text: str, value: object) -> None:
    """semantics 11."""
    assert _convert(scalar, text) == value


_NO_INTEGERS = ["", " ", "+1", " 1", "1 ", "1_0", "01", "0x1", "1,0", "--1", "-", "1.5",
                "1e-1", "\u0661", "\uff11", "NaN", "1e400",
                "1\n", "true", "9" * 5000, "1" + "0" * 30, "1e20",
                "1e99999999999999999999", "18446744073709551616.0", "9007199254740993.5"]  # fmt: skip


@pytest.mark.parametrize("text", _NO_INTEGERS)
@pytest.mark.parametrize("scalar", [ScalarType.INT32, ScalarType.UINT64], ids=["int32", "uint64"])
def test_no_integers(scalar: ScalarType, text: str) -> None:
    """semantics 11, 16: int() alone would take many of these."""
    with pytest.raises(ValueError):
        _convert(scalar, text)


@pytest.mark.parametrize(
    ("scalar", "text"),
    [
        (ScalarType.INT32, "2147483648"),
        (ScalarType.INT32, "-2147483649"),
        (ScalarType.UINT32, "4294967296"),
        (ScalarType.UINT32, "-1"),
        (ScalarType.INT64, "9223372036854775808"),
        (ScalarType.UINT64, "18446744073709551616"),
        (ScalarType.FLOAT, "3.5e38"),
        (ScalarType.DOUBLE, "1e309"),
    ],
)
def test_out_of_range(scalar: ScalarType, text: str) -> None:
    """semantics 16."""
    with pytest.raises(ValueError):
        _convert(scalar, text)


@pytest.mark.parametrize(
    "text", ["", "nan", "inf", "+1", ".5", "5.", "1_0", " 1", "1e", "0x1p3", "infinity", "1" * 500]
)
def test_no_floats(text: str) -> None:
    """semantics 11: floats in their ProtoJSON text."""
    for scalar in (ScalarType.FLOAT, ScalarType.DOUBLE):
        with pytest.raises(ValueError):
            _convert(scalar, text)


@pytest.mark.parametrize("text", ["", "True", "TRUE", "1", "0", "yes", "on", " true", "t"])
def test_no_bools(text: str) -> None:
    """semantics 11: `true` and `false` only."""
    with pytest.raises(ValueError):
        _convert(ScalarType.BOOL, text)


@pytest.mark.parametrize(
    "text", ["Y", "YQ=", "YQ===", "=", "Y Q=", "-/+_", "YQ==YQ==", "é", "YQ\n", "YWJj====", "!!!!"]
)
def test_no_base64(text: str) -> None:
    """semantics 11: Python's decoder would skip what is not in the alphabet."""
    with pytest.raises(ValueError):
        _convert(ScalarType.BYTES, text)


@given(st.binary(max_size=40))
def test_base64_in_all_four_forms(data: bytes) -> None:
    """semantics 11: both alphabets, padded or not."""
    for text in (b64encode(data).decode(), urlsafe_b64encode(data).decode()):
        assert _convert(ScalarType.BYTES, text) == data
        assert _convert(ScalarType.BYTES, text.rstrip("=")) == data


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_in_decimal(number: int) -> None:
    assert _convert(ScalarType.INT64, str(number)) == number


@given(st.floats())
def test_doubles_as_python_writes_them(number: float) -> None:
    text = "NaN" if math.isnan(number) else repr(number).replace("inf", "Infinity")
    assert _convert(ScalarType.DOUBLE, text) == pytest.approx(number, rel=0, abs=0, nan_ok=True)


@pytest.mark.parametrize(
    ("enum", "text", "number"),
    [
        ("everything.Colour", "COLOUR_RED", 1),
        ("everything.Colour", "1", 1),
        ("everything.Colour", "-5", -5),
        ("everything.Colour", "77", 77),
        ("everything.Alias", "ALIAS_UNO", 1),
        ("legacy.Closed", "CLOSED_TWO", 2),
        ("legacy.Closed", "2", 2),
        ("google.protobuf.NullValue", "null", 0),
        ("google.protobuf.NullValue", "NULL_VALUE", 0),
    ],
)
def test_enums_by_name_or_number(enum: str, text: str, number: int) -> None:
    """semantics 11."""
    assert _convert(_enum(enum), text) == number


@pytest.mark.parametrize(
    ("enum", "text"),
    [
        ("everything.Colour", "colour_red"),
        ("everything.Colour", ""),
        ("everything.Colour", "1.0"),
        ("everything.Colour", "+1"),
        ("everything.Colour", "01"),
        ("everything.Colour", "2147483648"),
        ("legacy.Closed", "3"),
        ("modern.Shut", "0"),
    ],
)
def test_no_enum(enum: str, text: str) -> None:
    """semantics 11: closed enums know their numbers."""
    with pytest.raises(ValueError):
        _convert(_enum(enum), text)


@pytest.mark.parametrize(
    ("name", "text", "json"),
    [
        ("google.protobuf.Timestamp", "2020-01-01T00:00:00.5+01:00", '"2019-12-31T23:00:00.500Z"'),
        ("google.protobuf.Duration", "-1.5s", '"-1.500s"'),
        ("google.protobuf.FieldMask", "", '""'),
        ("google.protobuf.FieldMask", "displayName,address.city", '"displayName,address.city"'),
        ("google.protobuf.FieldMask", "display_name,a.b_c", '"displayName,a.bC"'),
        ("google.protobuf.FieldMask", "*", '"*"'),
        ("google.protobuf.Int64Value", "5", '"5"'),
        ("google.protobuf.BoolValue", "true", "true"),
        ("google.protobuf.BytesValue", "YQ", '"YQ=="'),
        ("google.protobuf.DoubleValue", "NaN", '"NaN"'),
        ("google.protobuf.StringValue", "", '""'),
    ],
)
def test_well_known_types(name: str, text: str, json: str) -> None:
    """semantics 11: Timestamp, Duration, FieldMask and wrappers in their ProtoJSON text."""
    assert _convert(descriptor(name), text).to_json() == json


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("google.protobuf.Timestamp", ""),
        ("google.protobuf.Timestamp", "1577836800"),
        ("google.protobuf.Timestamp", "2020-01-01T00:00:00"),
        ("google.protobuf.Timestamp", "2020-01-01"),
        ("google.protobuf.Timestamp", "2020-01-01T00:00:00Z\n"),
        ("google.protobuf.Duration", "1"),
        ("google.protobuf.Duration", "1.s"),
        ("google.protobuf.Duration", "1h2m"),
        ("google.protobuf.Duration", "1.0000000001s"),
        ("google.protobuf.Duration", "315576000001s"),
        ("google.protobuf.FieldMask", "a,,b"),
        ("google.protobuf.FieldMask", "a, b"),
        ("google.protobuf.FieldMask", "a_b,c d"),
        ("google.protobuf.Int32Value", "x"),
        ("google.protobuf.UInt64Value", "-1"),
    ],
)
def test_no_well_known_value(name: str, text: str) -> None:
    """semantics 11."""
    with pytest.raises(ValueError):
        _convert(descriptor(name), text)


def test_messages_have_no_text() -> None:
    for name in ("Scalars", "google.protobuf.Any", "google.protobuf.Empty", "google.protobuf.Struct"):
        assert converter_for(descriptor(name)) is None


@given(st.text(max_size=20))
def test_any_text_converts_or_raises_value_error(text: str) -> None:
    """H22."""
    elements = [element_of(field) for name in ("Scalars", "WellKnown") for field in descriptor(name).fields]
    for element in elements:
        convert = converter_for(element)
        if convert is not None:
            try:
                convert(text)
            except ValueError:
                continue
