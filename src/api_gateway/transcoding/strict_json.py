"""JSON as RFC 8259 and I-JSON (RFC 7493) have it: one value, UTF-8, no member twice, a bounded depth.

Everything a client sends passes here before the protobuf codec sees it. That is more than strictness: the codec reads
values of the wrong shape by unbounded recursion in native code, so that a megabyte of brackets would end the process.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

import orjson

from ..model.errors import GatewayError, bad_request

MAX_LEVELS: Final = 100
"""Objects and arrays inside each other in what an `Any` holds. Typed messages have protobuf's own limit, also 100."""
MAX_MESSAGES: Final = 100_000
"""Most objects and arrays in one JSON text. A megabyte of `{},` would be 340,000 messages and half a second of CPU."""
MIN_BYTES: Final = 2 * MAX_MESSAGES
"""Shorter texts cannot hold that many."""


def parse_json(text: bytes) -> object:
    """Return the value of a JSON text.

    Raises GatewayError 400 (INVALID_JSON, with `position` where it is known) for anything else. Integers beyond 64 bits
    come back as floats: use the result to look at the shape, not for exact numbers.
    """
    if len(text) > MIN_BYTES and text.count(b"{") + text.count(b"[") > MAX_MESSAGES:
        raise too_many()
    try:
        value = orjson.loads(text)
        written = orjson.dumps(value)
    except orjson.JSONDecodeError as error:
        raise _syntax_error(error) from None
    except orjson.JSONEncodeError:  # the writer's own bound on depth, 254
        raise too_deep() from None
    # A member that came twice is dropped by the parser, and its colon with it. The comparison costs 0.3 us where a
    # parse that watches members costs 3 us. Colons may also hide in an escape; then the slow way decides.
    if text.count(b":") != written.count(b":") or b"\\u003" in text:
        _refuse_repeated_members(text)
    return value


def too_deep() -> GatewayError:
    """Make the error for JSON that is nested too deeply."""
    return bad_request(f"the JSON is nested more than {MAX_LEVELS} levels deep", "INVALID_JSON")


def too_many() -> GatewayError:
    """Make the error for JSON with more values than are read for one request."""
    return bad_request(f"the JSON has more than {MAX_MESSAGES} objects, arrays and free values", "INVALID_JSON")


def check_levels(value: object) -> None:
    """Raise GatewayError 400 when objects and arrays are nested more than MAX_LEVELS deep."""
    if has_more_levels(value, MAX_LEVELS):
        raise too_deep()


def has_more_levels(value: object, count: int) -> bool:
    """Tell whether more than so many objects and arrays stand inside each other. Not recursive."""
    level = [value]
    for _ in range(count):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent if isinstance(parent, list) else ())
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _syntax_error(error: orjson.JSONDecodeError) -> GatewayError:
    if "depth" in error.msg or "memory" in error.msg:
        return too_deep()
    if "UTF-8: " in error.msg:
        return bad_request("the JSON is not valid UTF-8", "INVALID_JSON")
    if not error.doc:
        return bad_request("the JSON is empty", "INVALID_JSON")
    position = f"line {error.lineno} column {error.colno}"
    return bad_request(f"the JSON is broken at {position}: {error.msg}", "INVALID_JSON", position=position)


def _refuse_repeated_members(text: bytes) -> None:
    # Numbers are counted, not converted: converting long ones is slow, and only names matter here.
    json.loads(text, object_pairs_hook=_check_names, parse_int=len, parse_float=len)


def _check_names(pairs: Iterable[tuple[str, object]]) -> None:
    seen = set()
    for name, _ in pairs:
        if name in seen:
            short = name if len(name) <= 64 else f"{name[:64]}..."
            text = f"the JSON has the member {json.dumps(short)} twice in one object"
            raise bad_request(text, "INVALID_JSON", field=short)
        seen.add(name)
