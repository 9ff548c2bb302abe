"""The field mask of a `PATCH` whose sender left it out (AIP-134): the paths found in the JSON."""

from __future__ import annotations

from collections.abc import Iterator

from protobuf import DescField, DescMessage

from .fields import FIELD_MASK, SPECIAL_TYPES, fields_by_name, message_of


def mask_field(message: DescMessage, body: DescField) -> DescField | None:
    """Return the field for the mask: the only FieldMask among the fields of a request, the body apart; else None."""
    masks = [field for field in message.fields if is_field_mask(field) and field is not body]
    resource = message_of(body)
    if len(masks) != 1 or resource is None or resource.type_name in SPECIAL_TYPES:
        return None
    return masks[0]


def is_field_mask(field: DescField) -> bool:
    """Tell whether a field is a single FieldMask."""
    inner = message_of(field)
    return inner is not None and inner.type_name == FIELD_MASK


class MaskReader:
    """Finds the paths that JSON sets in messages of one type. Field tables are made when a type is first met."""

    __slots__ = ("_message", "_tables")

    def __init__(self, message: DescMessage) -> None:
        self._message = message
        self._tables: dict[str, dict[str, DescField]] = {}

    def paths(self, value: object) -> list[str]:
        """Return the paths, in proto spelling and sorted, of what a parsed JSON object sets.

        Maps, lists, well-known types, nulls and empty objects are leaves. Members that are no fields are left out.
        """
        return sorted(set(self._paths(self._message, value, ""))) if isinstance(value, dict) else []

    def _paths(self, message: DescMessage, value: dict[str, object], prefix: str) -> Iterator[str]:
        fields = self._tables.get(message.type_name)
        if fields is None:
            fields = self._tables[message.type_name] = fields_by_name(message)
        for name, item in value.items():
            field = fields.get(name)
            if field is None:
                continue
            path = f"{prefix}{field.name}"
            inner = message_of(field)
            if inner is not None and inner.type_name not in SPECIAL_TYPES and isinstance(item, dict) and item:
                yield from self._paths(inner, item, f"{path}.")
            else:
                yield path
