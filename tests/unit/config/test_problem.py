"""How mistakes are written and ordered."""

from __future__ import annotations

import pytest

from api_gateway.config.problem import ConfigError, KeyPath, Place, Problem, format_path


@pytest.mark.parametrize(
    ("path", "text"),
    [
        pytest.param((), "", id="whole_file"),
        pytest.param(("server", "port"), "server.port", id="keys"),
        pytest.param(("route_overrides", 0, "body"), "route_overrides[0].body", id="index"),
        pytest.param((0,), "[0]", id="index_first"),
    ],
)
def test_path_is_written_as_people_write_it(path: KeyPath, text: str) -> None:
    assert format_path(path) == text


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        pytest.param(Problem(message="no configuration"), "no configuration", id="nothing_found"),
        pytest.param(
            Problem(message="unknown key", place=Place("g.yaml", 3, 5), path=("server", "prt"), suggestion="try port"),
            "g.yaml:3:5: server.prt: unknown key; try port",
            id="everything",
        ),
        pytest.param(Problem(message="m", place=Place("--backend x")), "--backend x: m", id="option"),
    ],
)
def test_problem_is_one_line_that_editors_can_follow(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_error_tells_problems_in_the_order_of_the_file_and_variables_last() -> None:
    late = Problem(message="late", place=Place("g.yaml", 10, 1))
    early = Problem(message="early", place=Place("g.yaml", 9, 7))
    variable = Problem(message="variable", place=Place("environment variable A"))
    error = ConfigError([variable, late, early])
    assert error.problems == (early, late, variable)
    assert str(error).splitlines() == [str(early), str(late), str(variable)]


def test_problem_without_place_has_no_line() -> None:
    problem = Problem(message="m")
    assert (problem.file, problem.line, problem.column, problem.key) == ("", None, None, "")
