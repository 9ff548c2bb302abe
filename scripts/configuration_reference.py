"""Write the tables of docs/configuration.md from the settings' classes: every key with its type, default and meaning.

`--write` renews the document; without it the tables are printed. A test fails while the document is out of date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import ByteSize
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from api_gateway.config.keys import kinds_at, section_at
from api_gateway.config.problem import KeyPath
from api_gateway.config.section import Section
from api_gateway.config.settings import Settings
from api_gateway.config.values import IPNetwork

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
BEGIN = "<!-- Written by `make docs` from src/api_gateway/config/settings.py; change the docstrings there. -->"
END = "<!-- End of what `make docs` writes. -->"


def main(arguments: list[str]) -> int:
    """Print the tables, or write them into the document."""
    if arguments == ["--write"]:
        DOCUMENT.write_text(renewed(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
        return 0
    print(tables())
    return 0


def renewed(document: str) -> str:
    """Return the document with current tables between its two marks."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the document has lost the marks around its tables")
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def tables() -> str:
    """Return one heading and one table for each section."""
    return "\n".join(_table(path, section) for path, section in _sections((), Settings))


def _sections(path: KeyPath, section: type[Section]) -> Iterator[tuple[KeyPath, type[Section]]]:
    yield path, section
    for name in section.model_fields:
        for inner in ((*path, name), (*path, name, "<key>"), (*path, name, 0)):
            below = section_at(inner)
            if below is not None:
                yield from _sections(inner, below)


def _table(path: KeyPath, section: type[Section]) -> str:
    rows = [_row((*path, name), field) for name, field in section.model_fields.items()]
    head = ["| Key | Type | Default | Meaning |", "|---|---|---|---|"]
    return "\n".join([f"### {_title(path)}", "", _words(section.__doc__ or ""), "", *head, *rows, ""])


def _title(path: KeyPath) -> str:
    if not path:
        return "The file"
    return "`" + "".join("[]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".") + "`"


def _row(path: KeyPath, field: FieldInfo) -> str:
    below = next((section for inner in (path, (*path, "<key>"), (*path, 0)) if (section := section_at(inner))), None)
    meaning = field.description or (below.__doc__ if below else "") or ""
    kind = " or ".join(_kind(kind) for kind in kinds_at(path) if kind is not type(None))
    if bounds := _bounds(field):
        kind += f", {bounds}"
    return f"| `{path[-1]}` | {kind} | {_default(field)} | {_words(meaning)} |"


def _kind(kind: Any) -> str:
    origin = get_origin(kind)
    if origin is Annotated:
        return _kind(get_args(kind)[0])
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    if origin is list:
        return f"list of {_plural(get_args(kind)[0])}"
    if origin is dict:
        return "sections by key"
    if isinstance(kind, type) and issubclass(kind, Section):
        return "section"
    names = {bool: "true or false", int: "whole number", float: "number", str: "text", Path: "path", ByteSize: "size"}
    return names.get(kind, "network")


def _plural(kind: Any) -> str:
    if kind == IPNetwork:
        return "networks"
    if get_origin(kind) is Literal:
        return _kind(kind)
    return _kind(kind) + "s"


def _bounds(field: FieldInfo) -> str:
    found: dict[str, Any] = {}
    for constraint in field.metadata:
        for name in ("gt", "ge", "lt", "le"):
            if getattr(constraint, name, None) is not None:
                found[name] = getattr(constraint, name)
    words = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
    if "ge" in found and "le" in found:
        return f"{_number(found['ge'])} to {_number(found['le'])}"
    return ", ".join(f"{words[name]} {_number(value)}" for name, value in found.items())


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=False)
    if default is PydanticUndefined:
        return "**required**"
    match default:
        case None:
            return "none"
        case bool():
            return f"`{str(default).lower()}`"
        case ByteSize():
            return f"`{default.human_readable()}`".replace(".0", "")
        case int() | float():
            return f"`{_number(default)}`"
        case list():
            return f"`[{', '.join(map(str, default))}]`"
        case Section():
            return "its defaults"
        case _:
            return f"`{default}`" if str(default) else "empty"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


def _words(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
