"""How the commands speak to people: plain text on standard error, coloured when that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..config.problem import Problem


class Screen:
    """What people see. Results for programs go to standard output by `emit`."""

    def __init__(self) -> None:
        is_terminal = sys.stderr.isatty()
        # Lines are never wrapped in a pipe: a path or a command must stay in one piece.
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, force_terminal=is_terminal)

    def say(self, text: str = "", style: str = "") -> None:
        """Print one line to people."""
        self._console.print(Text(text, style=style))

    def fail(self, text: str) -> None:
        """Print what went wrong and what to do."""
        self._console.print(Text("error: ", style="bold red") + Text(text))

    def problems(self, problems: Iterable[Problem]) -> None:
        """Print every mistake of a configuration."""
        for problem in problems:
            self.fail(str(problem))

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print rows under heads, aligned."""
        table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
        for head in heads:
            table.add_column(head, no_wrap=True, overflow="ignore")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self._console.print(table, crop=False)

    def emit(self, text: str) -> None:
        """Write a result to standard output."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
