"""Makes 32-bit floats print as people wrote them: 0.1, not 0.10000000149011612.

The codec hands out 32-bit floats widened to 64 bits and prints all the digits. Replacing a value by the double closest
to its shortest decimal gives the text that every other ProtoJSON implementation prints; as a 32-bit float it is the
same value.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from struct import Struct
from typing import Final, cast

from protobuf import DescField, DescMessage, Message, Oneof, ScalarType

from .fields import element_of, has_presence, is_map, is_repeated, oneof_of, reachable_messages

_MAX_FLOAT32: Final = 3.4028234663852886e38
_pack: Final = Struct("<f").pack

Shortener = Callable[[Message], None]


def shortest(value: float) -> float:
    """Return the double whose decimal is the shortest among those that are `value` as a 32-bit float."""
    if (value.is_integer() and abs(value) < 1e6) or not isfinite(value):
        return value
    packed = _pack(value)
    for digits in range(6, 10):
        short = float(f"{value:.{digits}g}")
        if abs(short) <= _MAX_FLOAT32 and _pack(short) == packed:
            return short
    return value


def compile_shortener(message: DescMessage) -> Shortener | None:
    """Return what shortens all 32-bit floats in a message of that type, in place; None when it can hold none."""
    with_floats = _types_with_floats(message)
    if message.type_name not in with_floats:
        return None
    plans = {name: _plan(inner, with_floats) for name, inner in with_floats.items()}

    def shorten(value: Message) -> None:
        for step in plans[value.desc().type_name]:
            step(value, shorten)

    return shorten


def _types_with_floats(root: DescMessage) -> dict[str, DescMessage]:
    """Find the types that hold floats, directly or through others: from those that do, back along the fields."""
    used_by: dict[str, list[DescMessage]] = {}
    waiting = []
    for message in reachable_messages(root):
        for element in map(element_of, message.fields):
            if isinstance(element, DescMessage):
                used_by.setdefault(element.type_name, []).append(message)
        if any(element_of(field) is ScalarType.FLOAT for field in message.fields):
            waiting.append(message)
    found: dict[str, DescMessage] = {}
    while waiting:
        message = waiting.pop()
        if message.type_name not in found:
            found[message.type_name] = message
            waiting += used_by.get(message.type_name, [])
    return found


def _leads_to(field: DescField, found: dict[str, DescMessage]) -> bool:
    element = element_of(field)
    return element is ScalarType.FLOAT or (isinstance(element, DescMessage) and element.type_name in found)


Step = Callable[[Message, Shortener], None]


def _plan(message: DescMessage, with_floats: dict[str, DescMessage]) -> list[Step]:
    return [_step(field) for field in message.fields if _leads_to(field, with_floats)]


def _step(field: DescField) -> Step:
    is_float = element_of(field) is ScalarType.FLOAT
    if is_repeated(field):
        return _float_list(field.local_name) if is_float else _message_list(field.local_name)
    if is_map(field):
        return _float_map(field.local_name) if is_float else _message_map(field.local_name)
    if is_float:
        return _single_float(field)
    return _single_message(field)


def _float_list(name: str) -> Step:
    def step(message: Message, _: Shortener) -> None:
        values: list[float] = getattr(message, name)
        values[:] = map(shortest, values)

    return step


def _float_map(name: str) -> Step:
    def step(message: Message, _: Shortener) -> None:
        values: dict[object, float] = getattr(message, name)
        for key, value in values.items():
            values[key] = shortest(value)

    return step


def _message_list(name: str) -> Step:
    def step(message: Message, shorten: Shortener) -> None:
        for inner in getattr(message, name):
            shorten(inner)

    return step


def _message_map(name: str) -> Step:
    def step(message: Message, shorten: Shortener) -> None:
        for inner in getattr(message, name).values():
            shorten(inner)

    return step


def _single_float(field: DescField) -> Step:
    oneof, name = oneof_of(field), field.local_name
    if oneof is not None:
        group, member = oneof.local_name, field.name

        def step_oneof(message: Message, _: Shortener) -> None:
            chosen = getattr(message, group)
            if chosen is not None and chosen.field == member:
                setattr(message, group, Oneof(member, shortest(chosen.value)))

        return step_oneof

    has_default = has_presence(field)

    def step(message: Message, _: Shortener) -> None:
        value: float = getattr(message, name)
        short = shortest(value)
        # An unset field shows its default; writing it back would set it.
        if short != value and not (has_default and field not in message):
            setattr(message, name, short)

    return step


def _single_message(field: DescField) -> Step:
    def step(message: Message, shorten: Shortener) -> None:
        inner = cast("Message | None", message[field])
        if inner is not None:
            shorten(inner)

    return step
