"""Which keys and which kinds of value may stand where, read from the settings' classes."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from api_gateway.config.problem import KeyPath
from api_gateway.config.section import Section
from api_gateway.config.settings import Settings

PREFIX: Final = "API_GATEWAY__"
"""What the names of environment variables with settings begin with; a double underscore separates keys, too."""


def section_at(path: KeyPath) -> type[Section] | None:
    """Return the class of the section at a path; None where no section may stand."""
    for kind in kinds_at(path):
        if isinstance(kind, type) and issubclass(kind, Section):
            return kind
    return None


def known_keys(path: KeyPath) -> tuple[str, ...]:
    """Return the keys of the section at a path; none where no section may stand or where keys are free."""
    section = section_at(path)
    return tuple(section.model_fields) if section else ()


def field_at(path: KeyPath) -> FieldInfo | None:
    """Return the description of one key."""
    section = section_at(path[:-1]) if path else None
    return section.model_fields.get(str(path[-1])) if section else None


def is_secret(path: KeyPath) -> bool:
    """Tell whether a value must never be shown: its field is declared with `repr=False`, or lies below such a field."""
    fields = [field_at(path[:length]) for length in range(1, len(path) + 1)]
    return any(field is not None and not field.repr for field in fields)


def is_list(path: KeyPath) -> bool:
    """Tell whether a list may stand at a path."""
    return any(get_origin(kind) is list for kind in kinds_at(path))


def takes_only_text(path: KeyPath) -> bool:
    """Tell whether everything that may stand at a path is text, so that a number would be a mistake."""
    kinds = [kind for kind in kinds_at(path) if kind is not type(None)]
    return bool(kinds) and all(kind is str or kind is Path or get_origin(kind) is Literal for kind in kinds)


def may_be_nothing(path: KeyPath) -> bool:
    """Tell whether a key may be written without a value."""
    return type(None) in kinds_at(path)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word most like a mistyped one, whatever its case and its dashes; empty when none is."""
    by_spelling = {fold(candidate): candidate for candidate in known}
    found = difflib.get_close_matches(fold(word), by_spelling, n=1, cutoff=0.6)
    return by_spelling[found[0]] if found else ""


def fold(word: str) -> str:
    """Bring a key to the form in which keys are compared: lower case, `-` as `_`."""
    return word.lower().replace("-", "_")


def sections_with(key: str) -> tuple[KeyPath, ...]:
    """Return the top-level sections that have a key of this name, for a key that stands in the wrong place."""
    top = [(name,) for name in Settings.model_fields if section_at((name,))]
    return tuple(path for path in top if key in known_keys(path))


def kinds_at(path: KeyPath) -> tuple[Any, ...]:
    """Return the types that may stand at a path, without wrappers."""
    kinds: tuple[Any, ...] = (Settings,)
    for part in path:
        kinds = tuple(inner for kind in kinds for inner in _kinds_inside(kind, part))
    return kinds


def _kinds_inside(kind: Any, part: str | int) -> tuple[Any, ...]:
    origin = get_origin(kind)
    if origin is dict and isinstance(part, str):
        return _unwrap(get_args(kind)[1])
    if origin is list and isinstance(part, int):
        return _unwrap(get_args(kind)[0])
    if isinstance(kind, type) and issubclass(kind, Section) and part in kind.model_fields:
        return _unwrap(kind.model_fields[str(part)].annotation)
    return ()


def _unwrap(annotation: Any) -> tuple[Any, ...]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _unwrap(get_args(annotation)[0])
    if origin is Union or origin is types.UnionType:
        return tuple(kind for member in get_args(annotation) for kind in _unwrap(member))
    return (annotation,)
