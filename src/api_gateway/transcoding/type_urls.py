"""The type URLs of `Any` as the sender wrote them: the codec puts `type.googleapis.com` before every type's name.

A backend may look at the whole URL, and a message that comes from JSON should be the one that went into it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, cast

from protobuf import DescField, DescMessage, Message, Registry
from protobuf.wkt import Any

from .any_types import type_name_of
from .fields import ANY, SPECIAL_TYPES, element_of, fields_by_name, is_map, is_repeated, map_key_of
from .text_values import Converter, converter_for

_FOREIGN: Final = re.compile(rb'"@type"[ \t\r\n]*:[ \t\r\n]*"(?!type\.googleapis\.com/)')


def may_hold_foreign(text: bytes) -> bool:
    """Tell cheaply whether JSON text can hold a type URL that the codec replaces."""
    return b"\\" in text or _FOREIGN.search(text) is not None


def restore_type_urls(message: Message, value: object, registry: Registry) -> bool:
    """Give every `Any` in a message the type URL that it has in the parsed JSON of that message.

    The message must have been made from that JSON. Looks into fields, lists, maps and what an `Any` holds, not into
    extensions. Returns whether a URL changed.
    """
    if message.desc().type_name == ANY:
        return isinstance(value, dict) and _restore_any(cast("Any", message), value, registry)
    if not isinstance(value, dict):
        return False
    fields = fields_by_name(message.desc())
    has_changed = False
    for name, item in value.items():
        field = fields.get(name)
        if field is not None and isinstance(element_of(field), DescMessage):
            for inner, part in _pairs(message, field, item):
                has_changed |= restore_type_urls(inner, part, registry)
    return has_changed


def _pairs(message: Message, field: DescField, item: object) -> Iterator[tuple[Message, object]]:
    """Iterate over the messages in a field, each with its JSON."""
    element = cast("DescMessage", element_of(field))
    held = message[field]
    if held is None or (element.type_name in SPECIAL_TYPES and element.type_name != ANY):
        return
    if is_repeated(field):
        yield from zip(cast("list[Message]", held), item if isinstance(item, list) else (), strict=False)
    elif is_map(field):
        convert = cast("Converter", converter_for(map_key_of(field)))
        entries = cast("dict[object, Message]", held)
        for key, part in item.items() if isinstance(item, dict) else ():
            yield entries[convert(key)], part
    else:
        yield cast("Message", held), item


def _restore_any(holder: Any, value: dict[str, object], registry: Registry) -> bool:
    url = value.get("@type")
    if not isinstance(url, str):
        return False
    has_changed = holder.type_url != url
    holder.type_url = url
    held = registry.message(type_name_of(url))
    if held is None or (held.type_name in SPECIAL_TYPES and held.type_name != ANY):
        return has_changed
    inner = held.type.from_binary(holder.value)
    if restore_type_urls(inner, value.get("value") if held.type_name == ANY else value, registry):
        holder.value = inner.to_binary()
        has_changed = True
    return has_changed
