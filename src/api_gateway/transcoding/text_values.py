"""Single values as text, in paths, queries and forms: what each type accepts is its ProtoJSON text without quotes."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from math import isfinite
from struct import pack, unpack
from typing import Final

from protobuf import DescEnum, DescMessage, Message, ScalarType, message_from_json_value

from .explain import CODEC_ERRORS
from .fields import DURATION, FIELD_MASK, INTEGERS, NULL_VALUE, TIMESTAMP, WRAPPERS, Element, element_of

Converter = Callable[[str], object]
"""Returns the value of a text. Raises ValueError when the text is none; whoever calls knows what was expected."""

SpellingCheck = Callable[[str], bool]
"""Tells whether a string that the JSON codec reads as a value is also one in ProtoJSON."""

_MAX_NUMBER_CHARS: Final = 400
"""Longest number looked at. People write fewer than 25 digits; the largest double has 309."""
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,19})")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_DURATION: Final = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,9})?s")
_MASK_PATH: Final = re.compile(r"[^\s.]+(?:\.[^\s.]+)*")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*|[A-Za-z0-9_-]*")
_SPECIAL_FLOATS: Final = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_UNSIGNED: Final = frozenset({ScalarType.UINT32, ScalarType.FIXED32, ScalarType.UINT64, ScalarType.FIXED64})
_NARROW: Final = frozenset(
    {ScalarType.INT32, ScalarType.SINT32, ScalarType.SFIXED32, ScalarType.UINT32, ScalarType.FIXED32}
)
_MAX_INTEGER_POWER: Final = 19
"""Power of ten of the largest unsigned 64-bit integer."""


def converter_for(element: Element) -> Converter | None:
    """Return what reads a text as that type; None for messages that have no such text."""
    if isinstance(element, DescEnum):
        return _enum(element)
    if isinstance(element, DescMessage):
        return _message(element)
    if element in INTEGERS:
        return _integer(element)
    return _SCALARS[element]


def spelling_check_for(element: Element) -> SpellingCheck | None:
    """Return what checks the strings that stand for such values in JSON; None where the codec is strict itself."""
    if element in INTEGERS or element in (ScalarType.FLOAT, ScalarType.DOUBLE):
        return _is_number
    if element is ScalarType.BYTES:
        return _is_padded
    name = element.type_name if isinstance(element, DescMessage) else ""
    if name == DURATION:
        return lambda text: _DURATION.fullmatch(text) is not None
    if name == FIELD_MASK:
        return lambda text: not text or all(_MASK_PATH.fullmatch(path) for path in text.split(","))
    if name in WRAPPERS and isinstance(element, DescMessage):
        return spelling_check_for(element_of(element.fields[0]))
    return None


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None or text in _SPECIAL_FLOATS


def _is_padded(text: str) -> bool:
    """Tell whether base64 has all its padding, or none."""
    return not text.endswith("=") or len(text) % 4 == 0


def _string(text: str) -> str:
    return text


def _bool(text: str) -> bool:
    if text == "true":
        return True
    if text == "false":
        return False
    raise ValueError(text)


def _integer(scalar: ScalarType) -> Converter:
    bits = 32 if scalar in _NARROW else 64
    low, high = (0, 2**bits - 1) if scalar in _UNSIGNED else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    def convert(text: str) -> int:
        # The pattern comes first: int() alone also takes underscores, spaces, a plus sign and digits of other scripts.
        value = int(text) if _INTEGER.fullmatch(text) else _whole_number(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return convert


def _whole_number(text: str) -> int:
    """Read an integer in another notation, `1e3` or `10.0`; exactly, since a double has 53 bits only."""
    if len(text) > _MAX_NUMBER_CHARS or _NUMBER.fullmatch(text) is None:
        raise ValueError(text)
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent of very many digits
        raise ValueError(text) from None
    if not number:
        return 0
    if not -_MAX_NUMBER_CHARS <= number.adjusted() <= _MAX_INTEGER_POWER or number != number.to_integral_value():
        raise ValueError(text)
    return int(number)


def _float64(text: str) -> float:
    special = _SPECIAL_FLOATS.get(text)
    if special is not None:
        return special
    if len(text) > _MAX_NUMBER_CHARS or _NUMBER.fullmatch(text) is None:
        raise ValueError(text)
    number = float(text)
    if not isfinite(number):
        raise ValueError(text)
    return number


def _float32(text: str) -> float:
    number = _float64(text)
    try:
        rounded: float = unpack("<f", pack("<f", number))[0]
    except OverflowError:
        raise ValueError(text) from None
    return rounded


def _bytes(text: str) -> bytes:
    bare = text.rstrip("=")
    # Python's decoder skips what is not in the alphabet unless told otherwise, and wants padding.
    if not _is_padded(text) or len(text) - len(bare) > 2 or _BASE64.fullmatch(bare) is None:
        raise ValueError(text)
    padded = bare + "=" * (-len(bare) % 4)
    try:
        return b64decode(padded, altchars="-_" if "-" in bare or "_" in bare else None, validate=True)
    except Base64Error:
        raise ValueError(text) from None


_SCALARS: Final[dict[ScalarType, Converter]] = {
    ScalarType.STRING: _string,
    ScalarType.BOOL: _bool,
    ScalarType.BYTES: _bytes,
    ScalarType.DOUBLE: _float64,
    ScalarType.FLOAT: _float32,
}


def _enum(enum: DescEnum) -> Converter:
    numbers = {value.name: value.number for value in enum.values}
    if enum.type_name == NULL_VALUE:
        numbers["null"] = 0
    known = frozenset(numbers.values())

    def convert(text: str) -> int:
        number = numbers.get(text)
        if number is not None:
            return number
        if _INTEGER.fullmatch(text) is None:
            raise ValueError(text)
        value = int(text)
        if value not in known and not (enum.open and -(2**31) <= value < 2**31):
            raise ValueError(text)
        return value

    return convert


def _message(message: DescMessage) -> Converter | None:
    name = message.type_name
    if name in WRAPPERS:
        return _wrapper(message)
    if name == TIMESTAMP:
        return lambda text: _from_json(message, text)
    if name == DURATION:
        return lambda text: _duration(message, text)
    if name == FIELD_MASK:
        return lambda text: _field_mask(message, text)
    return None


def _wrapper(message: DescMessage) -> Converter:
    convert = converter_for(element_of(message.fields[0]))
    assert convert is not None, "wrappers hold scalars"  # noqa: S101 # for the type checker
    return lambda text: message.type(value=convert(text))


def _duration(message: DescMessage, text: str) -> Message:
    if _DURATION.fullmatch(text) is None:  # the codec also takes "1.s"
        raise ValueError(text)
    return _from_json(message, text)


def _field_mask(message: DescMessage, text: str) -> Message:
    """Read a field mask. Beyond ProtoJSON, which wants `displayName`, paths may be spelled as in the proto file."""
    paths: list[str] = []
    for path in text.split(",") if text else ():
        if _MASK_PATH.fullmatch(path) is None:
            raise ValueError(text)
        if "_" in path:
            paths.append(path)
        else:
            paths += getattr(_from_json(message, path), "paths")  # noqa: B009 # the type is dynamic
    return message.type(paths=paths)


def _from_json(message: DescMessage, text: str) -> Message:
    try:
        return message_from_json_value(message.type, text)
    except CODEC_ERRORS as error:
        raise ValueError(text) from error
