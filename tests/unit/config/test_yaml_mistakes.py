"""Mistakes in YAML itself: where, what it is, what to do."""

from __future__ import annotations

import pytest

from api_gateway.config.problem import ConfigError
from api_gateway.config.yaml_reader import read_document

SERVICE = 'services:\n  users:\n    endpoint: "http://a:1"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("a:\n\tb: 1", "2:1: a tab cannot indent in YAML; use spaces", id="tab"),
        pytest.param(
            SERVICE + "   timeout_ms: 4\n",
            "4:4: wrong indentation: this belongs neither to the section above nor to those around it; "
            "begin it in the same column as the other lines of the section that begins in line 2",
            id="indentation",
        ),
        pytest.param(
            'a: 1\nb: "x\nc: 2\n', "2:4: the quote that begins here never ends; add the closing quote", id="open quote"
        ),
        pytest.param(
            "a: 1\nb: [1,\n 2",
            "3:3: the bracket that begins in line 2 does not end before this; close it, or add a comma",
            id="open bracket",
        ),
        pytest.param(
            "server:\n  port 80\n  host: x\n",
            "3:7: a second colon in one line, or wrong indentation; "
            "put a text that holds a colon and a space in quotes",
            id="colon missing in a section",
        ),
        pytest.param(
            "a: 1\nport\nb: 2\n",
            '3:1: a colon is missing behind a key; lines from 2 on must look like "key: value"',
            id="colon missing",
        ),
        pytest.param(
            "[server]\nport = 8080\n",
            '2:1: this is not YAML; write settings as "key: value", sections as "name:" with indented lines below',
            id="another format",
        ),
        pytest.param("a: b: c", None, id="second colon"),
        pytest.param("a: @x", None, id="reserved character"),
    ],
)
def test_mistake_is_told_with_its_place_and_a_way_out(text: str, told: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        read_document(text, "g.yaml")
    (problem,) = caught.value.problems
    assert problem.suggestion
    assert told is None or str(problem) == f"g.yaml:{told}"
