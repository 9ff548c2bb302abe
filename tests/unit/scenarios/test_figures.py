"""A missed line is seen, and a scenario that measured nothing has not passed."""

from __future__ import annotations

from pathlib import Path

import pytest

from scenarios.figures import BEGIN, END, Marks, Result, plain, renew, shown, summary, write_between_markers


def result(marks: Marks) -> Result:
    return Result(name="B1", title="a | b", marks=marks.taken, took_s=1.4)


def test_one_missed_mark_misses_the_scenario() -> None:
    marks = Marks()
    marks.equals("WRONG", 0, 0)
    assert result(marks).is_met
    marks.at_most("errors", 3, 2)
    assert not result(marks).is_met
    assert "errors  3  <= 2  MISSED" in plain(result(marks))


def test_notes_alone_pass_nothing() -> None:
    marks = Marks()
    marks.note("requests", 5)
    assert not result(marks).is_met


def test_bounds_are_inclusive() -> None:
    marks = Marks()
    marks.at_most("a", 2, 2)
    marks.at_least("b", 2, 2)
    assert result(marks).is_met


def test_the_document_keeps_what_stands_around_the_results(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    marks = Marks()
    marks.at_most("errors", 0, 0)
    write_between_markers(page, summary([result(marks)]))
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n\n| | Scenario | Result | Seconds |")
    assert "| errors | 0 | &lt;= 0 | ok |" in text
    assert "a \\| b" in text
    assert text.endswith(f"{END}\nafter\n")
    page.write_text("no markers")
    with pytest.raises(ValueError, match="expected the lines"):
        write_between_markers(page, "")


def test_one_scenario_can_be_renewed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    old, new = Marks(), Marks()
    old.at_most("errors", 3, 2)
    new.at_most("errors", 1, 2)
    other = Result(name="B10", title="other", marks=old.taken, took_s=1)
    page.write_text(f"{BEGIN}\n{END}\n")
    write_between_markers(page, summary([result(old), other]))
    renew(page, [result(new)])
    assert page.read_text() == f"{BEGIN}\n\n{summary([result(new), other])}\n\n{END}\n"
    with pytest.raises(ValueError, match="B2"):
        renew(page, [Result(name="B2", title="", marks=[], took_s=0)])


def test_figures_are_short() -> None:
    assert [shown(each) for each in (3, 3.0, 1.23456, 123.456, "text")] == ["3", "3", "1.23", "123", "text"]
