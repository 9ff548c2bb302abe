"""One mistake in a configuration, and the error that carries all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]
"""Where a value stands: keys, and indexes of lists."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was written: a file with line and column (both from 1), a variable, or an option."""

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake: where it is, what was expected, what came, and if possible what to write instead.

    Neither `message` nor `suggestion` ever holds the value of a secret.
    """

    message: str
    place: Place | None = None
    path: KeyPath = ()
    suggestion: str = ""

    @property
    def file(self) -> str:
        """Name of the file, variable or option; empty when nothing was found at all."""
        return self.place.source if self.place else ""

    @property
    def line(self) -> int | None:
        """Line in the file, from 1."""
        return self.place.line if self.place else None

    @property
    def column(self) -> int | None:
        """Column in the line, in characters, from 1."""
        return self.place.column if self.place else None

    @property
    def key(self) -> str:
        """The key as people write it: `services.users.endpoint`, `trusted_proxies[0]`."""
        return format_path(self.path)

    def __str__(self) -> str:
        where = [str(part) for part in (self.place, self.key) if part]
        text = ": ".join([*where, self.message])
        return f"{text}; {self.suggestion}" if self.suggestion else text


class ConfigError(Exception):
    """The configuration cannot be used. `problems` holds every mistake found, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=_reading_order))
        super().__init__("\n".join(map(str, self.problems)))


def format_path(path: KeyPath) -> str:
    """Write a key path with dots, and indexes in brackets."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _reading_order(problem: Problem) -> tuple[bool, str, int, int]:
    # A file's mistakes come before those of variables and options, which have no lines.
    return (problem.line is None, problem.file, problem.line or 0, problem.column or 0)
