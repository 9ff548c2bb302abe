"""JSON objects read strictly: UTF-8, no duplicate members, no NaN or Infinity, bounded depth (RFC 8725 section 3.7)."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


def parse_object(data: bytes, *, max_depth: int) -> dict[str, Any]:
    """Return the JSON object in `data`.

    Raises ValueError for everything else: broken or repeated parts, text that is not UTF-8, numbers no float or int can
    hold, nesting deeper than `max_depth`.
    """
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if type(value) is not dict:
        raise ValueError("expected a JSON object")
    _check_depth(value, max_depth)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands there twice")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse)


def _check_depth(value: Any, max_depth: int) -> None:
    level = [value]
    depth = 0
    while level:
        depth += 1
        if depth > max_depth:
            raise ValueError(f"nested more than {max_depth} levels deep")
        inner: list[Any] = []
        for item in level:
            inner.extend(item.values() if type(item) is dict else item)
        level = [item for item in inner if type(item) in (dict, list)]
