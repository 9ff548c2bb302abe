"""Numbers, enums and fields through the native codec: digit for digit what the plain one writes."""

from __future__ import annotations

import random
import struct
from math import inf, isfinite, nextafter
from typing import Any

import pytest

from api_gateway.config.settings import TranscodingSettings
from api_gateway.transcoding import native_codec
from api_gateway.transcoding.json_codec import JsonEncoder
from api_gateway.transcoding.json_decoder import JsonDecoder
from api_gateway.transcoding.native_codec import NativeCodec, is_available, native_reader, native_writer
from api_gateway.transcoding.short_floats import shortest
from tests.support.descriptors import schema_from_text
from tests.unit.transcoding.scenes import SCHEMA, descriptor

pytestmark = pytest.mark.skipif(
    not is_available(), reason="the native codec is built with the compiled gateway; make test-compiled runs these"
)

_DEFAULTS = TranscodingSettings()
_ODD = schema_from_text(
    """
    syntax = "proto2";
    package odd;
    enum Closed { ZERO = 0; FIRST = 3; }
    message Enums { optional Closed one = 1; repeated Closed many = 2; map<string, Closed> by_name = 3; }
    message Numbers {
        optional int32 low = 1; optional int32 high = 5000; optional string highest = 536870911;
        optional int32 mid = 1024;
    }
    """
)


def _writer(name: str) -> NativeCodec:
    codec = native_writer(descriptor(name), _DEFAULTS)
    assert codec is not None
    return codec


def _reader(name: str) -> NativeCodec:
    codec = native_reader(descriptor(name))
    assert codec is not None
    return codec


def _varint(value: int) -> bytes:
    return bytes([value & 0x7F | 0x80]) + _varint(value >> 7) if value > 0x7F else bytes([value])


def _written(number: int, code: str, values: list[float]) -> list[str]:
    """Return how the native codec writes a packed list of `everything.Repeated`."""
    packed = struct.pack(f"<{len(values)}{code}", *values)
    text = _writer("everything.Repeated").to_json(_varint(number << 3 | 2) + _varint(len(packed)) + packed)
    assert text is not None
    return text.decode().partition("[")[2][:-2].split(",")


def _edges() -> list[float]:
    powers = [float(f"{digits}e{power}") for power in range(-324, 308) for digits in ("1", "1.5", "9.999999999999999")]
    powers += [2.0**power for power in range(-1074, 1024)]
    return [edge for value in powers for edge in (value, -value, nextafter(value, 1), nextafter(value, 0))]


def _random_doubles(count: int, seed: int) -> list[float]:
    chance = random.Random(seed)
    bits = struct.unpack(f"<{count}d", chance.randbytes(8 * count))
    amounts = [round(chance.uniform(-1, 1) * 10 ** chance.randint(0, 12), chance.randint(0, 9)) for _ in range(count)]
    whole = [float(chance.getrandbits(chance.randint(1, 80))) for _ in range(count)]
    return [value for value in (*bits, *amounts, *whole) if isfinite(value)]


def test_writes_doubles_with_the_fewest_digits() -> None:
    """semantics 17: as Python's repr does, which both codecs follow."""
    values = [0.0, -0.0, *_edges(), *_random_doubles(5_000, 1)]
    assert _written(1, "d", values) == [repr(value) for value in values]


def test_writes_floats_as_their_plain_counterpart_does() -> None:
    """semantics 17: all steps between powers of two, the smallest and the largest, and random ones."""
    fractions = (0, 1, 2, 0x3FFFFF, 0x400000, 0x7FFFFE, 0x7FFFFF)
    bits = [*range(1, 500), *[power << 23 | fraction for power in range(255) for fraction in fractions]]
    values = [*struct.unpack(f"<{len(bits)}f", struct.pack(f"<{len(bits)}I", *bits))]
    narrow = [value for value in _random_doubles(5_000, 2) if abs(value) < 3.4e38]
    values += struct.unpack(f"<{len(narrow)}f", struct.pack(f"<{len(narrow)}f", *narrow))
    assert _written(2, "f", values) == [repr(shortest(value)) for value in values]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(79202.15, "79202.15", id="a product that is not whole"),
        pytest.param(1234567.5, "1234567.5", id="a tie"),
        pytest.param(3.4028234663852886e38, "3.4028234663852886e+38", id="the largest"),
        pytest.param(1e-45, "1.4013e-45", id="the smallest"),
    ],
)
def test_writes_floats_without_idle_digits(value: float, text: str) -> None:
    """What showed itself as hard."""
    assert _written(2, "f", [value]) == [text]


def test_writes_what_is_no_number_as_text() -> None:
    """ProtoJSON: "NaN", "Infinity", "-Infinity"."""
    for number, code in ((1, "d"), (2, "f")):
        assert _written(number, code, [inf, -inf, float("nan")]) == ['"Infinity"', '"-Infinity"', '"NaN"']


def test_refuses_tags_of_more_than_five_bytes() -> None:
    """The plain codec takes no longer ones, even when they come to a small number."""
    field = b"\x18\x01"
    for tag in (b"\x98\x80\x80\x80\x00", b"\x98\x80\x80\x80\x80\x00"):
        written = _writer("everything.Scalars").to_json(tag + field[1:])
        assert written == (b'{"anInt32":1}' if len(tag) == 5 else None)


def test_takes_numbers_of_open_enums() -> None:
    """ProtoJSON: a number without a name is written, and read, as a number."""
    writer, reader = _writer("everything.Scalars"), _reader("everything.Scalars")
    plain = JsonDecoder(descriptor("everything.Scalars"), _DEFAULTS, SCHEMA.registry)
    for number, text in ((7, b"7"), (-1, b"-1"), (2**31 - 1, b"2147483647"), (-(2**31), b"-2147483648")):
        json = b'{"aColour":%b}' % text
        data = reader.from_json(json)
        assert data == plain.decode(json).to_binary() == b"\x80\x01" + _varint(number % 2**64)
        assert writer.to_json(data) == json
    assert reader.from_json(b'{"aColour":1}') == plain.decode(b'{"aColour":1}').to_binary()
    assert reader.from_json(b'{"aColour":2147483648}') is None
    assert reader.from_json(b'{"aColour":"7"}') is None


@pytest.mark.parametrize("enums_as_ints", [False, True])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x08\x03", id="known"),
        pytest.param(b"\x08\x00", id="known and zero"),
        pytest.param(b"\x08\x05", id="unknown"),
        pytest.param(b"\x10\x05\x10\x03", id="unknown in a list"),
        pytest.param(b"\x12\x02\x05\x03", id="unknown in a packed list"),
        pytest.param(b"\x1a\x03\x0a\x01a", id="a map entry without a value"),
        pytest.param(b"\x1a\x05\x0a\x01a\x10\x05", id="unknown in a map"),
    ],
)
def test_numbers_a_closed_enum_does_not_have_are_the_plain_codecs(data: bytes, enums_as_ints: bool) -> None:
    """They count as unknown fields, with the map entries they are in."""
    kind = _ODD.registry.message("odd.Enums")
    assert kind is not None
    options = TranscodingSettings(enums_as_ints=enums_as_ints)
    codec = native_writer(kind, options)
    assert codec is not None
    written = codec.to_json(data)
    assert written in (None, JsonEncoder(kind, options, _ODD.registry).encode_plainly(data)[1])
    if data == b"\x08\x03" and not enums_as_ints:
        assert written == b'{"one":"FIRST"}'


def test_finds_fields_by_high_numbers() -> None:
    """Numbers up to the highest there is, between others nobody knows."""
    kind = _ODD.registry.message("odd.Numbers")
    assert kind is not None
    writer, reader = native_writer(kind, _DEFAULTS), native_reader(kind)
    assert writer is not None
    assert reader is not None
    text = b'{"low":1,"high":2,"highest":"x","mid":3}'
    data = reader.from_json(text)
    assert data is not None
    unknown = b"".join([_varint(number << 3) + b"\x01" for number in (2, 1023, 1025, 4999, 5001, 2**29 - 2)])
    assert writer.to_json(unknown + data + unknown) == text


def test_refuses_names_that_were_chosen_to_collide() -> None:
    """reliability H14: a schema cannot make its own table of names slow, neither to build nor to search."""
    codec = vars(native_codec)["Codec"]
    parts = _with_one_slot(300)
    message: tuple[Any, ...] = (0, 0, False, ((1, 5, 0, 0, False, False, -1, b'"n":', -1, -1),), ())
    with pytest.raises(ValueError, match="collide"):
        codec(((*message[:4], tuple([(name, 0) for name in parts])),), ())
    with pytest.raises(ValueError, match="collide"):
        codec((message,), ((tuple([(name, 1) for name in parts]), (), True),))


def _with_one_slot(count: int) -> list[bytes]:
    """Return names that the hash of `native/plan.c` (FNV-1a) puts into one slot of a table for that many."""
    names: list[bytes] = []
    number = 0
    while len(names) < count:
        number += 1
        name = b"%x" % number
        slot = 2166136261
        for byte in name:
            slot = (slot ^ byte) * 16777619 & 0x3FF
        if slot == 0:
            names.append(name)
    return names
