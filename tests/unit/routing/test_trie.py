"""The trie: where templates end, and in which order a walk finds them."""

from __future__ import annotations

import itertools

import pytest

from api_gateway.routing.capture import compile_captures
from api_gateway.routing.template import parse_template
from api_gateway.routing.trie import Entry, Node, walk


def trie(*texts: str) -> Node[str]:
    root: Node[str] = Node()
    for text in texts:
        template = parse_template(text)
        root.leaf(template)["GET"] = Entry(text, *compile_captures(template))
    return root


def found(root: Node[str], *literals: str, verb: str = "") -> list[str]:
    return [leaf["GET"].target for leaf in walk(root, list(literals), verb)]


def test_templates_with_the_same_canonical_text_share_a_leaf() -> None:
    root: Node[str] = Node()
    same = ["/users/:id", "/users/{user_id}", "/users/{x=*}", "/%75sers/*"]
    assert len({id(root.leaf(parse_template(text))) for text in same}) == 1
    other = ["/users/**", "/users/:id:x", "/users", "/users/%2A"]
    assert len({id(root.leaf(parse_template(text))) for text in [*same, *other]}) == 5


def test_semantics_4_walk_yields_all_matches_most_specific_first() -> None:
    order = ["/a/b", "/a/b/**", "/a/*", "/a/**/*", "/a/**", "/*/b", "/*/*", "/**/b", "/**/*", "/**"]
    for texts in (order, order[::-1], sorted(order)):
        assert found(trie(*texts), "a", "b") == order


@pytest.mark.parametrize(
    ("text", "literals"),
    [
        pytest.param("/a/**", ("a", ""), id="many takes an empty segment"),
        pytest.param("/**/c", ("c",), id="many takes nothing"),
        pytest.param("/**/*/c", ("a", "b", "c"), id="one behind many"),
        pytest.param("/", (), id="root"),
        pytest.param("/**", (), id="many at the root"),
    ],
)
def test_walk_reaches(text: str, literals: tuple[str, ...]) -> None:
    assert found(trie(text), *literals) == [text]


@pytest.mark.parametrize(
    ("text", "literals"),
    [
        pytest.param("/a/*", ("a", ""), id="one takes no empty segment"),
        pytest.param("/**/*", ("a", ""), id="one behind many takes no empty segment"),
        pytest.param("/a/*", ("a",), id="one needs a segment"),
        pytest.param("/**/*/c", ("c",), id="one behind many needs a segment"),
        pytest.param("/a:x", ("a",), id="other verb"),
    ],
)
def test_walk_does_not_reach(text: str, literals: tuple[str, ...]) -> None:
    assert found(trie(text), *literals) == []


def test_walk_looks_at_the_verb_it_is_told_only() -> None:
    root = trie("/a:x", "/a", "/*:x", "/*:y", "/**:x")
    assert found(root, "a", verb="x") == ["/a:x", "/*:x", "/**:x"]
    assert found(root, "a") == ["/a"]


def test_walk_visits_no_leaf_twice() -> None:
    texts = ["".join(parts) for parts in itertools.product(("/a", "/*"), repeat=4)]
    texts += [text + "/**" for text in texts] + ["/**" + text for text in texts]
    seen = found(trie(*texts), *"aaaa")
    assert len(seen) == len(set(seen)) == len(texts)
