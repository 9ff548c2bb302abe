"""The largest 32-bit float, as ProtoJSON writers print it: 3.4028235e+38, which lies above it and rounds to it.

The codec compares before it rounds, and refuses. Only JSON that it has refused comes here.
"""

from __future__ import annotations

from math import copysign
from typing import Final

import orjson
from protobuf import DescField, DescMessage, ScalarType

from .fields import SPECIAL_TYPES, Element, element_of, fields_by_name, is_map, is_repeated

FLOAT_VALUE: Final = "google.protobuf.FloatValue"
_LARGEST: Final = 3.4028234663852886e38
_ROUNDS_UP: Final = 3.4028235677973366e38
"""Half a step above the largest; from here on a number rounds to infinity."""
_MAX_BYTES: Final = 262_144
"""Longest JSON looked at: what it costs to refuse a request stays bounded. 25 ms at most."""


def may_hold_largest(text: bytes) -> bool:
    """Tell cheaply whether a JSON text can hold such a number as writers print it, and is short enough to look."""
    return len(text) <= _MAX_BYTES and (b"3.40282" in text or b"340282" in text)


def lower_to_largest(message: DescMessage, value: object) -> bool:
    """Replace, in the parsed JSON of a message, numbers for 32-bit floats that round to the largest one by that one.

    Returns whether there were any. Looks into fields, lists and maps, not into what an `Any` holds. Not recursive.
    """
    has_changed = False
    tables: dict[str, dict[str, DescField]] = {}
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
            if field is None:
                continue
            element = element_of(field)
            if _is_float(element):
                has_changed |= _lower_in(part, name, item)
            elif isinstance(element, DescMessage) and element.type_name not in SPECIAL_TYPES:
                waiting += [(element, inner) for inner in _items(field, item)]
    return has_changed


def _is_float(element: Element) -> bool:
    return element is ScalarType.FLOAT or (isinstance(element, DescMessage) and element.type_name == FLOAT_VALUE)


def _items(field: DescField, item: object) -> list[object]:
    if is_repeated(field) and isinstance(item, list):
        return item
    return list(item.values()) if is_map(field) and isinstance(item, dict) else [item]


def _lower_in(part: dict[str, object], name: str, item: object) -> bool:
    """Replace one number, or those of a list or map, in place."""
    if isinstance(item, list):
        lowered: object = [_lowered(each) for each in item]
    elif isinstance(item, dict):
        lowered = {key: _lowered(each) for key, each in item.items()}
    else:
        lowered = _lowered(item)
    if lowered == item:
        return False
    part[name] = lowered
    return True


def _lowered(item: object) -> object:
    number = item
    if isinstance(item, str):
        if item.strip() != item:
            return item
        try:
            number = orjson.loads(item)
        except orjson.JSONDecodeError:
            return item
    if isinstance(number, float) and _LARGEST < abs(number) < _ROUNDS_UP:
        return copysign(_LARGEST, number)
    return item
