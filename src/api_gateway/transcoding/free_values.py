"""Counts the JSON values that become a message each: those in `Struct`, `Value`, `ListValue` and `Any`.

A number in a list of numbers costs a few bytes, a number in a `ListValue` a whole message: 10 MiB of them would take
gigabytes and seconds.
"""

from __future__ import annotations

from collections.abc import Iterator

from protobuf import DescField, DescMessage

from .fields import ANY, JSON_TYPES, SPECIAL_TYPES, element_of, fields_by_name, is_map, is_repeated

_Tables = dict[str, dict[str, DescField]]


def count_free_values(message: DescMessage, value: object) -> int:
    """Return how many values the parsed JSON of a message has in places where any JSON may stand."""
    if message.type_name in JSON_TYPES or message.type_name == ANY:
        return _count(value)
    return sum(map(_count, _free_parts(message, value)))


def _free_parts(message: DescMessage, value: object) -> Iterator[object]:
    """Iterate over the largest parts of `value` that are free JSON. Without recursion: it may be nested deeply."""
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
                yield item
            elif element.type_name not in SPECIAL_TYPES:
                waiting += [(element, inner) for inner in _items(field, item)]


def _items(field: DescField, item: object) -> list[object]:
    if is_repeated(field) and isinstance(item, list):
        return item
    if is_map(field) and isinstance(item, dict):
        return list(item.values())
    return [item]


def _count(value: object) -> int:
    total = 0
    waiting = [value]
    while waiting:
        part = waiting.pop()
        total += 1
        if isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return total
