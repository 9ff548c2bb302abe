"""What commands print, on terminals and elsewhere."""

from __future__ import annotations

import io
import re

import pytest

from api_gateway.cli.screen import Page, Screen
from api_gateway.config.problem import Place, Problem

LONG = "x" * 300


class Terminal(io.StringIO):
    """A stream that takes colours."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["pipe", "terminal"])
def test_tables_are_aligned_and_never_cut(stream: io.StringIO) -> None:
    Page(stream).table(("A", "LONGER", "C"), [("1", LONG, "3"), ("größer", "2", "")])
    lines = plain(stream.getvalue()).splitlines()
    assert lines == [
        f"A       LONGER{' ' * (len(LONG) - 6)}  C",
        f"1       {LONG}  3",
        "größer  2",
    ]


def test_wide_characters_count_as_two_columns() -> None:
    stream = io.StringIO()
    Page(stream).table(("A", "B"), [("日本", "x"), ("abcd", "y")])
    assert stream.getvalue().splitlines()[1:] == ["日本  x", "abcd  y"]


def test_pipes_get_no_colours() -> None:
    stream = io.StringIO()
    Page(stream).say("bold", "bold red")
    assert stream.getvalue() == "bold\n"


def test_terminals_get_colours_and_whole_lines() -> None:
    stream = Terminal()
    Page(stream).say(LONG, "bold")
    assert stream.getvalue().startswith("\x1b[1m")
    assert plain(stream.getvalue()) == f"{LONG}\n"


def test_terminals_without_colours_get_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    Page(stream).say("text", "red")
    assert "31" not in stream.getvalue()


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["pipe", "terminal"])
def test_nothing_from_a_backend_steers_the_terminal(stream: io.StringIO) -> None:
    Page(stream).say("a\x1b]0;title\x07b\r\x9bc[d]\ne")
    assert plain(stream.getvalue()) == "a\\x1b]0;title\\x07b\\x0d\\x9bc[d]\ne\n"


def test_text_for_programs_stays_as_it_is() -> None:
    stream = Terminal()
    Page(stream).emit("[bold]\x7f")
    assert stream.getvalue() == "[bold]\x7f\n"


def test_results_and_words_go_apart(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.results.say("result")
    screen.say("word")
    screen.fail("reason")
    assert capsys.readouterr() == ("result\n", "word\nerror: reason\n")


def test_every_problem_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [Problem(message=f"wrong {number}", place=Place("file", number, 1)) for number in (1, 2)]
    Screen().problems(problems)
    assert capsys.readouterr().err == "error: file:1:1: wrong 1\nerror: file:2:1: wrong 2\n"


class Gone(io.StringIO):
    """A stream whose reader has left."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_people_who_look_away_stop_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", Gone())
    Screen().say("lost")
    closed = io.StringIO()
    monkeypatch.setattr("sys.stderr", closed)
    screen = Screen()
    closed.close()
    screen.fail("lost")


def test_a_reader_of_results_who_leaves_is_told_to_the_caller() -> None:
    with pytest.raises(BrokenPipeError):
        Page(Gone()).say("result")
