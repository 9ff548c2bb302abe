"""Messages into ProtoJSON: the answers of backends. Reading JSON is in `json_decoder.py`."""

from __future__ import annotations

import re
from typing import Final, Protocol, cast

from protobuf import DescField, DescMessage, Message, Registry

from ..config.settings import TranscodingSettings
from ..model.errors import GatewayError, Source
from ..model.status import Code
from .any_types import AnyTypes, OpaqueTypes, wrap_unknown_root
from .explain import CODEC_ERRORS
from .json_writer import JsonOptions, JsonWriter, write_message
from .native_codec import NativeCodec, native_writer
from .short_floats import compile_shortener

JSON: Final = b"application/json"
OCTETS: Final = b"application/octet-stream"
"""Content type of an `HttpBody` that names none: a browser saves such bytes and never runs them."""

_HEADER_VALUE: Final = re.compile(r"[\x20-\x7e]{1,1024}")
_LOG_CHARS: Final = 200


class Encoder(Protocol):
    """Turns the messages of one method into HTTP content. A streaming method uses it for every message alike."""

    @property
    def is_raw(self) -> bool:
        """Whether bodies are bytes with a content type of the backend's choice (`google.api.HttpBody`), not JSON."""

    def encode(self, message: bytes) -> tuple[bytes, bytes]:
        """Return content type and body. JSON is one line, without a line break at its end.

        Raises GatewayError INTERNAL, HTTP status 502, when the message cannot be decoded or has no JSON form.
        """


class JsonEncoder:
    """Writes messages, or with `write` a part of them, as JSON. Nothing a caller can see changes after it is built."""

    __slots__ = (
        "_message",
        "_native",
        "_opaque_options",
        "_options",
        "_settings",
        "_shorten",
        "_type",
        "_types",
        "_write",
    )

    is_raw: Final = False

    def __init__(
        self,
        message: DescMessage,
        settings: TranscodingSettings,
        registry: Registry,
        write: JsonWriter[Message] = write_message,
    ) -> None:
        self._message = message
        self._settings: TranscodingSettings | None = settings if write is write_message else None
        self._native: NativeCodec | None = None
        self._type = message.type
        self._types = AnyTypes(registry)
        self._options = _options(settings, self._types)
        self._opaque_options = _options(settings, OpaqueTypes(registry))
        self._shorten = compile_shortener(message)
        self._write = write

    def encode(self, message: bytes) -> tuple[bytes, bytes]:
        """See `Encoder.encode`."""
        native = self._native
        if native is not None:
            body = native.to_json(message)
            if body is not None:
                return JSON, body
        elif self._settings is not None:
            # Made with the first message: of thousands of routes, most are never used.
            settings, self._settings = self._settings, None
            self._native = native_writer(self._message, settings)
        return self.encode_plainly(message)

    def encode_plainly(self, message: bytes) -> tuple[bytes, bytes]:
        """See `Encoder.encode`; without the native codec, whose answers must be the same."""
        try:
            decoded = self._type.from_binary(message)
            if self._shorten is not None:
                self._shorten(decoded)
            return JSON, self._write(decoded, self._options).encode()
        except CODEC_ERRORS as error:
            return JSON, self._encode_opaque(message, error)

    def _encode_opaque(self, message: bytes, error: Exception) -> bytes:
        """Write a message with `Any`s of types nobody defined, or raise.

        They become base64 and not an error: the call has succeeded, and a client that knows the type can still read it.
        """
        try:
            decoded = self._type.from_binary(message)
            if not wrap_unknown_root(decoded, self._types):
                raise invalid_answer(error)
            if self._shorten is not None:
                self._shorten(decoded)
            return self._write(decoded, self._opaque_options).encode()
        except CODEC_ERRORS as second:
            raise invalid_answer(second) from None


def _options(settings: TranscodingSettings, types: AnyTypes) -> JsonOptions:
    return JsonOptions(
        registry=types.as_registry(),
        always_emit_implicit=settings.emit_defaults,
        print_enums_as_ints=settings.enums_as_ints,
        use_proto_field_name=settings.preserve_proto_names,
    )


class HttpBodyEncoder:
    """Hands out the bytes of a `google.api.HttpBody`, which is the answer or a field of it."""

    __slots__ = ("_field", "_type")

    is_raw: Final = True

    def __init__(self, message: DescMessage, field: DescField | None) -> None:
        self._type = message.type
        self._field = field

    def encode(self, message: bytes) -> tuple[bytes, bytes]:
        """See `Encoder.encode`."""
        try:
            decoded = self._type.from_binary(message)
        except CODEC_ERRORS as error:
            raise invalid_answer(error) from None
        body: _HttpBody | None = cast("_HttpBody", decoded) if self._field is None else decoded[self._field]
        if body is None:
            return OCTETS, b""
        if not body.content_type:
            return OCTETS, body.data
        if _HEADER_VALUE.fullmatch(body.content_type) is None:
            raise invalid_answer(ValueError("the content type of the HttpBody is no header value"))
        return body.content_type.encode("ascii"), body.data


class _HttpBody(Protocol):
    content_type: str
    data: bytes


def invalid_answer(error: Exception) -> GatewayError:
    """Make the error for an answer that cannot be read or has no JSON form. The codec's words go to the log only."""
    return GatewayError(
        Code.INTERNAL,
        "the backend sent a message that cannot be decoded",
        reason="UPSTREAM_INVALID_MESSAGE",
        source=Source.UPSTREAM,
        http=502,
        log_reason=str(error)[:_LOG_CHARS],
    )
