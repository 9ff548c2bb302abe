"""What pydantic found wrong, in words for people: where, what was expected, what came, what to write instead."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic_core import ErrorDetails

from api_gateway.config.document import Document
from api_gateway.config.keys import field_at, is_secret, known_keys, may_be_nothing, nearest, section_at, sections_with
from api_gateway.config.problem import KeyPath, Problem, format_path

_LONGEST_SHOWN: Final = 60

_EXPECTED: Final[Mapping[str, str]] = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "byte_size": "a size such as 10MiB, or a number of bytes",
    "byte_size_unit": "a size such as 10MiB, or a number of bytes",
    "dict_type": "a section with keys of its own",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of reasonable size",
    "int_type": "a whole number",
    "ip_v4_network": "a network such as 10.0.0.0/8 or fd00::/8",
    "ip_v6_network": "a network such as 10.0.0.0/8 or fd00::/8",
    "list_type": "a list",
    "model_type": "a section with keys of its own",
    "path_type": "the path of a file",
    "string_sub_type": "text",
    "string_type": "text",
    "string_unicode": "text in UTF-8",
}

_PATTERNS: Final[Mapping[str, str]] = {
    r"^/": 'a path that begins with "/"',
    r"^[A-Z]+$|^\*$": 'an HTTP method such as GET, or "*"',
    r"^(rediss?|unix)://.": "an address such as redis://host:6379/0",
}
"""The patterns of the settings, in words."""

_BOUNDS: Final[Mapping[str, tuple[str, str]]] = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


_UNITS_S: Final[Mapping[str, float]] = {"ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?) ?(ms|s|sec|m|min|h|d)")


def explain(errors: Iterable[ErrorDetails], document: Document) -> Iterator[Problem]:
    """Yield one problem for each mistaken key. Of a value that fits none of several types, only one problem is made."""
    for path, alternatives in _by_path(errors, document).items():
        yield _problem(path, alternatives, document)


def empty_sections(document: Document) -> Iterator[Problem]:
    """Yield a problem for every optional section that is written without content.

    `auth:` with all its keys commented out must not read as "no authentication".
    """
    for path, place in document.key_places.items():
        if section_at(path) and may_be_nothing(path) and document.holds(path) and document.value_at(path) is None:
            yield Problem(message="the section is empty", place=place, path=path, suggestion="fill it in, or remove it")


def describe(value: object) -> str:
    """Name a value that came, short, in the words of YAML."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"' if len(value) <= _LONGEST_SHOWN else f'"{value[: _LONGEST_SHOWN - 3]}..."'
        case list():
            return "a list"
        case dict():
            return "a section"
        case int():
            # Python refuses to write numbers of more than some thousand digits.
            return str(value) if value.bit_length() < 200 else "a huge number"
        case _:
            return str(value)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the nearest known word, or else name all of them."""
    known = tuple(known)
    guess = nearest(word, known)
    if guess:
        return f'did you mean "{guess}"?'
    return f"known here: {', '.join(known)}" if known else ""


def _by_path(errors: Iterable[ErrorDetails], document: Document) -> dict[KeyPath, list[ErrorDetails]]:
    """Gather the errors of one value: pydantic reports one for each member of a union, below a made-up key."""
    found: dict[KeyPath, list[ErrorDetails]] = {}
    for error in errors:
        path: KeyPath = error["loc"]
        if error["type"] != "missing":
            while not document.holds(path):
                path = path[:-1]
        found.setdefault(path, []).append(error)
    return found


def _problem(path: KeyPath, errors: list[ErrorDetails], document: Document) -> Problem:
    kind = errors[0]["type"]
    if kind == "extra_forbidden":
        return _unknown_key(path, document)
    if kind == "missing":
        return _missing_key(path, document)
    if kind == "value_error":
        message, suggestion = str(errors[0]["ctx"]["error"]), ""
    elif kind == "literal_error":
        message, suggestion = _wrong_choice(path, errors[0])
    else:
        message, suggestion = _wrong_value(path, errors)
    return Problem(message=message, place=document.place_of_value(path), path=path, suggestion=suggestion)


def _unknown_key(path: KeyPath, document: Document) -> Problem:
    key = str(path[-1])
    homes = [f'"{format_path(home)}"' for home in sections_with(key)]
    if key in known_keys(("services", "")):
        homes.append('each service in "services"')
    if nearest(key, known_keys(path[:-1])) or not homes:
        suggestion = did_you_mean(key, known_keys(path[:-1]))
    else:
        suggestion = f"it belongs into {' or '.join(homes)}"
    return Problem(message="unknown key", place=document.place_of_key(path), path=path, suggestion=suggestion)


def _missing_key(path: KeyPath, document: Document) -> Problem:
    if path == ("services",):
        return Problem(
            message="the key is missing: name at least one backend",
            place=document.root,
            path=path,
            suggestion="the smallest file is one service with one endpoint",
        )
    example = 'write for example endpoint: "http://localhost:50051"' if path[-1] == "endpoint" else ""
    return Problem(message="the key is missing", place=document.place_of_key(path), path=path, suggestion=example)


def _wrong_choice(path: KeyPath, error: ErrorDetails) -> tuple[str, str]:
    expected = str(error["ctx"]["expected"]).replace("'", '"')
    guess = nearest(str(error["input"]), expected.split('"')[1::2])
    return f"expected {expected}, got {_shown(path, error)}", f'did you mean "{guess}"?' if guess else ""


def _wrong_value(path: KeyPath, errors: list[ErrorDetails]) -> tuple[str, str]:
    error = errors[0]
    kind = error["type"]
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        return f"expected {words} {_plain(error['ctx'][bound])}, got {_shown(path, error)}", ""
    if kind == "string_pattern_mismatch":
        pattern = error["ctx"]["pattern"]
        return f"expected {_PATTERNS.get(pattern, f'text like {pattern}')}, got {_shown(path, error)}", ""
    if kind == "too_short":
        return "the list or section is empty: expected at least one entry", ""
    # Several wrong types of one value: "text or a list".
    expected = list(dict.fromkeys(_EXPECTED[e["type"]] for e in errors if e["type"] in _EXPECTED))
    if expected:
        suggestion = "" if is_secret(path) else _suggest(path, kind, error["input"])
        return f"expected {' or '.join(expected)}, got {_shown(path, error)}", suggestion
    message = error["msg"]
    return message[:1].lower() + message[1:], ""


def _shown(path: KeyPath, error: ErrorDetails) -> str:
    value = error["input"]
    if is_secret(path) and isinstance(value, str | int | float):
        return "something else (not shown: it is a secret)"
    # A text where a section belongs may be a secret that stands one level too high.
    field = field_at(path)
    if error["type"] in ("model_type", "dict_type") and isinstance(value, str):
        return "text" if field is None or field.repr else "a value"
    return describe(value)


def _plain(bound: Any) -> str:
    return str(int(bound)) if float(bound).is_integer() else str(bound)


def _suggest(path: KeyPath, kind: str, value: object) -> str:
    """Return what to write instead of a value of the wrong kind; empty when that cannot be known."""
    match kind, value:
        case "ip_v4_network", str():
            return _network_suggestion(value)
        case "string_type", bool() | int() | float():
            return "put it in quotes"
        case "list_type", str() | int() | float():
            return "put it in brackets, or begin each entry with a dash"
        case "list_type", dict():
            return "begin each entry with a dash"
        case "dict_type" | "model_type", list():
            return "begin each entry with its name and a colon, without a dash"
        case "model_type", str() if len(path) == 2 and path[0] == "services":
            return 'the address is the key "endpoint" of this section'
        case "int_parsing" | "float_parsing", str():
            return _duration_suggestion(str(path[-1]), value)
    return ""


def _duration_suggestion(key: str, value: str) -> str:
    """Bring a time with a unit, such as `30s`, into the unit of the key."""
    unit_s = 0.001 if key.endswith("_ms") else 1.0 if key.endswith(("_seconds", "_secs")) else 0.0
    found = _DURATION.fullmatch(value)
    if not unit_s or found is None:
        return ""
    number = float(found[1]) * _UNITS_S[found[2]] / unit_s
    return f"the unit is part of the key: write {number:g}" if number < 1e15 else ""


def _network_suggestion(value: object) -> str:
    try:
        return f'did you mean "{ipaddress.ip_network(str(value), strict=False)}"?'
    except ValueError:
        return ""
