"""The native codec beside the plain one: where it answers at all, both say the same."""

from __future__ import annotations

import random

import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_gateway.config.settings import TranscodingSettings
from api_gateway.model.errors import GatewayError
from api_gateway.transcoding.json_codec import JsonEncoder
from api_gateway.transcoding.json_decoder import JsonDecoder
from api_gateway.transcoding.native_codec import NativeCodec, is_available, native_reader, native_writer
from tests.unit.transcoding.scenes import SCHEMA, descriptor
from tests.unit.transcoding.strategies import POOL, messages

pytestmark = pytest.mark.skipif(
    not is_available(), reason="the native codec is built with the compiled gateway; make test-compiled runs these"
)

_WHOLE = {  # nothing in them is left to the plain codec by its type
    "everything.Scalars",
    "everything.Optionals",
    "everything.Keywords",
    "everything.Names",
}
_PARTLY = {
    "everything.Repeated",
    "everything.Maps",
    "everything.Oneofs",
    "everything.WellKnown",
    "everything.Tree",
    "everything.Everything",
}
_TYPES = sorted(_WHOLE | _PARTLY)
_DEFAULTS = TranscodingSettings()
_many = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def _writer(name: str, options: TranscodingSettings = _DEFAULTS) -> NativeCodec:
    codec = native_writer(descriptor(name), options)
    assert codec is not None
    return codec


def _encoder(name: str, options: TranscodingSettings = _DEFAULTS) -> JsonEncoder:
    return JsonEncoder(descriptor(name), options, SCHEMA.registry)


def _plain_json(name: str, data: bytes) -> bytes | None:
    try:
        return _encoder(name).encode_plainly(data)[1]
    except GatewayError:
        return None


def _plain_message(name: str, text: bytes) -> object:
    try:
        return JsonDecoder(descriptor(name), _DEFAULTS, SCHEMA.registry).decode(text)
    except GatewayError:
        return None


def _mutated(data: bytes, seed: int) -> bytes:
    """Return data with up to three bytes or slices changed."""
    chance = random.Random(seed)
    changed = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.randint(0, len(changed))
        match chance.randint(0, 3):
            case 0:
                changed[at : at + 1] = bytes([chance.randint(0, 255)])
            case 1:
                del changed[at : at + chance.randint(1, 4)]
            case 2:
                changed[at:at] = changed[at : at + chance.randint(1, 12)]
            case _:
                changed[at : at + 1] = chance.choice([b'"', b"{", b"}", b",", b"null", b"-", b"0", b"\\u0041", b"\xff"])
    return bytes(changed)


@pytest.mark.parametrize("name", _TYPES)
@_many
@given(data=st.data())
def test_writes_what_the_plain_codec_writes(name: str, data: st.DataObject) -> None:
    """semantics 17: byte for byte."""
    message = data.draw(messages(name)).SerializeToString()
    written = _writer(name).to_json(message)
    assert written is None or written == _plain_json(name, message)


@pytest.mark.parametrize("name", sorted(_WHOLE))
@_many
@given(data=st.data())
def test_takes_ordinary_messages(name: str, data: st.DataObject) -> None:
    """It answers at all: what these types hold is not left to the plain codec, but for enum numbers without a name."""
    message = data.draw(messages(name))
    text = json_format.MessageToJson(message, descriptor_pool=POOL).encode()
    message = json_format.Parse(text, type(message)(), descriptor_pool=POOL)
    if b"Colour" not in text and b"lias" not in text and b"colour" not in text:
        assert _writer(name).to_json(message.SerializeToString()) is not None


@pytest.mark.parametrize(
    "options",
    [TranscodingSettings(preserve_proto_names=True), TranscodingSettings(enums_as_ints=True)],
    ids=["preserve_proto_names", "enums_as_ints"],
)
@pytest.mark.parametrize("name", ["everything.Scalars", "everything.Names", "everything.Repeated"])
@_many
@given(data=st.data())
def test_obeys_the_options(name: str, options: TranscodingSettings, data: st.DataObject) -> None:
    """semantics 17: each option, byte for byte."""
    message = data.draw(messages(name)).SerializeToString()
    written = _writer(name, options).to_json(message)
    assert written is None or written == _encoder(name, options).encode_plainly(message)[1]


def test_leaves_emit_defaults_to_the_plain_codec() -> None:
    """Fields that are not on the wire would have to be written."""
    options = TranscodingSettings(emit_defaults=True)
    assert native_writer(descriptor("everything.Scalars"), options) is None


@pytest.mark.parametrize("name", ["legacy.Legacy", "modern.Modern"])
def test_leaves_required_fields_to_the_plain_codec(name: str) -> None:
    """Whether all are there is known at the end only."""
    assert native_writer(descriptor(name), _DEFAULTS) is None
    assert native_reader(descriptor(name)) is None


@pytest.mark.parametrize("name", _TYPES)
@_many
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_broken_messages_are_the_plain_codecs(name: str, data: st.DataObject, seed: int) -> None:
    """reliability H14: what it takes of a mutated message, the plain codec takes too, and writes the same."""
    message = _mutated(data.draw(messages(name)).SerializeToString(), seed)
    written = _writer(name).to_json(message)
    assert written is None or written == _plain_json(name, message)


@pytest.mark.parametrize("name", _TYPES)
@_many
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_reads_what_the_plain_codec_reads(name: str, data: st.DataObject, seed: int) -> None:
    """semantics 16: a text that is right or mutated means the same to both."""
    text = json_format.MessageToJson(data.draw(messages(name)), descriptor_pool=POOL).encode()
    kind = descriptor(name)
    codec = native_reader(kind)
    assert codec is not None
    for candidate in (text, _mutated(text, seed)):
        read = codec.from_json(candidate)
        # Compared as bytes written by one writer: NaN is not equal to itself.
        if read is not None:
            expected = _plain_message(name, candidate)
            assert expected is not None
            assert kind.type.from_binary(read).to_binary() == expected.to_binary()  # type: ignore[attr-defined]  # a Message


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b'{"aString":"a","aString":"b"}', id="a member twice"),
        pytest.param(b'{"aString":"a","a_string":"b"}', id="a member under both its names"),
        pytest.param(b'{"unknown":1}', id="an unknown member"),
        pytest.param(b'{"aString":"a"} x', id="more behind it"),
        pytest.param(b'{"aString":"a"', id="cut"),
        pytest.param(b'{"aString":"a",}', id="a comma too many"),
        pytest.param(b'{"aString":"\\ud800"}', id="half a surrogate pair"),
        pytest.param(b'{"aString":"\xff"}', id="invalid UTF-8"),
        pytest.param(b'{"aString":"\x01"}', id="a control character"),
        pytest.param(b'{"anInt32":2147483648}', id="out of range"),
        pytest.param(b'{"anInt32":01}', id="a leading zero"),
        pytest.param(b'{"anInt32":1.0}', id="an integer with a point"),
        pytest.param(b'{"anInt64":"1_0"}', id="digits that only Python reads"),
        pytest.param(b'{"aDouble":1e999}', id="beyond a double"),
        pytest.param(b'{"aDouble":NaN}', id="bare NaN"),
        pytest.param(b'{"aBytes":"YQ"}', id="base64 without padding"),
        pytest.param(b'{"aColour":"COLOUR_MAUVE"}', id="an unknown enum name"),
        pytest.param(b"[]", id="an array"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"{" * 10_000, id="depth"),
    ],
)
def test_leaves_doubt_to_the_plain_codec(text: bytes) -> None:
    """semantics 16: errors, and spellings that are rare, are decided in one place."""
    codec = native_reader(descriptor("everything.Scalars"))
    assert codec is not None
    assert codec.from_json(text) is None


def test_bounds_the_depth_of_both_directions() -> None:
    """reliability H13: deeper than 64 levels is the plain codec's, whose limit is 100."""
    codec = native_reader(descriptor("everything.Tree"))
    assert codec is not None
    deep = b'{"left":' * 63 + b"{}" + b"}" * 63
    read = codec.from_json(deep)
    assert read is not None
    assert _writer("everything.Tree").to_json(read) == deep
    assert codec.from_json(b'{"left":' * 64 + b"{}" + b"}" * 64) is None


def test_bounds_the_objects_of_a_text() -> None:
    """As many as `strict_json.MAX_MESSAGES`, the text and the list included; the plain codec then finds the words."""
    codec = native_reader(descriptor("everything.Repeated"))
    assert codec is not None
    few, many = (b'{"messages":[' + b",".join([b"{}"] * count) + b"]}" for count in (99_998, 99_999))
    assert codec.from_json(few) is not None
    assert codec.from_json(many) is None


def test_bounds_what_it_notes_about_a_message() -> None:
    """reliability H13: memory of a message that is nothing but fields; two bytes each, 24 when noted."""
    writer, most = _writer("everything.Repeated"), 2**20
    written = writer.to_json(b"\x18\x01" * most)
    assert written == b'{"int32s":[' + b"1," * (most - 1) + b"1]}"
    assert writer.to_json(b"\x18\x01" * (most + 1)) is None


def test_finds_keys_that_come_twice_in_large_maps() -> None:
    """Beyond the few keys that are compared one by one, too."""
    codec = native_reader(descriptor("everything.Maps"))
    assert codec is not None
    entries = [b'"k%d":"%s"' % (number, b"x" * (number % 300)) for number in range(2_000)]
    text = b'{"stringString":{' + b",".join(entries) + b"}}"
    read = codec.from_json(text)
    assert read is not None
    assert _writer("everything.Maps").to_json(read) == text
    assert codec.from_json(text[:-2] + b',"k7":""}}') is None
    assert _writer("everything.Maps").to_json(read + b"\x0a\x06\x0a\x02k7\x12\x00") is None
