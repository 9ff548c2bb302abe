"""What a request body is, by its `content-type` and `content-encoding` (semantics 14; RFC 9110 section 8)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final

from ..model.errors import GatewayError, Source
from ..model.status import Code

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE: Final = re.compile(
    rb"[ \t]*(" + _TOKEN + rb"/" + _TOKEN + rb")"
    rb"((?:[ \t]*;[ \t]*(?:" + _TOKEN + rb"=(?:" + _TOKEN + rb'|"[^"\\]*"))?)*)[ \t]*'
)
_CHARSET: Final = re.compile(rb';[ \t]*charset="?([^";]*)"?', re.IGNORECASE)
_MAX_BYTES: Final = 256
"""Longest content type looked at for JSON and forms."""


class Format(Enum):
    """How a body is read."""

    JSON = "json"
    FORM = "form"


def format_of(content_type: bytes) -> Format:
    """Return how to read a body with that content type; none at all means JSON.

    Raises GatewayError 415 (UNSUPPORTED_MEDIA_TYPE) for other types, and for character sets other than UTF-8.
    """
    if content_type == b"application/json" or not content_type:
        return Format.JSON
    match = _MEDIA_TYPE.fullmatch(content_type) if len(content_type) <= _MAX_BYTES else None
    if match is None:
        raise unsupported("the content type is malformed")
    kind = match[1].lower()
    for charset in _CHARSET.findall(match[2]):
        if charset.strip().lower() not in (b"utf-8", b"utf8"):
            raise unsupported("only the character set UTF-8 is supported")
    if kind == b"application/json" or kind.endswith(b"+json"):
        return Format.JSON
    if kind == b"application/x-www-form-urlencoded":
        return Format.FORM
    raise unsupported(f"the content type {kind.decode('ascii')} is not supported; send application/json")


def format_of_body(content_type: bytes, body: bytes) -> Format:
    """Return how to read this body: as `format_of` says, but a form that begins like a JSON object is JSON.

    `curl -d '{"name": "Ada"}'` labels its body a form. No form that anybody could mean begins with a brace: field names
    begin with letters. Raises as `format_of` does.
    """
    kind = format_of(content_type)
    if kind is Format.FORM and body.lstrip()[:1] == b"{":
        return Format.JSON
    return kind


def refuse_encoded(headers: Mapping[bytes, bytes]) -> None:
    """Raise GatewayError 415 for a body that says it is compressed; nothing here unpacks any, so no bomb can go off."""
    encoding = headers.get(b"content-encoding")
    if encoding is None or encoding.lower() == b"identity":
        return
    raise GatewayError(
        Code.INVALID_ARGUMENT,
        "compressed request bodies are not supported; send the body as it is",
        reason="UNSUPPORTED_CONTENT_ENCODING",
        source=Source.CLIENT,
        http=415,
        headers=((b"accept-encoding", b"identity"),),  # RFC 9110 section 15.5.16
    )


def unsupported(message: str) -> GatewayError:
    """Make the error for a body in a format nobody reads (415)."""
    return GatewayError(Code.INVALID_ARGUMENT, message, reason="UNSUPPORTED_MEDIA_TYPE", source=Source.CLIENT, http=415)
