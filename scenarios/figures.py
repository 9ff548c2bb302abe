"""What a scenario measured, held against its line, and the tables that show it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

BEGIN: Final = "<!-- written by `python -m scenarios --write`: begin -->"
END: Final = "<!-- written by `python -m scenarios --write`: end -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One figure. `is_met` is None for a figure that is only reported."""

    name: str
    figure: str
    line: str = ""
    """What the figure must be."""
    is_met: bool | None = None

    @property
    def word(self) -> str:
        """How the figure stands to its line."""
        return "-" if self.is_met is None else "ok" if self.is_met else "MISSED"


@dataclass(slots=True)
class Marks:
    """Figures in the order they were taken."""

    taken: list[Mark] = field(default_factory=list)

    def note(self, name: str, figure: object) -> None:
        """Report a figure that has no line."""
        self.taken.append(Mark(name=name, figure=shown(figure)))

    def holds(self, name: str, figure: object, line: str, *, is_met: bool) -> None:
        """Report a figure whose line is told in words."""
        self.taken.append(Mark(name=name, figure=shown(figure), line=line, is_met=is_met))

    def equals(self, name: str, figure: float, wanted: float) -> None:
        """Report a figure that must be just this."""
        self.holds(name, figure, f"= {shown(wanted)}", is_met=figure == wanted)

    def at_most(self, name: str, figure: float, bound: float, unit: str = "") -> None:
        """Report a figure with an upper bound."""
        self.holds(name, f"{shown(figure)}{unit}", f"<= {shown(bound)}{unit}", is_met=figure <= bound)

    def at_least(self, name: str, figure: float, bound: float, unit: str = "") -> None:
        """Report a figure with a lower bound."""
        self.holds(name, f"{shown(figure)}{unit}", f">= {shown(bound)}{unit}", is_met=figure >= bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One scenario that has run."""

    name: str
    title: str
    marks: Sequence[Mark]
    took_s: float

    @property
    def is_met(self) -> bool:
        """Whether it measured something, and nothing missed its line."""
        judged = [mark for mark in self.marks if mark.is_met is not None]
        return bool(judged) and all(mark.is_met for mark in judged)

    @property
    def word(self) -> str:
        """The outcome."""
        return "passed" if self.is_met else "MISSED"


def shown(figure: object) -> str:
    """Write a figure: whole numbers as they are, others with three digits that count."""
    if isinstance(figure, float) and not figure.is_integer():
        return f"{figure:.3g}" if abs(figure) < 100 else f"{figure:.0f}"
    return str(int(figure)) if isinstance(figure, float) else str(figure)


def plain(result: Result) -> str:
    """Return a scenario's figures for a terminal."""
    rows = [(mark.name, mark.figure, mark.line, mark.word) for mark in result.marks]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    lines = [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join([f"{result.name} {result.title}: {result.word} ({result.took_s:.0f} s)", *lines])


def summary(results: Sequence[Result]) -> str:
    """Return the table of all scenarios as Markdown, and below it the figures of each."""
    head = ["| | Scenario | Result | Seconds |", "| --- | --- | --- | --- |"]
    return "\n\n".join(["\n".join([*head, *map(_row, results)]), *map(_section, results)])


def renew(page: Path, results: Sequence[Result]) -> None:
    """Replace the rows and figures of some scenarios. Raises ValueError when the page does not have one of them."""
    text = page.read_text(encoding="utf-8")
    for each in results:
        for old, new in (
            (rf"^\| {each.name} \|.*$", _row(each)),
            (rf"^### {each.name}: [\s\S]*?(?=\n\n###|\n\n{re.escape(END)})", _section(each)),
        ):
            found = list(re.finditer(old, text, re.MULTILINE))
            if len(found) != 1:
                raise ValueError(f"{page}: expected the results of {each.name}; write those of all first")
            text = text[: found[0].start()] + new + text[found[0].end() :]
    page.write_text(text, encoding="utf-8")


def _row(result: Result) -> str:
    return f"| {result.name} | {escaped(result.title)} | {result.word} | {result.took_s:.0f} |"


def _section(result: Result) -> str:
    rows = [
        f"| {escaped(mark.name)} | {escaped(mark.figure)} | {escaped(mark.line)} | {mark.word} |"
        for mark in result.marks
    ]
    head = ["| Figure | Measured | Line | |", "| --- | --- | --- | --- |"]
    return "\n".join([f"### {result.name}: {result.title}", "", *head, *rows])


def escaped(text: str) -> str:
    """Return a text that may stand in a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def write_between_markers(page: Path, text: str) -> None:
    """Replace what stands between the markers of a page. Raises ValueError when a marker is missing."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page}: expected the lines {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
