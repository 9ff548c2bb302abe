"""The text of queries and forms: `application/x-www-form-urlencoded` (WHATWG URL, section 5), read strictly."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

import orjson

from ..model.errors import bad_request

MAX_PARAMETERS: Final = 1_000
"""Most parameters in one query or form. The limit is checked before anything is split."""
MAX_QUERY_CHARS: Final = 65_536
"""Longest query. The server's own limit on the request target is at most this (`server.max_uri_bytes`)."""

MANY_ESCAPES: Final = 64
"""Escapes in one value from which on the fast decoder pays."""
_JSON_ESCAPE: Final = "\\u00"
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")

Pairs = list[tuple[str, str]]


def parse_query(query: str) -> Pairs:
    """Return the decoded keys and values of a raw query, in order. `+` is a space; without `=` the value is empty.

    Raises GatewayError 400: TOO_MANY_PARAMETERS, or INVALID_QUERY for what is not percent-encoded UTF-8.
    """
    if len(query) > MAX_QUERY_CHARS:
        raise bad_request(f"the query is longer than {MAX_QUERY_CHARS} characters", "INVALID_QUERY")
    if not query.isascii():
        raise bad_request("the query has characters that are not percent-encoded", "INVALID_QUERY")
    return _split(query, "query", "INVALID_QUERY")


def parse_form(body: bytes) -> Pairs:
    """Return the decoded keys and values of a form. Raises GatewayError 400 like `parse_query`, or INVALID_FORM."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise bad_request("the form is not valid UTF-8", "INVALID_FORM") from None
    return _split(text, "form", "INVALID_FORM")


def _split(text: str, what: str, reason: str) -> Pairs:
    if text.count("&") >= MAX_PARAMETERS:
        raise bad_request(f"the {what} has more than {MAX_PARAMETERS} parameters", "TOO_MANY_PARAMETERS")
    if "%" not in text and "+" not in text:
        return [(key, value) for key, _, value in [part.partition("=") for part in text.split("&")] if key or value]
    bad = _BAD_ESCAPE.search(text)
    if bad is not None:
        shown = text[bad.start() : bad.start() + 3]
        raise bad_request(f'the {what} has "{shown}" where "%" and two hexadecimal digits were expected', reason)
    try:
        return [
            (_decode(key), _decode(value))
            for key, _, value in [part.partition("=") for part in text.split("&")]
            if key or value
        ]
    except UnicodeDecodeError:
        raise bad_request(f"the {what} is not valid UTF-8 after percent-decoding", reason) from None


def _decode(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    escapes = text.count("%")
    if not escapes:
        return text
    return _decode_many(text) if escapes > MANY_ESCAPES and text.isascii() else unquote_to_bytes(text).decode()


def _decode_many(text: str) -> str:
    """Decode ASCII text whose escapes are known to be whole.

    It is read as a JSON string, which has escapes of the same kind: 8 ms for a MiB of them instead of 65 ms.
    """
    for character in '\\"':
        text = text.replace(character, f"%{ord(character):02X}")
    try:
        decoded: str = orjson.loads(f'"{text.replace("%", _JSON_ESCAPE)}"')
    except orjson.JSONDecodeError:  # control characters, which JSON wants escaped
        return unquote_to_bytes(text).decode()
    return decoded.encode("latin-1").decode()
