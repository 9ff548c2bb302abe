"""Checks on JSON that the codec does not make: two members of a oneof, a field under both its names, odd integers.

A `Shape` is compiled once for each message type and walks the parsed JSON value. It runs after the codec accepted the
text, so every value is known to have the right JSON type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from protobuf import DescField, DescMessage, Registry

from ..model.errors import bad_request
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
# The part after the last underscore only, so that a long row of them is not read once for each.
_SNAKE_NAME: Final = re.compile(rb'_[^"_]*"[ \t\r\n]*:')
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


class _Found(Exception):  # noqa: N818 # an offence on its way up, where each level adds its part of the path
    def __init__(self, message: str, *path: str) -> None:
        super().__init__(message)
        self.message = message
        self.path = list(path)
        """Parts of the path, innermost first."""


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

    def check(self, value: object) -> None:
        """Raise GatewayError 400 (INVALID_FIELD, with `field`) when the parsed JSON `value` breaks a rule."""
        try:
            self._check(value)
        except _Found as found:
            path = "".join(reversed(found.path)).removeprefix(".")
            raise bad_request(f"{path}: {found.message}", "INVALID_FIELD", field=path) from None

    def _check(self, value: object) -> None:
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
                raise _Found("the field is given twice, under both its names", f".{name}")
            seen.add(member.number)
            if item is None and not member.takes_null:
                continue
            if member.oneof:
                other = chosen.setdefault(member.oneof, name)
                if other != name:
                    raise _Found(f"only one of {other} and {name} may be set", f".{name}")
            if member.kind != "plain" or member.has_integer_keys:
                try:
                    self._check_member(member, item)
                except _Found as found:
                    found.path.append(f".{name}")
                    raise

    def _check_member(self, member: _Member, item: object) -> None:
        if member.is_map and isinstance(item, dict):
            if member.has_integer_keys:
                for key in item:
                    _check_integer(key)
            self._check_items(member, item.items())
        elif member.is_repeated and isinstance(item, list):
            self._check_items(member, enumerate(item))
        else:
            self._check_item(member, item)

    def _check_items(self, member: _Member, items: Iterable[tuple[object, object]]) -> None:
        for key, item in items:
            try:
                self._check_item(member, item)
            except _Found as found:
                found.path.append(f"[{key}]")
                raise

    def _check_item(self, member: _Member, item: object) -> None:
        if member.kind == "integer":
            if isinstance(item, str):
                _check_integer(item)
        elif member.kind == "message" and member.message is not None:
            self._shape_of(member.message)._check(item)
        elif member.kind == "any" and isinstance(item, dict):
            self._check_any(item)

    def _check_any(self, item: dict[str, object]) -> None:
        url = item.get("@type")
        name = url.rpartition("/")[2] if isinstance(url, str) else ""
        message = self._registry.message(name) if self._registry is not None else None
        if message is None:
            return
        if message.type_name == ANY and isinstance(inner := item.get("value"), dict):
            try:
                self._check_any(inner)
            except _Found as found:
                found.path.append(".value")
                raise
        elif message.type_name not in SPECIAL_TYPES:
            self._shape_of(message)._check(item)

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


def _check_integer(text: str) -> None:
    if not text.isascii() or "_" in text or text.startswith("+"):
        raise _Found("expected an integer in decimal digits")
