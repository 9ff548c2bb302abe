"""What transcoding needs to know about message fields, read from descriptors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from protobuf import (
    DescEnum,
    DescExtension,
    DescField,
    DescFieldValueEnum,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescFieldValueScalar,
    DescMessage,
    DescOneof,
    Message,
    Oneof,
    ScalarType,
)
from protobuf.wkt.google.protobuf.descriptor_pb import FeatureSet

HTTP_BODY: Final = "google.api.HttpBody"
ANY: Final = "google.protobuf.Any"
FIELD_MASK: Final = "google.protobuf.FieldMask"
TIMESTAMP: Final = "google.protobuf.Timestamp"
DURATION: Final = "google.protobuf.Duration"
VALUE: Final = "google.protobuf.Value"
BYTES_VALUE: Final = "google.protobuf.BytesValue"
NULL_VALUE: Final = "google.protobuf.NullValue"
WRAPPERS: Final = frozenset(
    f"google.protobuf.{kind}Value"
    for kind in ("Bool", "Int32", "Int64", "UInt32", "UInt64", "Float", "Double", "String", "Bytes")
)
JSON_TYPES: Final = frozenset({"google.protobuf.Struct", VALUE, "google.protobuf.ListValue"})
SPECIAL_TYPES: Final = frozenset({ANY, FIELD_MASK, TIMESTAMP, DURATION}) | WRAPPERS | JSON_TYPES
"""Messages whose JSON is not an object of their fields (ProtoJSON, well-known types)."""

INTEGERS: Final = frozenset(
    {
        ScalarType.INT32,
        ScalarType.SINT32,
        ScalarType.SFIXED32,
        ScalarType.INT64,
        ScalarType.SINT64,
        ScalarType.SFIXED64,
        ScalarType.UINT32,
        ScalarType.FIXED32,
        ScalarType.UINT64,
        ScalarType.FIXED64,
    }
)

Element = ScalarType | DescEnum | DescMessage
Setter = Callable[[Message, object], None]


def fields_by_name(message: DescMessage) -> dict[str, DescField]:
    """Return the fields by every name JSON may use, proto and JSON; a JSON name wins over a proto name."""
    names = {field.name: field for field in message.fields}
    names.update((field.json_name, field) for field in message.fields)
    return names


def element_of(field: DescField | DescExtension) -> Element:
    """Return the type of a field's value: of each item of a repeated field, of each value of a map."""
    value = field.value
    match value:
        case DescFieldValueScalar():
            return value.scalar
        case DescFieldValueEnum():
            return value.enum
        case DescFieldValueMessage():
            return value.message
        case DescFieldValueList():
            return value.element
        case DescFieldValueMap():
            return value.value


def is_repeated(field: DescField | DescExtension) -> bool:
    """Tell whether the field is a list. Maps are not."""
    return isinstance(field.value, DescFieldValueList)


def is_map(field: DescField | DescExtension) -> bool:
    """Tell whether the field is a map."""
    return isinstance(field.value, DescFieldValueMap)


def oneof_of(field: DescField | DescExtension) -> DescOneof | None:
    """Return the oneof a field belongs to; None also for the hidden oneofs behind proto3 `optional`."""
    value = field.value
    if isinstance(value, DescFieldValueScalar | DescFieldValueEnum | DescFieldValueMessage):
        return value.oneof
    return None


def message_of(field: DescField) -> DescMessage | None:
    """Return the message type of a singular message field, None for every other field."""
    return field.value.message if isinstance(field.value, DescFieldValueMessage) else None


def reachable_messages(root: DescMessage) -> Iterator[DescMessage]:
    """Iterate over a message type and all that its fields lead to, each once; not into what an `Any` may hold."""
    seen = {root.type_name}
    waiting = [root]
    while waiting:
        message = waiting.pop()
        yield message
        for field in message.fields:
            element = element_of(field)
            if isinstance(element, DescMessage) and element.type_name not in seen:
                seen.add(element.type_name)
                waiting.append(element)


def setter_of(field: DescField) -> Setter:
    """Return what puts a value into a field. Python attributes are four times as fast as `message[field] = value`."""
    name = field.local_name
    oneof = oneof_of(field)
    if oneof is None:
        return lambda message, value: setattr(message, name, value)
    group, member = oneof.local_name, field.name
    return lambda message, value: setattr(message, group, Oneof(member, value))


def has_presence(field: DescField) -> bool:
    """Tell whether "not set" and "set to the default" are two things for a singular field."""
    return int(field.presence) != FeatureSet.FieldPresence.IMPLICIT


def is_required(field: DescField) -> bool:
    """Tell whether a message without the field cannot be serialized (proto2)."""
    return int(field.presence) == FeatureSet.FieldPresence.LEGACY_REQUIRED


def map_key_of(field: DescField | DescExtension) -> ScalarType:
    """Return the type of a map field's keys. Raises TypeError for other fields."""
    if not isinstance(field.value, DescFieldValueMap):
        raise TypeError(f"{field.name} is not a map")
    return field.value.key
