"""Which message an `Any` holds: the backend's own types first, then the well-known ones, then the error details."""

from __future__ import annotations

from functools import cache
from typing import Final, cast

from protobuf import DescExtension, DescField, DescMessage, Message, Registry
from protobuf.wkt import (
    Any,
    BoolValue,
    BytesValue,
    DoubleValue,
    Duration,
    Empty,
    FieldMask,
    FloatValue,
    Int32Value,
    Int64Value,
    ListValue,
    StringValue,
    Struct,
    Timestamp,
    UInt32Value,
    UInt64Value,
    Value,
)
from protobuf.wkt.google.protobuf.descriptor_pb import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

from .error_details import error_detail_types
from .fields import ANY, element_of, is_map, is_repeated

_BUILT_IN: Final = {
    kind.desc().type_name: kind.desc()
    for kind in (
        *(Any, Duration, Empty, FieldMask, ListValue, Struct, Timestamp, Value),
        *(
            BoolValue,
            BytesValue,
            DoubleValue,
            FloatValue,
            Int32Value,
            Int64Value,
            StringValue,
            UInt32Value,
            UInt64Value,
        ),
    )
}


class AnyTypes:
    """Looks types up like a `Registry`, and knows the built-in ones too; no registry is copied for it."""

    __slots__ = ("_registry",)

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def message(self, type_name: str) -> DescMessage | None:
        """Return the message type of that name, None when it is not known."""
        return self._registry.message(type_name) or built_in_message(type_name)

    def extension(self, type_name: str) -> DescExtension | None:
        """Return the extension of that name, None when it is not known."""
        return self._registry.extension(type_name)

    def extension_for(self, type_info: DescMessage | str | Message, number: int) -> DescExtension | None:
        """Return the extension of a message by its number, None when it is not known."""
        return self._registry.extension_for(type_info, number)

    def extensions_for(self, type_info: DescMessage | str | Message) -> list[DescExtension]:
        """Return all known extensions of a message."""
        return self._registry.extensions_for(type_info)

    def as_registry(self) -> Registry:
        """Return itself as what the codec's signatures ask for: it only calls the four methods above."""
        return cast("Registry", self)


class OpaqueTypes(AnyTypes):
    """Knows every type: those that nobody defined are written as their base64 bytes.

    Use it for messages whose unknown `Any`s went through `wrap_unknown`.
    """

    __slots__ = ()

    def message(self, type_name: str) -> DescMessage | None:
        """Return the message type of that name, or one with nothing but `bytes value`."""
        return super().message(type_name) or _opaque()


def built_in_message(type_name: str) -> DescMessage | None:
    """Return a well-known type or a standard error detail by its full name, None for others."""
    return _BUILT_IN.get(type_name) or error_detail_types().message(type_name)


def type_name_of(type_url: str) -> str:
    """Return the message name at the end of an `Any`'s type URL."""
    return type_url.rpartition("/")[2]


def wrap_unknown(message: Message, types: AnyTypes) -> bool:
    """Make every `Any` of unknown type inside `message` writable with `OpaqueTypes`; return whether there was one.

    Their JSON becomes `{"@type": ..., "value": <base64 of the bytes>}`. Raises what the codec raises when an `Any` of a
    known type holds bytes that are not of that type.
    """
    is_changed = False
    for field in message.desc().fields:
        element = element_of(field)
        if isinstance(element, DescMessage):
            for inner in _messages_in(message, field):
                is_changed |= _wrap_any(inner, types) if element.type_name == ANY else wrap_unknown(inner, types)
    return is_changed


def wrap_unknown_root(message: Message, types: AnyTypes) -> bool:
    """Like `wrap_unknown`, for a message that may itself be an `Any`."""
    return _wrap_any(message, types) if message.desc().type_name == ANY else wrap_unknown(message, types)


def _messages_in(message: Message, field: DescField) -> list[Message]:
    value = message[field]
    if is_repeated(field):
        return cast("list[Message]", value)
    if is_map(field):
        return list(value.values())
    return [value] if value is not None else []


def _wrap_any(message: Message, types: AnyTypes) -> bool:
    holder = cast("Any", message)
    if not holder.type_url:
        return False
    known = types.message(type_name_of(holder.type_url))
    if known is None:
        holder.value = _opaque().type(value=holder.value).to_binary()
        return True
    inner = known.type.from_binary(holder.value)
    if not wrap_unknown_root(inner, types):
        return False
    holder.value = inner.to_binary()
    return True


@cache
def _opaque() -> DescMessage:
    value = FieldDescriptorProto(
        name="value",
        json_name="value",
        number=1,
        type=FieldDescriptorProto.Type.BYTES,
        label=FieldDescriptorProto.Label.OPTIONAL,
    )
    file = FileDescriptorProto(
        name="opaque.proto", syntax="proto3", message_type=[DescriptorProto(name="Opaque", field=[value])]
    )
    registry = FileDescriptorSet(file=[FileDescriptorProto.from_binary(file.to_binary())]).to_registry()
    opaque = registry.message("Opaque")
    assert opaque is not None, "defined three lines above"  # noqa: S101 # for the type checker
    return opaque
