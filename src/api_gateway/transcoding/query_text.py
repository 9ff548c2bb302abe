"""The text of queries and forms: `application/x-www-form-urlencoded` (WHATWG URL, section 5), read strictly."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from ..model.errors import bad_request

MAX_PARAMETERS: Final = 1_000
"""Most parameters in one query or form. The limit is checked before anything is split."""
MAX_QUERY_CHARS: Final = 65_536
"""Longest query. The server's own limit on the request target is at most this (`server.max_uri_bytes`)."""

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
    return unquote_to_bytes(text).decode() if "%" in text else text
