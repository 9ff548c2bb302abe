"""Path variables that are ordinary strings, serialized without a message object: 0.4 us instead of 1.3."""

from __future__ import annotations

from collections.abc import Callable

from protobuf import DescMessage, ScalarType

from .fields import element_of, has_presence, is_map, is_repeated, is_required

_LENGTH_DELIMITED = 2
"""Wire type of strings (protobuf.dev/programming-guides/encoding)."""

StringSerializer = Callable[[tuple[str, ...]], bytes]
"""Returns the serialized message with these values. Raises UnicodeEncodeError for half a surrogate pair."""


def compile_string_variables(message: DescMessage, names: tuple[str, ...]) -> StringSerializer | None:
    """Return what serializes a message whose fields of these names are set and no others.

    None when a name is a path into other messages or of another kind than a string without presence, or when the
    message has required fields.
    """
    fields = {field.name: field for field in message.fields}
    if any(is_required(field) for field in message.fields):
        return None
    tags = []
    for name in names:
        field = fields.get(name)
        if field is None or is_repeated(field) or is_map(field) or has_presence(field):
            return None
        if element_of(field) is not ScalarType.STRING:
            return None
        tags.append(encode_varint(field.number << 3 | _LENGTH_DELIMITED))

    def serialize(values: tuple[str, ...]) -> bytes:
        parts: list[bytes] = []
        for tag, value in zip(tags, values, strict=True):
            if value:  # the default is not sent
                data = value.encode()
                parts += (tag, encode_varint(len(data)), data)
        return b"".join(parts)

    return serialize


def encode_varint(number: int) -> bytes:
    """Return a number of at most 64 bits, not negative, in groups of seven bits, lowest first."""
    if number < 0x80:
        return bytes((number,))
    groups = []
    while number >= 0x80:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*groups, number))
