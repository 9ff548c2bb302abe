"""ProtoJSON into messages: strict, bounded, and with errors that tell the client where it went wrong."""

from __future__ import annotations

import orjson
from protobuf import DescMessage, Message, Registry

from ..config.settings import TranscodingSettings
from .any_types import AnyTypes
from .explain import CODEC_ERRORS, explain
from .fields import ANY, reachable_messages
from .float_limits import lower_to_largest, may_hold_largest
from .free_values import COUNTED, count_free_values
from .message_depth import MAX_SHALLOW_LEVELS, DepthLimit, too_deep_message
from .native_codec import NativeCodec, native_reader
from .shape import Shape, holds_bytes, is_suspicious, needs_check_always
from .strict_json import MAX_LEVELS, MAX_MESSAGES, MIN_BYTES, check_levels, has_more_levels, parse_json, too_many
from .type_urls import may_hold_foreign, restore_type_urls


class JsonDecoder:
    """Reads JSON as one message type. Any number of requests may share it."""

    __slots__ = (
        "_checks_always",
        "_depth",
        "_has_native",
        "_holds_any",
        "_holds_bytes",
        "_holds_values",
        "_ignores_unknown",
        "_message",
        "_native",
        "_registry",
        "_shape",
    )

    def __init__(self, message: DescMessage, settings: TranscodingSettings, registry: Registry) -> None:
        self._message = message
        self._has_native = True
        self._native: NativeCodec | None = None
        self._registry = AnyTypes(registry).as_registry()
        self._ignores_unknown = settings.unknown_fields == "ignore"
        self._shape = Shape(message, self._registry)
        self._depth = DepthLimit(message)
        self._checks_always = needs_check_always(message)
        self._holds_bytes = holds_bytes(message)
        names = {inner.type_name for inner in reachable_messages(message)}
        self._holds_any = ANY in names
        self._holds_values = not names.isdisjoint(COUNTED)

    def serialize(self, text: bytes) -> bytes | None:
        """Return the serialized message of a JSON text, None when only `decode` can tell: use that then."""
        native = self._native
        if native is None:
            if not self._has_native:
                return None
            # Made with the first body: of thousands of routes, most are never used.
            native = self._native = native_reader(self._message)
            self._has_native = native is not None
            if native is None:
                return None
        return native.from_json(text)

    def decode(self, text: bytes) -> Message:
        """Return the message that a JSON text describes.

        Raises GatewayError 400: INVALID_JSON, INVALID_FIELD or UNKNOWN_FIELD, with `field` or `position` where known.
        """
        return self.decode_parsed(text, parse_json(text))

    def decode_parsed(self, text: bytes, value: object) -> Message:
        """Like `decode`, for a text whose value `parse_json` has already returned."""
        if self._holds_values and len(text) > MIN_BYTES and text.count(b",") > MAX_MESSAGES:
            self._check_values(value)
        if self._holds_any and text.count(b"[") + text.count(b"{") > MAX_LEVELS:
            check_levels(value)
        try:
            message = self._read(text)
        except CODEC_ERRORS as error:
            message = self._read_largest_floats(text, value, error)
        if self._checks_always or is_suspicious(text, holds_bytes=self._holds_bytes):
            self._shape.check(value)
        if self._holds_any and may_hold_foreign(text):
            restore_type_urls(message, value, self._registry)
        if self._depth.is_needed and text.count(b"[") + text.count(b"{") > MAX_SHALLOW_LEVELS:
            self._check_depth(message, value)
        return message

    def _read_largest_floats(self, text: bytes, value: object, error: Exception) -> Message:
        """Read again what was refused with `error`, if numbers that round to the largest 32-bit float can be why."""
        try:
            if may_hold_largest(text) and lower_to_largest(self._message, value):
                return self._read(orjson.dumps(value))
        except CODEC_ERRORS as second:
            error = second
        raise explain(error, self._message, value, len(text), self._registry) from None

    def _check_depth(self, message: Message, value: object) -> None:
        if not has_more_levels(value, MAX_SHALLOW_LEVELS):
            return
        try:
            serialized = message.to_binary()
        except CODEC_ERRORS:  # told when it is serialized for the backend
            return
        if self._depth.is_exceeded(serialized):
            raise too_deep_message("INVALID_JSON")

    def _check_values(self, value: object) -> None:
        if count_free_values(self._message, value) > MAX_MESSAGES:
            raise too_many()

    def _read(self, text: bytes) -> Message:
        message_type = self._message.type
        try:
            return message_type.from_json(text, registry=self._registry)
        except CODEC_ERRORS:
            if not self._ignores_unknown:
                raise
        # Only on second thoughts: while it ignores unknown fields the codec also drops numbers of open enums it has no
        # name for, which are legitimate values.
        return message_type.from_json(text, ignore_unknown_fields=True, registry=self._registry)
