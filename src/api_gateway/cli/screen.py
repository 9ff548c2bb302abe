"""How the commands speak: plain text, coloured where it goes to a terminal."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from ..config.problem import Problem

_GAP: Final = "  "
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Page:
    """Lines and tables on one stream. Nothing is wrapped or cut: a path or a command must stay in one piece."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`, which stays the caller's."""
        self._stream = stream
        # rich knows colours, NO_COLOR and TERM=dumb; what is no terminal gets the bare text.
        self._console = Console(file=stream, highlight=False, soft_wrap=True) if stream.isatty() else None

    def say(self, text: str = "", style: str = "") -> None:
        """Print one line; `style` is one of rich's and only for terminals."""
        self._print(Text(_printable(text), style=style))

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print rows under heads, in columns as wide as their longest cell."""
        lines = [[_printable(cell) for cell in cells] for cells in (heads, *rows)]
        widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
        for number, cells in enumerate(lines):
            padded = [cell + " " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True)]
            self._print(Text(_GAP.join(padded).rstrip(), style="" if number else "bold"))

    def emit(self, text: str) -> None:
        """Write text for programs as it is."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def _print(self, text: Text) -> None:
        if self._console is not None:
            self._console.print(text)
        else:
            self.emit(text.plain)


class Screen(Page):
    """What people are told, on standard error; `results` is what a command was asked for, on standard output.

    People may look away: when standard error is closed, what is said there is lost, and the command goes on.
    """

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self.results = Page(sys.stdout)

    def fail(self, text: str) -> None:
        """Print what went wrong and what to do."""
        self._print(Text("error: ", style="bold red") + Text(_printable(text)))

    def warn(self, text: str) -> None:
        """Print what may go wrong."""
        self._print(Text("warning: ", style="bold yellow") + Text(_printable(text)))

    def warnings(self, problems: Iterable[Problem]) -> None:
        """Print what a configuration is right with, and will not work all the same."""
        for problem in problems:
            self.warn(str(problem))

    def problems(self, problems: Iterable[Problem]) -> None:
        """Print every mistake of a configuration."""
        for problem in problems:
            self.fail(str(problem))

    def _print(self, text: Text) -> None:
        with suppress(OSError, ValueError):  # ValueError: Python's own stream was closed
            super()._print(text)


def _printable(text: str) -> str:
    """Return text without anything that steers a terminal: much of it comes from backends."""
    return _UNPRINTABLE.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
