"""Checks on JSON that the codec does not make: two members of a oneof, a field under both its names, odd spellings.

The codec reads some strings more generously than ProtoJSON has them: `01` and `1.` as numbers, base64 with half its
padding, durations such as `1.s`, field masks with empty parts, keys of maps out of range. A `Shape` is made once for
a message type and walks the parsed JSON value. It runs after the codec accepted the text, so every value is known to
have the right JSON type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from protobuf import DescExtension, DescField, DescMessage, Registry, ScalarType

from ..model.errors import bad_request
from .explain import expected
from .fields import (
    ANY,
    BYTES_VALUE,
    FIELD_MASK,
    INTEGERS,
    NULL_VALUE,
    SPECIAL_TYPES,
    VALUE,
    element_of,
    fields_by_name,
    is_map,
    is_repeated,
    map_key_of,
    oneof_of,
    reachable_messages,
)
from .text_values import Converter, SpellingCheck, converter_for, spelling_check_for

# The part after the last underscore only, so that a long row of them is not read once for each.
_SNAKE_NAME: Final = re.compile(rb'_[^"_]*"[ \t\r\n]*:')
_ODD_NUMBER: Final = re.compile(rb'"(?:[+.]|-\.|-?0[0-9]|-?[0-9]+(?:_|\.(?![0-9])))')
_MAX_SHOWN: Final = 40
Kind = Literal["plain", "text", "message", "any"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    number: int
    kind: Kind
    is_repeated: bool
    is_map: bool
    oneof: str
    takes_null: bool
    """Whether a JSON null is a value of its own (Value, NullValue) and not the absence of one."""
    message: DescMessage | None
    is_spelled: SpellingCheck | None
    expected: str
    convert_key: Converter | None
    """Of a map with integers as keys."""
    expected_key: str


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
            if not path:
                raise bad_request(found.message, "INVALID_FIELD") from None
            raise bad_request(f"{path}: {found.message}", "INVALID_FIELD", field=path) from None

    def _check(self, value: object) -> None:
        if self._message.type_name in SPECIAL_TYPES:
            self._check_special(value)
            return
        if not isinstance(value, dict):
            return
        members = self._members
        if members is None:
            members = self._members = {name: _member(field) for name, field in fields_by_name(self._message).items()}
        seen: set[int] = set()
        chosen: dict[str, str] = {}
        for name, item in value.items():
            member = members.get(name) or self._extension(name)
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
            if member.kind != "plain" or member.convert_key is not None:
                try:
                    self._check_member(member, item)
                except _Found as found:
                    found.path.append(f".{name}")
                    raise

    def _extension(self, name: str) -> _Member | None:
        if not name.startswith("[") or self._registry is None:
            return None
        extension = self._registry.extension(name[1:-1])
        return _member(extension) if extension is not None else None

    def _check_member(self, member: _Member, item: object) -> None:
        if member.is_map and isinstance(item, dict):
            if member.convert_key is not None:
                _check_keys(member.convert_key, member.expected_key, item)
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
        if member.is_spelled is not None:
            if isinstance(item, str) and not member.is_spelled(item):
                raise _Found(f"expected {member.expected}, got {_shown(item)}")
        elif member.kind == "message" and member.message is not None:
            self._shape_of(member.message)._check(item)
        elif member.kind == "any" and isinstance(item, dict):
            self._check_any(item)

    def _check_special(self, value: object) -> None:
        """Check a value that is no field, and whose JSON is no object of fields: a whole text, or what an Any holds."""
        is_spelled = spelling_check_for(self._message)
        if self._message.type_name == ANY and isinstance(value, dict):
            self._check_any(value)
        elif is_spelled is not None and isinstance(value, str) and not is_spelled(value):
            raise _Found(f"expected {expected(self._message)}, got {_shown(value)}")

    def _check_any(self, item: dict[str, object]) -> None:
        url = item.get("@type")
        name = url.rpartition("/")[2] if isinstance(url, str) else ""
        message = self._registry.message(name) if self._registry is not None else None
        if message is None:
            return
        if message.type_name not in SPECIAL_TYPES:
            self._shape_of(message)._check(item)
            return
        try:
            self._shape_of(message)._check(item.get("value"))
        except _Found as found:
            found.path.append(".value")
            raise

    def _shape_of(self, message: DescMessage) -> Shape:
        return self._shapes.get(message.type_name) or Shape(message, self._registry, self._shapes)


def needs_check_always(message: DescMessage) -> bool:
    """Tell whether a rule of `Shape` can be broken by JSON text that shows no sign of it (see `is_suspicious`)."""
    for inner in reachable_messages(message):
        if inner.type_name in (ANY, FIELD_MASK):
            return True
        if inner.type_name in SPECIAL_TYPES:
            continue
        if inner.oneofs or any(_has_integer_keys(field) for field in inner.fields):
            return True
        if any(field.name != field.json_name and "_" not in field.name for field in inner.fields):
            return True
    return False


def holds_bytes(message: DescMessage) -> bool:
    """Tell whether base64 may stand in the JSON of a message."""
    return any(
        inner.type_name == BYTES_VALUE or any(element_of(field) is ScalarType.BYTES for field in inner.fields)
        for inner in reachable_messages(message)
    )


def is_suspicious(text: bytes, *, holds_bytes: bool = True) -> bool:
    """Tell whether JSON text may hold a proto field name, an extension, or a string that only our codec can read.

    Those are numbers (`1_0`, `+1`, `01`, `1.`), durations (`1.s`) and, where there are bytes, half padded base64.
    """
    if b"_" in text and _SNAKE_NAME.search(text):
        return True
    if b"\\" in text or b'"[' in text or b'.s"' in text or (holds_bytes and b'="' in text) or not text.isascii():
        return True
    return _ODD_NUMBER.search(text) is not None


def _member(field: DescField | DescExtension) -> _Member:
    element = element_of(field)
    message = element if isinstance(element, DescMessage) else None
    is_spelled = spelling_check_for(element)
    kind: Kind = "plain"
    if is_spelled is not None:
        kind = "text"
    elif message is not None and message.type_name == ANY:
        kind = "any"
    elif message is not None and message.type_name not in SPECIAL_TYPES:
        kind = "message"
    oneof = oneof_of(field)
    key = map_key_of(field) if _has_integer_keys(field) else None
    return _Member(
        number=field.number,
        kind=kind,
        is_repeated=is_repeated(field),
        is_map=is_map(field),
        oneof=oneof.name if oneof is not None else "",
        takes_null=getattr(element, "type_name", "") in (VALUE, NULL_VALUE),
        message=message,
        is_spelled=is_spelled,
        expected=expected(element),
        convert_key=converter_for(key) if key is not None else None,
        expected_key=expected(key) if key is not None else "",
    )


def _has_integer_keys(field: DescField | DescExtension) -> bool:
    return is_map(field) and map_key_of(field) in INTEGERS


def _check_keys(convert: Converter, wanted: str, entries: dict[str, object]) -> None:
    seen = set()
    for key in entries:
        try:
            number = convert(key)
        except ValueError:
            raise _Found(f"expected as key {wanted}", f"[{_cut(key)}]") from None
        if number in seen:
            raise _Found("the key is given twice", f"[{_cut(key)}]")
        seen.add(number)


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _shown(text: str) -> str:
    return json.dumps(_cut(text))
