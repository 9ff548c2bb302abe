"""Finds out where JSON does not fit a message, in words for the client.

The codec's own texts name Python classes and not the place. So when it refuses a text, the JSON is tried again in
parts: first each member, then the members or items of the one that fails. The number of trials is bounded.
"""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from typing import Final

import orjson
from protobuf import DescEnum, DescField, DescMessage, Registry, ScalarType, message_from_json_value

from ..model.errors import GatewayError, bad_request
from .fields import (
    ANY,
    DURATION,
    FIELD_MASK,
    SPECIAL_TYPES,
    TIMESTAMP,
    WRAPPERS,
    Element,
    element_of,
    fields_by_name,
    is_map,
    is_repeated,
    map_key_of,
)

_MAX_TRIALS: Final = 200
"""Members and items tried before giving up on a more exact place. A trial costs about a microsecond for a small one."""
_MAX_VALUE_BYTES: Final = 65_536
"""Largest JSON looked at. Trials read a nested value once a level, so their cost is bounded by this times the depth."""
_MAX_SHOWN: Final = 40
"""Most characters of the client's own value shown back."""
CODEC_ERRORS: Final = (ValueError, TypeError, OverflowError, RecursionError)
"""What the protobuf codec raises for input it refuses. Found by fuzzing; there is no common base class."""

_REQUIRED: Final = re.compile(r"cannot encode (\w+) to binary: required field not set")
_RANGES: Final = {
    ScalarType.INT32: "an integer from -2147483648 to 2147483647",
    ScalarType.UINT32: "an integer from 0 to 4294967295",
    ScalarType.INT64: "an integer from -9223372036854775808 to 9223372036854775807",
    ScalarType.UINT64: "an integer from 0 to 18446744073709551615",
    ScalarType.FLOAT: 'a number that a 32-bit float can hold, or "NaN", "Infinity", "-Infinity"',
    ScalarType.DOUBLE: 'a number that a 64-bit float can hold, or "NaN", "Infinity", "-Infinity"',
    ScalarType.BOOL: "true or false",
    ScalarType.STRING: "a string",
    ScalarType.BYTES: "a base64 string",
}
_SAME_RANGE: Final = {
    ScalarType.SINT32: ScalarType.INT32,
    ScalarType.SFIXED32: ScalarType.INT32,
    ScalarType.FIXED32: ScalarType.UINT32,
    ScalarType.SINT64: ScalarType.INT64,
    ScalarType.SFIXED64: ScalarType.INT64,
    ScalarType.FIXED64: ScalarType.UINT64,
}
_SPECIAL: Final = {
    ANY: 'an object with "@type" naming a known message type, and fields of that type',
    TIMESTAMP: 'a time such as "2024-01-31T12:00:00Z", year 1 to 9999',
    DURATION: 'a duration in seconds such as "3.5s", at most 315576000000s',
    FIELD_MASK: 'a list of paths such as "name,homeAddress.city"',
    "google.protobuf.Struct": "an object",
    "google.protobuf.ListValue": "an array",
    "google.protobuf.Value": "any JSON value with finite numbers",
}


def explain(
    error: Exception, message: DescMessage, value: object, size_bytes: int, registry: Registry | None
) -> GatewayError:
    """Make the error for JSON that the codec refused with `error`. `value` is the parsed JSON."""
    if isinstance(error, RecursionError):
        return bad_request("the JSON is nested more than 100 levels deep", "INVALID_JSON")
    required = _REQUIRED.match(str(error))
    if required is not None:
        return bad_request(f"the required field {required[1]} is missing", "INVALID_FIELD", field=required[1])
    if size_bytes <= _MAX_VALUE_BYTES:
        found = _Search(registry).in_message(message, value, "")
        if found is not None:
            return found
    return bad_request(f"the JSON does not fit {message.type_name}", "INVALID_FIELD")


def expected(element: Element) -> str:
    """Describe what JSON a type takes, for an error text."""
    if isinstance(element, ScalarType):
        return _RANGES[_SAME_RANGE.get(element, element)]
    if isinstance(element, DescEnum):
        return f"a name or number of {element.type_name}"
    if element.type_name in WRAPPERS:
        return expected(element_of(element.fields[0]))
    return _SPECIAL.get(element.type_name, f"an object ({element.type_name})")


def unknown_name(kind: str, path: str, name: str, names: list[str], reason: str) -> GatewayError:
    """Make the error for a name that is not known, with the nearest known one as a hint."""
    short = path if len(path) <= 128 else f"{path[:128]}..."
    # The comparison is quadratic in the length of the names and linear in their number, hence the bounds.
    near = get_close_matches(name, names[:64], n=1) if len(name) <= 40 else []
    hint = f"; did you mean {near[0]}?" if near else ""
    return bad_request(f"unknown {kind} {json.dumps(short)}{hint}", reason, field=short)


class _Search:
    def __init__(self, registry: Registry | None) -> None:
        self._registry = registry
        self._trials_left = _MAX_TRIALS

    def in_message(self, message: DescMessage, value: object, path: str) -> GatewayError | None:
        """Return the error for the first member of `value` that does not fit, None when no single one can be found."""
        if not isinstance(value, dict) or message.type_name in SPECIAL_TYPES:
            return _unfit(path, expected(message), value)
        names = fields_by_name(message)
        for name, item in value.items():
            field = names.get(name)
            if field is None:
                if not (name.startswith("[") and self._fits(message, {name: item})):
                    known = sorted({field.json_name for field in message.fields})
                    return unknown_name("field", path + name, name, known, "UNKNOWN_FIELD")
            elif not self._fits(message, {name: item}):
                return self._in_field(message, field, name, item, path + name)
        return None

    def _in_field(self, message: DescMessage, field: DescField, name: str, item: object, path: str) -> GatewayError:
        element = element_of(field)
        if is_map(field):
            if not isinstance(item, dict):
                return _unfit(path, "an object", item)
            key_type = map_key_of(field)
            for key, entry in item.items():
                if not self._fits(message, {name: {key: entry}}):
                    if self._is_key_at_fault(message, name, entry, key_type):
                        return _unfit(f"{path}[{_cut(key)}]", f"as key {expected(key_type)}", key)
                    return self._in_element(element, entry, f"{path}[{_cut(key)}]")
        elif is_repeated(field):
            if not isinstance(item, list):
                return _unfit(path, "an array", item)
            for index, entry in enumerate(item):
                if not self._fits(message, {name: [entry]}):
                    return self._in_element(element, entry, f"{path}[{index}]")
        else:
            return self._in_element(element, item, path)
        return _unfit(path, expected(element), item)

    def _in_any(self, item: dict[str, object], path: str) -> GatewayError | None:
        url = item.get("@type")
        if not isinstance(url, str):
            return None
        held = self._registry.message(url.rpartition("/")[2]) if self._registry is not None else None
        if held is None:
            return bad_request(f"{path}: the type {_shown(url)} is not known", "INVALID_FIELD", field=f"{path}.@type")
        if held.type_name in SPECIAL_TYPES:
            return None
        return self.in_message(held, {name: value for name, value in item.items() if name != "@type"}, f"{path}.")

    def _in_element(self, element: Element, item: object, path: str) -> GatewayError:
        if isinstance(element, DescMessage) and element.type_name == ANY and isinstance(item, dict):
            found = self._in_any(item, path)
            if found is not None:
                return found
        elif isinstance(element, DescMessage) and element.type_name not in SPECIAL_TYPES:
            found = self.in_message(element, item, f"{path}." if isinstance(item, dict) else path)
            if found is not None:
                return found
        return _unfit(path, expected(element), item)

    def _is_key_at_fault(self, message: DescMessage, name: str, entry: object, key_type: ScalarType) -> bool:
        """Tell whether the value of an entry fits once its key does."""
        good = {ScalarType.STRING: "", ScalarType.BOOL: "true"}.get(key_type, "1")
        return self._fits(message, {name: {good: entry}})

    def _fits(self, message: DescMessage, value: dict[str, object]) -> bool:
        if self._trials_left <= 0:
            return True
        self._trials_left -= 1
        try:
            message_from_json_value(message.type, value, registry=self._registry)  # type: ignore[arg-type] # JSON by origin
        except CODEC_ERRORS:
            return False
        return True


def _unfit(path: str, wanted: str, value: object) -> GatewayError:
    where = path.rstrip(".")
    got = _shown(value)
    if not where:
        return bad_request(f"expected {wanted}, got {got}", "INVALID_FIELD")
    return bad_request(f"{where}: expected {wanted}, got {got}", "INVALID_FIELD", field=where)


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, str) and len(value) > _MAX_SHOWN:
        return f"{orjson.dumps(value[:_MAX_SHOWN]).decode()}..."
    return orjson.dumps(value).decode()
