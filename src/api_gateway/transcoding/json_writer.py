"""The JSON of single values: a field that becomes a whole body (`response_body`) has no object around it."""

from __future__ import annotations

from base64 import b64encode
from math import isfinite, isnan
from typing import Any, Final, Protocol, TypedDict, TypeVar

import orjson
from protobuf import DescEnum, DescField, DescMessage, Message, Registry, ScalarType

from .fields import (
    INTEGERS,
    NULL_VALUE,
    SPECIAL_TYPES,
    Element,
    element_of,
    has_presence,
    is_map,
    is_repeated,
    message_of,
)

_T_contra = TypeVar("_T_contra", contravariant=True)
_WIDE: Final = frozenset(
    {ScalarType.INT64, ScalarType.SINT64, ScalarType.SFIXED64, ScalarType.UINT64, ScalarType.FIXED64}
)


class JsonOptions(TypedDict):
    """Keyword arguments of the codec's `to_json`."""

    registry: Registry
    always_emit_implicit: bool
    print_enums_as_ints: bool
    use_proto_field_name: bool


class JsonWriter(Protocol[_T_contra]):
    """Returns the JSON of one value. Raises what the codec raises when there is none."""

    def __call__(self, value: _T_contra, options: JsonOptions, /) -> str:
        """Return the JSON text."""


def write_message(message: Message, options: JsonOptions) -> str:
    """Return the ProtoJSON of a message."""
    return message.to_json(**options)


def field_writer(field: DescField) -> JsonWriter[Message]:
    """Return what writes one field of a message, without the message around it.

    What is not set is `null`, except ordinary messages, which are `{}`, and fields without presence, which are their
    default.
    """
    write = _value_writer(field)
    if is_repeated(field) or is_map(field) or not has_presence(field):
        return lambda message, options: write(message[field], options)
    inner = message_of(field)
    absent = "null" if inner is None or inner.type_name in SPECIAL_TYPES else "{}"
    return lambda message, options: write(message[field], options) if field in message else absent


def _value_writer(field: DescField) -> JsonWriter[Any]:
    item = _element_writer(element_of(field))
    if is_repeated(field):
        return lambda values, options: f"[{','.join([item(value, options) for value in values])}]"
    if is_map(field):
        return lambda values, options: (
            f"{{{','.join([f'{_key(key)}:{item(value, options)}' for key, value in values.items()])}}}"
        )
    return item


def _element_writer(element: Element) -> JsonWriter[Any]:
    if isinstance(element, DescMessage):
        return write_message
    if isinstance(element, DescEnum):
        return _enum_writer(element)
    if element in _WIDE:
        return lambda value, options: f'"{value}"'
    if element in INTEGERS or element in (ScalarType.BOOL, ScalarType.STRING):
        return lambda value, options: orjson.dumps(value).decode()
    if element is ScalarType.BYTES:
        return lambda value, options: f'"{b64encode(value).decode()}"'
    return lambda value, options: _number(value)


def _enum_writer(enum: DescEnum) -> JsonWriter[int]:
    if enum.type_name == NULL_VALUE:
        return lambda value, options: "null"
    # Of several names for one number the last, like the codec; `schema/spelling.py` puts the first one there.
    names = {value.number: f'"{value.name}"' for value in enum.values}

    def write(value: int, options: JsonOptions) -> str:
        number = str(int(value))
        return number if options["print_enums_as_ints"] else names.get(int(value), number)

    return write


def _number(value: float) -> str:
    if isfinite(value):
        return orjson.dumps(value).decode()
    return '"NaN"' if isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'


def _key(key: str | bool | int) -> str:
    if isinstance(key, str):
        return orjson.dumps(key).decode()
    return f'"{str(key).lower()}"'
