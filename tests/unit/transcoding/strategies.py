"""Hypothesis strategies for messages of Google's own library, of every kind of field."""

from __future__ import annotations

import math
from typing import Any

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

from tests.support.descriptors import pool_of

POOL = pool_of("everything.proto", "legacy.proto", "modern.proto")

_INT32 = st.one_of(st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31)]), st.integers(-(2**31), 2**31 - 1))
_INT64 = st.one_of(st.sampled_from([0, 2**63 - 1, -(2**63), 2**53 + 1]), st.integers(-(2**63), 2**63 - 1))
_UINT32 = st.one_of(st.sampled_from([0, 2**32 - 1]), st.integers(0, 2**32 - 1))
_UINT64 = st.one_of(st.sampled_from([0, 2**64 - 1, 2**63]), st.integers(0, 2**64 - 1))
_TEXT = st.text(max_size=12)
# Not the largest ones: see "largest float32" among the intended differences.
_FLOAT32 = st.floats(width=32).filter(lambda value: not math.isfinite(value) or abs(value) < 3.4e38)

_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_DOUBLE: st.floats(),
    FieldDescriptor.TYPE_FLOAT: _FLOAT32,
    FieldDescriptor.TYPE_INT64: _INT64,
    FieldDescriptor.TYPE_SINT64: _INT64,
    FieldDescriptor.TYPE_SFIXED64: _INT64,
    FieldDescriptor.TYPE_UINT64: _UINT64,
    FieldDescriptor.TYPE_FIXED64: _UINT64,
    FieldDescriptor.TYPE_INT32: _INT32,
    FieldDescriptor.TYPE_SINT32: _INT32,
    FieldDescriptor.TYPE_SFIXED32: _INT32,
    FieldDescriptor.TYPE_UINT32: _UINT32,
    FieldDescriptor.TYPE_FIXED32: _UINT32,
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_STRING: _TEXT,
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=12),
}


def message_class(name: str) -> type[Message]:
    """Return Google's class for a message type of `tests/protos`."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))


@st.composite
def messages(draw: st.DrawFn, name: str, depth: int = 3) -> Message:
    """Generate a message of a type, with any of its fields set and `depth` levels of messages below it."""
    message = message_class(name)()
    _fill(draw, message, POOL.FindMessageTypeByName(name), depth)
    return message


def _fill(draw: st.DrawFn, message: Message, descriptor: Descriptor, depth: int) -> None:
    special = _SPECIAL.get(descriptor.full_name)
    if special is not None:
        special(draw, message, depth)
        return
    for field in descriptor.fields:
        if field.is_required or draw(st.booleans()):
            _set(draw, message, field, depth)
    for field in POOL.FindAllExtensions(descriptor):
        if draw(st.booleans()):
            _set_extension(draw, message, field, depth)


def _set_extension(draw: st.DrawFn, message: Any, field: FieldDescriptor, depth: int) -> None:
    if field.is_repeated:
        # An empty list counts as set in Google's library until it is serialized.
        message.Extensions[field].extend(draw(st.lists(_scalar(field), min_size=1, max_size=3)))
    elif field.message_type is None:
        message.Extensions[field] = draw(_scalar(field))
    elif depth > 0:
        message.Extensions[field].SetInParent()
        _fill(draw, message.Extensions[field], field.message_type, depth - 1)


def _set(draw: st.DrawFn, message: Message, field: FieldDescriptor, depth: int) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        _set_map(draw, getattr(message, field.name), field.message_type, depth)
    elif field.is_repeated:
        values = getattr(message, field.name)
        for _ in range(draw(st.integers(0, 3))):
            if field.message_type is None:
                values.append(draw(_scalar(field)))
            elif depth > 0:
                _fill(draw, values.add(), field.message_type, depth - 1)
    elif field.message_type is None:
        setattr(message, field.name, draw(_scalar(field)))
    elif depth > 0:
        inner = getattr(message, field.name)
        inner.SetInParent()
        _fill(draw, inner, field.message_type, depth - 1)


def _set_map(draw: st.DrawFn, entries: Any, entry: Descriptor, depth: int) -> None:
    key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
    for _ in range(draw(st.integers(0, 3))):
        drawn = draw(_scalar(key))
        if value.message_type is None:
            entries[drawn] = draw(_scalar(value))
        elif depth > 0:
            _fill(draw, entries[drawn], value.message_type, depth - 1)


def _scalar(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        known = st.sampled_from([value.number for value in field.enum_type.values])
        is_open = not field.enum_type.is_closed and field.enum_type.full_name != "google.protobuf.NullValue"
        return st.one_of(known, _INT32) if is_open else known
    return _SCALARS[field.type]


def _timestamp(draw: st.DrawFn, message: Any, _: int) -> None:
    message.seconds = draw(st.integers(-62135596800, 253402300799))
    message.nanos = draw(st.one_of(st.sampled_from([0, 1, 999_999_999, 500_000_000]), st.integers(0, 999_999_999)))


def _duration(draw: st.DrawFn, message: Any, _: int) -> None:
    sign = draw(st.sampled_from([1, -1]))
    message.seconds = sign * draw(st.integers(0, 315_576_000_000))
    message.nanos = 0 if abs(message.seconds) == 315_576_000_000 else sign * draw(st.integers(0, 999_999_999))


def _mask(draw: st.DrawFn, message: Any, _: int) -> None:
    message.paths.extend(
        draw(st.lists(st.from_regex(r"[a-z]{1,4}(_[a-z]{1,4})?(\.[a-z]{1,4})?", fullmatch=True), max_size=3))
    )


# None with 32-bit floats: see "float32 inside Any" among the intended differences.
_IN_ANY = [
    "everything.Names",
    "everything.Tree",
    "legacy.Legacy",
    "modern.Modern",
    "google.protobuf.Duration",
    "google.protobuf.Struct",
    "google.protobuf.Any",
]


def _any(draw: st.DrawFn, message: Any, depth: int) -> None:
    if depth <= 0 or draw(st.booleans()):
        return
    name = draw(st.sampled_from(_IN_ANY))
    inner = message_class(name)()
    _fill(draw, inner, POOL.FindMessageTypeByName(name), depth - 1)
    message.Pack(inner)


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), _TEXT, st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXT, inner, max_size=3)),
    max_leaves=5,
)


def _struct(draw: st.DrawFn, message: Any, _: int) -> None:
    for key, value in draw(st.dictionaries(_TEXT, _JSON, max_size=3)).items():
        put_value(message.fields[key], value)


def _list(draw: st.DrawFn, message: Any, _: int) -> None:
    for value in draw(st.lists(_JSON, max_size=3)):
        put_value(message.values.add(), value)


def _value(draw: st.DrawFn, message: Any, _: int) -> None:
    put_value(message, draw(_JSON))


def put_value(message: Any, value: object) -> None:
    """Set a `google.protobuf.Value` to a JSON value."""
    match value:
        case None:
            message.null_value = 0
        case bool():
            message.bool_value = value
        case float() | int():
            message.number_value = value
        case str():
            message.string_value = value
        case list():
            message.list_value.SetInParent()
            for item in value:
                put_value(message.list_value.values.add(), item)
        case dict():
            message.struct_value.SetInParent()
            for key, item in value.items():
                put_value(message.struct_value.fields[key], item)
        case _:
            raise TypeError(type(value))


_SPECIAL: dict[str, Any] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.FieldMask": _mask,
    "google.protobuf.Any": _any,
    "google.protobuf.Struct": _struct,
    "google.protobuf.ListValue": _list,
    "google.protobuf.Value": _value,
}


def same_json(ours: object, theirs: object) -> bool:
    """Tell whether two parsed JSON values mean the same: numbers by value, objects without order."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same_json(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same_json, ours, theirs))
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return ours is theirs
    if isinstance(ours, int | float) and isinstance(theirs, int | float):
        return math.isclose(ours, theirs, rel_tol=1e-15, abs_tol=0)
    return ours == theirs


def same_message(one: Message, other: Message) -> bool:
    """Tell whether two messages are the same, whatever the order of the maps inside their `Any`s."""
    if one.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True):
        return True
    return json_format.MessageToDict(one, descriptor_pool=POOL) == json_format.MessageToDict(
        other, descriptor_pool=POOL
    )
