"""Checks on JSON that the codec does not make: two members of a oneof, a field under both its names, odd integers.

A `Shape` is compiled once for each message type and walks the parsed JSON value. It runs after the codec accepted the
text, so every value is known to have the right JSON type.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from protobuf import DescField, DescMessage, Registry

from ..model.errors import GatewayError, bad_request
from .fields import (
    ANY,
    INTEGERS,
    NULL_VALUE,
    SPECIAL_TYPES,
    VALUE,
    element_of,
    fields_by_name,
    is_map,
    is_repeated,
    oneof_of,
    reachable_messages,
)

_INT_WRAPPERS: Final = frozenset(f"google.protobuf.{kind}Value" for kind in ("Int32", "Int64", "UInt32", "UInt64"))
_SNAKE_NAME: Final = re.compile(rb'_[^"]*"[ \t\r\n]*:')
_SPLIT_INTEGER: Final = re.compile(rb'"-?[0-9]+_')
Kind = Literal["plain", "integer", "message", "any"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    number: int
    kind: Kind
    is_repeated: bool
    is_map: bool
    has_integer_keys: bool
    oneof: str
    takes_null: bool
    """Whether a JSON null is a value of its own (Value, NullValue) and not the absence of one."""
    message: DescMessage | None


class Shape:
    """The checks for one message type. Types inside it are compiled when they are first met."""

    __slots__ = ("_members", "_message", "_registry", "_shapes")

    def __init__(self, message: DescMessage, registry: Registry | None, shapes: dict[str, Shape] | None = None) -> None:
        self._shapes = {} if shapes is None else shapes
        self._shapes[message.type_name] = self
        self._registry = registry
        self._message = message
        # Made on first use: most types of a large schema are never checked.
        self._members: dict[str, _Member] | None = None

    def check(self, value: object, path: str = "") -> None:
        """Raise GatewayError 400 (INVALID_FIELD, with `field`) when the parsed JSON object `value` breaks a rule."""
        if not isinstance(value, dict):
            return
        members = self._members
        if members is None:
            members = self._members = {name: _member(field) for name, field in fields_by_name(self._message).items()}
        seen: set[int] = set()
        chosen: dict[str, str] = {}
        for name, item in value.items():
            member = members.get(name)
            if member is None:
                continue
            if member.number in seen:
                raise _invalid(path + name, "the field is given twice, under both its names")
            seen.add(member.number)
            if item is None and not member.takes_null:
                continue
            if member.oneof:
                other = chosen.setdefault(member.oneof, name)
                if other != name:
                    raise _invalid(path + name, f"only one of {other} and {name} may be set")
            if member.kind != "plain" or member.has_integer_keys:
                self._check_member(member, item, path + name)

    def _check_member(self, member: _Member, item: object, path: str) -> None:
        if member.is_map and isinstance(item, dict):
            for key, entry in item.items():
                if member.has_integer_keys:
                    _check_integer(key, path)
                self._check_item(member, entry, f"{path}[{key}]")
        elif member.is_repeated and isinstance(item, list):
            for index, entry in enumerate(item):
                self._check_item(member, entry, f"{path}[{index}]")
        else:
            self._check_item(member, item, path)

    def _check_item(self, member: _Member, item: object, path: str) -> None:
        if member.kind == "integer":
            if isinstance(item, str):
                _check_integer(item, path)
        elif member.kind == "message" and member.message is not None:
            self._shape_of(member.message).check(item, f"{path}.")
        elif member.kind == "any" and isinstance(item, dict):
            self._check_any(item, f"{path}.")

    def _check_any(self, item: dict[str, object], path: str) -> None:
        url = item.get("@type")
        name = url.rpartition("/")[2] if isinstance(url, str) else ""
        message = self._registry.message(name) if self._registry is not None else None
        if message is None:
            return
        if message.type_name == ANY and isinstance(inner := item.get("value"), dict):
            self._check_any(inner, f"{path}value.")
        elif message.type_name not in SPECIAL_TYPES:
            self._shape_of(message).check(item, path)

    def _shape_of(self, message: DescMessage) -> Shape:
        return self._shapes.get(message.type_name) or Shape(message, self._registry, self._shapes)


def needs_check_always(message: DescMessage) -> bool:
    """Tell whether a rule of `Shape` can be broken by JSON text that shows no sign of it (see `is_suspicious`)."""
    for inner in reachable_messages(message):
        if inner.type_name == ANY:
            return True
        if inner.type_name in SPECIAL_TYPES:
            continue
        if inner.oneofs:
            return True
        if any(field.name != field.json_name and "_" not in field.name for field in inner.fields):
            return True
    return False


def is_suspicious(text: bytes) -> bool:
    """Tell whether JSON text may hold a proto field name, or an integer that only Python reads as one (`1_0`, `+1`)."""
    if b"_" in text and (_SNAKE_NAME.search(text) or _SPLIT_INTEGER.search(text)):
        return True
    return b"\\" in text or b'"+' in text or not text.isascii()


def _member(field: DescField) -> _Member:
    element = element_of(field)
    message = element if isinstance(element, DescMessage) else None
    kind: Kind = "plain"
    if element in INTEGERS or (message is not None and message.type_name in _INT_WRAPPERS):
        kind = "integer"
    elif message is not None and message.type_name == ANY:
        kind = "any"
    elif message is not None and message.type_name not in SPECIAL_TYPES:
        kind = "message"
    oneof = oneof_of(field)
    return _Member(
        number=field.number,
        kind=kind,
        is_repeated=is_repeated(field),
        is_map=is_map(field),
        has_integer_keys=is_map(field) and getattr(field.value, "key", None) in INTEGERS,
        oneof=oneof.name if oneof is not None else "",
        takes_null=getattr(element, "type_name", "") in (VALUE, NULL_VALUE),
        message=message,
    )


def _check_integer(text: str, path: str) -> None:
    if not text.isascii() or "_" in text or text.startswith("+"):
        raise _invalid(path, "expected an integer in decimal digits")


def _invalid(path: str, message: str) -> GatewayError:
    return bad_request(f"{path}: {message}", "INVALID_FIELD", field=path)
