"""One log record to one line: JSON, or text for people. Safe whatever a client managed to put into it.

A line is valid UTF-8. Everything invisible in it is escaped: control characters, DEL, C1, line and paragraph
separators, marks that change the direction of text.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import orjson

MAX_LINE_BYTES: Final = 16 * 1024
"""Longest line with its newline (semantics 46). Container runtimes split lines beyond 16 KiB."""

Level = Literal["DEBUG", "INFO", "WARN", "ERROR"]
LineFormat = Literal["json", "text"]
LineEncoder = Callable[[str, Level, str, Mapping[str, object]], bytes]
"""Takes timestamp, level, target and fields; returns the line with its newline. Never raises."""

_OPTIONS: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS
_MAX_TEXT: Final = (MAX_LINE_BYTES, 2048, 512, 128)
"""Characters kept of each text, in the order in which they are tried until the line fits."""
_MAX_DEPTH: Final = 6
_MAX_ITEMS: Final = 64
_MAX_INT: Final = 2**63
_NOT_PLAIN: Final = re.compile(r"[^ -~]")


class Timestamps:
    """RFC 3339 UTC text of the current second, formatted once a second: saves 1 us a line."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def at(self, unix_time_s: float) -> str:
        """Return for example `2024-01-15T10:30:45Z`."""
        second = int(unix_time_s)
        if second != self._second:
            self._text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))
            self._second = second
        return self._text


def encode_json(timestamp: str, level: Level, target: str, fields: Mapping[str, object]) -> bytes:
    """Return the record as one JSON object on one line of at most `MAX_LINE_BYTES`.

    Values that JSON has no form for are written as their `repr`. A record that is too long is shortened and gets the
    field `"truncated": true`.
    """
    record = {"timestamp": timestamp, "level": level, "target": target, "fields": fields}
    try:
        line = _escaped(orjson.dumps(record, _text, _OPTIONS))
    except (TypeError, ValueError, RecursionError):
        # Lone surrogates, integers beyond 64 bits, cycles, a `repr` that raises.
        return _encode_plain(record, is_too_long=False)
    return line if len(line) <= MAX_LINE_BYTES else _encode_plain(record, is_too_long=True)


def _encode_plain(record: dict[str, Any], *, is_too_long: bool) -> bytes:
    fields = record["fields"]
    record["target"] = _text(record["target"])[:128]
    for limit in _MAX_TEXT:
        record["fields"] = {_text(key)[:128]: _plain(value, limit) for key, value in fields.items()}
        if is_too_long:
            record["fields"]["truncated"] = True
        line = _escaped(orjson.dumps(record, None, _OPTIONS))
        if len(line) <= MAX_LINE_BYTES:
            return line
        is_too_long = True
    record["fields"] = {"message": _plain(fields.get("message", ""), _MAX_TEXT[-1]), "truncated": True}
    return _escaped(orjson.dumps(record, None, _OPTIONS))


def encode_text(timestamp: str, level: Level, target: str, fields: Mapping[str, object]) -> bytes:
    """Return the record as text for a terminal: one line, and below it the indented lines of `stack`."""
    rest = dict(fields)
    message = escape_invisible(_text(rest.pop("message", "")))
    stack = _text(rest.pop("stack", ""))
    pairs = [f" {escape_invisible(str(key))}={_value_text(value)}" for key, value in rest.items()]
    line = f"{timestamp} {level:<5} {target}: {message}{''.join(pairs)}"[:MAX_LINE_BYTES]
    below = "".join(f"\n    {escape_invisible(text)}" for text in stack[:MAX_LINE_BYTES].splitlines())
    return f"{line}{below}\n".encode("utf-8", "replace")


def escape_invisible(text: str) -> str:
    r"""Replace every character that has no visible form by its JSON escape, such as `\u202e`."""
    return _NOT_PLAIN.sub(_escape_one, text)


def _escaped(line: bytes) -> bytes:
    # The two checks take 0.1 us; almost every line passes them.
    if line.isascii() and b"\x7f" not in line:
        return line
    return escape_invisible(line[:-1].decode()).encode() + b"\n"


def _escape_one(match: re.Match[str]) -> str:
    character = match[0]
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _value_text(value: object) -> str:
    text = escape_invisible(_text(value))
    return text if text and " " not in text and '"' not in text else f'"{text}"'


def _text(value: object) -> str:
    """Return a text that UTF-8 can carry, whatever the value is."""
    try:
        text = value if isinstance(value, str) else repr(value)
        return text.encode("utf-8", "replace").decode()
    except Exception:  # A `repr` of somebody else may raise anything; writing a log line must not.
        return f"<{type(value).__name__}>"


def _plain(value: object, limit: int, depth: int = 0) -> object:
    """Return a bounded copy made of what JSON knows."""
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < _MAX_INT):
        return value
    if isinstance(value, Mapping) and depth < _MAX_DEPTH:
        items = list(value.items())[:_MAX_ITEMS]
        return {_text(key)[:limit]: _plain(item, limit, depth + 1) for key, item in items}
    if isinstance(value, list | tuple | set | frozenset) and depth < _MAX_DEPTH:
        return [_plain(item, limit, depth + 1) for item in list(value)[:_MAX_ITEMS]]
    text = _text(value)
    return text if len(text) <= limit else f"{text[:limit]}..."
