"""Words and plurals of resource names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.discovery.plurals import plural, words_of


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("User", ["user"], id="one word"),
        pytest.param("OrderItem", ["order", "item"], id="two words"),
        pytest.param("HTTPServer", ["http", "server"], id="acronym before a word"),
        pytest.param("ServerHTTP", ["server", "http"], id="acronym behind a word"),
        pytest.param("UserID", ["user", "id"], id="id"),
        pytest.param("URLs", ["urls"], id="plural acronym"),
        pytest.param("UserIDsList", ["user", "ids", "list"], id="plural acronym before a word"),
        pytest.param("URL", ["url"], id="acronym"),
        pytest.param("S3Bucket", ["s3", "bucket"], id="digit behind a letter"),
        pytest.param("V2User", ["v2", "user"], id="version"),
        pytest.param("User2", ["user2"], id="digit last"),
        pytest.param("2FA", ["2", "fa"], id="digit first"),
        pytest.param("user_name", ["user", "name"], id="snake case"),
        pytest.param("X", ["x"], id="one letter"),
    ],
)
def test_names_are_cut_into_words(name: str, words: list[str]) -> None:
    assert words_of(name) == words


@pytest.mark.parametrize(
    ("singular", "expected"),
    [
        ("user", "users"), ("category", "categories"), ("box", "boxes"), ("bus", "buses"), ("day", "days"),
        ("key", "keys"), ("status", "statuses"), ("address", "addresses"), ("process", "processes"),
        ("branch", "branches"), ("dish", "dishes"), ("quiz", "quizzes"), ("buzz", "buzzes"), ("analysis", "analyses"),
        ("axis", "axes"), ("api", "apis"), ("menu", "menus"), ("gpu", "gpus"), ("schema", "schemas"),
        ("alias", "aliases"), ("canvas", "canvases"), ("shelf", "shelves"), ("leaf", "leaves"), ("person", "people"),
        ("child", "children"), ("photo", "photos"), ("hero", "heroes"), ("index", "indexes"), ("policy", "policies"),
        ("proxy", "proxies"), ("survey", "surveys"), ("house", "houses"), ("epoch", "epochs"), ("id", "ids"),
        ("os", "oses"), ("s3", "s3s"),
    ],
)  # fmt: skip
def test_semantics_5_plurals(singular: str, expected: str) -> None:
    assert plural(singular) == expected
    assert plural(expected) == expected, "a plural stays as it is"


@pytest.mark.parametrize("word", ["data", "metadata", "series", "news", "settings", "information", "media", "species"])
def test_semantics_5_words_without_another_plural_stay(word: str) -> None:
    assert plural(word) == word


@given(st.from_regex(r"[A-Za-z0-9_]{1,20}", fullmatch=True))
def test_any_identifier_gives_path_safe_words(name: str) -> None:
    for word in words_of(name):
        assert word.isascii()
        assert word.isalnum()
        assert word == word.lower()
        assert plural(word)
