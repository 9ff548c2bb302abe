"""Counts the JSON values that become a message each without an object around them to show it.

Those are values in `Struct`, `Value`, `ListValue` and `Any`, and lists and maps of wrappers, timestamps, durations and
field masks. A number in a list of numbers costs a few bytes, a number in a `ListValue` a whole message: 10 MiB of them
would take gigabytes and seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from protobuf import DescField, DescMessage

from .fields import ANY, JSON_TYPES, SPECIAL_TYPES, element_of, fields_by_name, is_map, is_repeated
from .strict_json import MAX_MESSAGES

_Tables = dict[str, dict[str, DescField]]
_COMPACT: Final = SPECIAL_TYPES - JSON_TYPES - {ANY}
"""Messages whose JSON is a single number or string."""
COUNTED: Final = SPECIAL_TYPES
"""Types of messages that may stand in JSON without an object around each."""


def count_free_values(message: DescMessage, value: object) -> int:
    """Return how many values the parsed JSON of a message has that become a message each, objects of fields apart.

    Beyond MAX_MESSAGES the number is not exact.
    """
    if message.type_name in JSON_TYPES or message.type_name == ANY:
        return _count(value)
    return sum(_free_parts(message, value))


def _free_parts(message: DescMessage, value: object) -> Iterator[int]:
    """Iterate over the counts of the largest free parts of `value`. Without recursion: it may be nested deeply."""
    tables: _Tables = {}
    waiting = [(message, value)]
    while waiting:
        kind, part = waiting.pop()
        if not isinstance(part, dict):
            continue
        fields = tables.get(kind.type_name)
        if fields is None:
            fields = tables[kind.type_name] = fields_by_name(kind)
        for name, item in part.items():
            field = fields.get(name)
            element = element_of(field) if field is not None else None
            if field is None or not isinstance(element, DescMessage):
                continue
            if element.type_name in JSON_TYPES or element.type_name == ANY:
                yield _count(item)
            elif element.type_name in _COMPACT:
                yield len(_items(field, item))
            else:
                waiting += [(element, inner) for inner in _items(field, item)]


def _items(field: DescField, item: object) -> list[object]:
    if is_repeated(field) and isinstance(item, list):
        return item
    if is_map(field) and isinstance(item, dict):
        return list(item.values())
    return [item]


def _count(value: object) -> int:
    """Count a value and all inside it, but not on beyond MAX_MESSAGES. Only objects and arrays are looked at singly."""
    total = 1
    waiting = [value]
    while waiting:
        part = waiting.pop()
        items = list(part.values()) if isinstance(part, dict) else part if isinstance(part, list) else []
        total += len(items)
        if total > MAX_MESSAGES:
            break
        waiting += [item for item in items if isinstance(item, dict | list)]
    return total
