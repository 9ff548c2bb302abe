"""Values with places: what may be written where, and where a place is found."""

from __future__ import annotations

import pytest

from api_gateway.config.document import Document
from api_gateway.config.problem import KeyPath, Place

ROOT = Place("g.yaml", 1, 1)
HERE = Place("environment variable X")


def document_of(values: dict[str, object]) -> Document:
    document = Document(root=ROOT)
    for key, value in values.items():
        assert document.put((key,), value, Place("g.yaml", 2, 3)) is None
    return document


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        pytest.param({}, ("server", "port"), {"server": {"port": 1}}, id="makes_the_section"),
        pytest.param({"server": None}, ("server", "port"), {"server": {"port": 1}}, id="fills_an_empty_section"),
        pytest.param({"a": {"b": 0, "c": 2}}, ("a", "b"), {"a": {"b": 1, "c": 2}}, id="replaces_one_key"),
        pytest.param({"a": {"b": {"c": 2}}}, ("a",), {"a": 1}, id="replaces_a_section"),
        pytest.param({"a": [{"b": 0}]}, ("a", 0, "b"), {"a": [{"b": 1}]}, id="inside_a_list"),
        pytest.param({"a": [None]}, ("a", 0, "b"), {"a": [{"b": 1}]}, id="fills_an_empty_entry"),
        pytest.param({"a": [0]}, ("a", 1), {"a": [0, 1]}, id="appends"),
        pytest.param({}, ("a", 0, "b"), {"a": [{"b": 1}]}, id="makes_the_list"),
        pytest.param({"a": [[0]]}, ("a", 1, 0), {"a": [[0], [1]]}, id="list_in_list"),
    ],
)
def test_put_writes_and_makes_sections_on_the_way(before: dict[str, object], path: KeyPath, after: object) -> None:
    document = document_of(before)
    assert document.put(path, 1, HERE) is None
    assert document.values == after
    assert document.value_at(path) == 1
    assert document.holds(path)
    assert document.place_of_value(path) == HERE


@pytest.mark.parametrize(
    ("before", "path", "blocked"),
    [
        pytest.param({"server": 5}, ("server", "port"), ("server",), id="a_number_is_no_section"),
        pytest.param({"server": "x"}, ("server", "port", "deeper"), ("server",), id="a_text_is_no_section"),
        pytest.param({"a": [0]}, ("a", 2), ("a",), id="a_gap_in_a_list"),
        pytest.param({}, ("a", 1), ("a",), id="a_gap_in_a_new_list"),
        pytest.param({"a": {"b": 1}}, ("a", 0), ("a",), id="a_section_is_no_list"),
        pytest.param({"a": [0]}, ("a", "b"), ("a",), id="a_list_is_no_section"),
    ],
)
def test_put_changes_nothing_where_nothing_can_stand(
    before: dict[str, object], path: KeyPath, blocked: KeyPath
) -> None:
    document = document_of(before)
    assert document.put(path, 1, HERE) == blocked
    assert document.values == before


def test_place_of_what_is_missing_is_that_of_its_section() -> None:
    document = document_of({"server": {"port": 1}})
    assert document.place_of_key(("server", "host")) == Place("g.yaml", 2, 3)
    assert document.place_of_value(("server", "host")) == Place("g.yaml", 2, 3)
    assert document.place_of_key(("services",)) == ROOT


def test_replaced_section_forgets_the_places_of_its_old_keys() -> None:
    document = document_of({"server": {"port": 1, "host": "x"}})
    assert document.put(("server",), {"port": 2}, HERE) is None
    assert document.place_of_value(("server", "port")) == HERE
    assert not document.holds(("server", "host"))
