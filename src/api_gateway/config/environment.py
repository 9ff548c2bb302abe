"""Settings from environment variables: `API_GATEWAY__SERVER__PORT=9000` is the key `port` of the section `server`.

Keys are matched whatever their case, and `_` for `-`. Values are written as in YAML; where only text may stand, they
are taken as they are, unless they are in quotes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from api_gateway.config.document import Document
from api_gateway.config.explain import did_you_mean
from api_gateway.config.keys import PREFIX, fold, is_list, known_keys, may_be_nothing, takes_only_text
from api_gateway.config.problem import ConfigError, KeyPath, Place, Problem, format_path
from api_gateway.config.yaml_reader import read_value

_SEPARATOR: Final = "__"


def overriding_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the variables that hold settings, a section before the keys inside it."""
    names = [name for name in environ if name.upper().startswith(PREFIX)]
    return tuple(sorted(names, key=lambda name: (name.count(_SEPARATOR), name)))


def apply_environment(document: Document, environ: Mapping[str, str]) -> Iterator[Problem]:
    """Write the values of all such variables into the document, and yield what cannot be written."""
    set_by: dict[KeyPath, str] = {}
    for name in overriding_variables(environ):
        place = Place(f"environment variable {name}")
        path = _find_path(name, document)
        problem = _misplaced(path, place, document)
        if problem is None and path in set_by:
            problem = Problem(message=f"sets the same key as {set_by[path]}", place=place, path=path)
        if problem is None:
            set_by[path] = name
            problem = _write(document, path, environ[name], place)
        if problem is not None:
            yield problem


def _find_path(name: str, document: Document) -> KeyPath:
    path: KeyPath = ()
    for part in name[len(PREFIX) :].split(_SEPARATOR):
        path = (*path, _find_key(part, path, document))
    return path


def _find_key(part: str, parent: KeyPath, document: Document) -> str | int:
    if part.isascii() and part.isdigit() and is_list(parent):
        return int(part[:9])
    known = known_keys(parent)
    if not known:
        # A section with free names: those in the file, else a new one in the usual spelling, `user-service`.
        values = document.value_at(parent)
        known = tuple(values) if isinstance(values, dict) else ()
    by_spelling = {fold(key): key for key in known}
    return by_spelling.get(fold(part), part.lower().replace("_", "-") if not known_keys(parent) else part.lower())


def _misplaced(path: KeyPath, place: Place, document: Document) -> Problem | None:
    if "" in path:
        return Problem(
            message="a key is missing in the name",
            place=place,
            suggestion=f"write for example {PREFIX}SERVER__PORT",
        )
    for length in range(1, len(path) + 1):
        known = known_keys(path[: length - 1])
        if known and path[length - 1] not in known:
            return Problem(
                message="unknown key",
                place=place,
                path=path[:length],
                suggestion=did_you_mean(str(path[length - 1]), known),
            )
    return None


def _write(document: Document, path: KeyPath, text: str, place: Place) -> Problem | None:
    try:
        value = _read(text, path, place.source)
    except ConfigError as error:
        first = error.problems[0]
        return Problem(message=first.message, place=place, path=(*path, *first.path), suggestion=first.suggestion)
    blocked = document.put(path, value, place)
    if blocked is None:
        return None
    if is_list(blocked):
        return Problem(
            message=f'"{format_path(blocked)}" has no entry before this one; entries count from 0 without gaps',
            place=place,
            path=path,
        )
    return Problem(message=f'"{format_path(blocked)}" is not a section', place=place, path=path)


def _read(text: str, path: KeyPath, source: str) -> object:
    if not takes_only_text(path):
        return read_value(text, source)[0]
    # A text such as a secret may hold anything, also what YAML would take for a number, a comment or a mistake.
    try:
        value, quote = read_value(text, source)
    except ConfigError:
        return text
    if quote in ("'", '"') or (value is None and text.strip() and may_be_nothing(path)):
        return value
    return text
