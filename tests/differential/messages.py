"""Messages with random content, the same for the same seed, built over descriptors."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any, Final, cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

_DEEPEST: Final = 3
_TEXTS: Final = (
    "",
    "a",
    "hello world",
    "é",
    "日本語",
    "🎉",
    '"\\/\b\f\n\r\t',
    "\x00\x1f\x7f",
    "<&>'",
    "\u2028\u2029",
    "a" * 70,
)
_BORDERS: Final = {
    32: (0, 1, -1, 2**31 - 1, -(2**31), 2**32 - 1),
    64: (0, 1, -1, 2**63 - 1, -(2**63), 2**64 - 1, 2**53 + 1),
}
_DOUBLES: Final = (
    0.0, -0.0, 1.0, -1.5, 0.1, 1e20, 1e21, 1e22, 1e-5, 1e-7, 5e-324, 1.7976931348623157e308, float("nan"),
    float("inf"), float("-inf"), 123456789.123456789, 1e15, 1e16, 123456.0,
)  # fmt: skip
_SECONDS: Final = (0, 1, -1, 1_705_314_645, 253_402_300_799, -62_135_596_800)
_NANOS: Final = (0, 1, 1_000, 1_000_000, 500_000_000, 999_999_999, 120_000_000, 123_456_000)


class MessageMaker:
    """Makes messages of a type. Each call gives another; a new maker with the same seed gives the same ones again."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def make(self, descriptor: Descriptor, depth: int = 0) -> Message:
        """Return a message with about a third of its fields set."""
        message: Message = GetMessageClass(descriptor)()
        make_known = self._known().get(descriptor.full_name)
        if make_known is not None:
            make_known(message, depth)
            return message
        for field in descriptor.fields:
            if self._random.random() < 0.35 and (depth < _DEEPEST or field.message_type is None):
                self._set(message, field, depth)
        return message

    def _set(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            self._set_map(message, field, depth)
        elif field.is_repeated:
            for _ in range(self._random.randint(1, 3)):
                if field.message_type is not None:
                    getattr(message, field.name).add().CopyFrom(self.make(field.message_type, depth + 1))
                else:
                    getattr(message, field.name).append(self._scalar(field))
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(self.make(field.message_type, depth + 1))
        else:
            setattr(message, field.name, self._scalar(field))

    def _set_map(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        entry = cast("Descriptor", field.message_type)
        key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
        entries: Any = getattr(message, field.name)
        for _ in range(self._random.randint(1, 3)):
            if value.message_type is not None:
                entries[self._scalar(key)].CopyFrom(self.make(value.message_type, depth + 1))
            else:
                entries[self._scalar(key)] = self._scalar(value)

    def _scalar(self, field: FieldDescriptor) -> Any:
        choose = self._random.choice
        if field.enum_type is not None:
            return choose([*(value.number for value in field.enum_type.values), 99])
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            if field.type == FieldDescriptor.TYPE_STRING:
                return choose(_TEXTS)
            return self._random.randbytes(self._random.randint(0, 5))
        if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
            return choose((True, False))
        if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
            return choose((*_DOUBLES, self._random.uniform(-1e6, 1e6), self._random.random()))
        if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT:
            return self._float()
        return self._integer(field)

    def _integer(self, field: FieldDescriptor) -> int:
        is_unsigned = field.cpp_type in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64)
        bits = 32 if field.cpp_type in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_INT32) else 64
        low, high = (0, 2**bits - 1) if is_unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        fitting = [number for number in _BORDERS[bits] if low <= number <= high]
        return self._random.choice([*fitting, self._random.randint(low, high)])

    def _float(self) -> float:
        """Any of the 2^32 floats, since their shortest texts are what writers get wrong."""
        number: float = struct.unpack("<f", self._random.randbytes(4))[0]
        return self._random.choice((number, 0.1, 1.5, -0.0, 16777216.0, 3.4028234663852886e38, float("inf")))

    def _known(self) -> dict[str, Callable[[Any, int], None]]:
        return {
            "google.protobuf.Timestamp": self._set_timestamp,
            "google.protobuf.Duration": self._set_duration,
            "google.protobuf.FieldMask": self._set_mask,
            "google.protobuf.Struct": self._set_struct,
            "google.protobuf.Value": self._set_value,
            "google.protobuf.ListValue": self._set_list,
            "google.protobuf.Any": self._set_any,
        }

    def _set_timestamp(self, message: Any, _depth: int) -> None:
        message.seconds, message.nanos = self._random.choice(_SECONDS), self._random.choice(_NANOS)

    def _set_duration(self, message: Any, _depth: int) -> None:
        sign = self._random.choice((1, -1))
        message.seconds = sign * self._random.choice((0, 0, 1, 59, 3_600, 315_575_999_999))
        message.nanos = sign * self._random.choice(_NANOS)

    def _set_mask(self, message: Any, _depth: int) -> None:
        message.paths.extend(self._random.sample(("name", "inner.level", "maybe_text", "inner.deeper.words"), 2))

    def _set_struct(self, message: Any, depth: int) -> None:
        for key in self._random.sample(("a", "b", "c d", ""), 2):
            self._set_value(message.fields[key], depth + 1)

    def _set_list(self, message: Any, depth: int) -> None:
        for _ in range(self._random.randint(0, 3)):
            self._set_value(message.values.add(), depth + 1)

    def _set_value(self, message: Any, depth: int) -> None:
        kind = self._random.randrange(6 if depth < _DEEPEST else 4)
        if kind == 0:
            message.null_value = 0
        elif kind == 1:
            message.number_value = self._random.choice((0.0, 1.0, -1.5, 1e21, 0.1, 123456789012.0))
        elif kind == 2:
            message.string_value = self._random.choice(_TEXTS)
        elif kind == 3:
            message.bool_value = self._random.choice((True, False))
        elif kind == 4:
            message.struct_value.SetInParent()
            self._set_struct(message.struct_value, depth)
        else:
            message.list_value.SetInParent()
            self._set_list(message.list_value, depth)

    def _set_any(self, message: Any, depth: int) -> None:
        pool = message.DESCRIPTOR.file.pool
        names = (
            "differential.Inner",
            "google.protobuf.Duration",
            "google.protobuf.Int64Value",
            "google.protobuf.Struct",
        )
        message.Pack(self.make(pool.FindMessageTypeByName(self._random.choice(names)), depth + 1))
