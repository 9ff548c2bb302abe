"""The trie of template segments behind the route table, and the walk that finds leaves in the order of `table.py`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from .capture import Capture
from .template import Template, Wildcard

T = TypeVar("T")


class Entry(Generic[T]):
    """What one template does for one method. Never changed."""

    __slots__ = ("capture", "capture_decoded", "target")

    def __init__(self, target: T, capture: Capture, capture_decoded: Capture) -> None:
        self.target = target
        self.capture = capture
        """Takes the variables out of segments without escapes."""
        self.capture_decoded = capture_decoded
        """The same for segments that hold escapes."""


Leaf = dict[str, Entry[T]]
"""The entries of one canonical template by method."""


class Node(Generic[T]):
    """One place in the trie: what may come after one sequence of template segments.

    It changes only while a table is built.
    """

    __slots__ = ("leaves", "literals", "many", "one")

    def __init__(self) -> None:
        self.literals: dict[str, Node[T]] = {}
        """Next nodes by decoded literal."""
        self.one: Node[T] | None = None
        """Next node for `*`."""
        self.many: tuple[tuple[int, Node[T]], ...] = ()
        """Next nodes for `**` by the number of segments that follow it, lowest number first."""
        self.leaves: dict[str, Leaf[T]] = {}
        """The templates that end here, by verb; empty for none."""

    def leaf(self, template: Template) -> Leaf[T]:
        """Return the leaf of a template, counted from this node; make what is missing on the way."""
        node = self
        for at, segment in enumerate(template.segments):
            if segment is Wildcard.MANY:
                node = node._after_many(len(template.segments) - at - 1)
            elif segment is Wildcard.ONE:
                node.one = node.one or Node()
                node = node.one
            elif segment in node.literals:
                node = node.literals[segment]
            else:
                node = node.literals.setdefault(segment, Node())
        return node.leaves.setdefault(template.verb, {})

    def _after_many(self, following: int) -> Node[T]:
        known = dict(self.many)
        if following not in known:
            known[following] = Node()
            self.many = tuple(sorted(known.items(), key=lambda item: item[0]))
        return known[following]


def walk_without_choice(root: Node[T], literals: list[str]) -> Leaf[T] | None:
    """Return the leaf without a verb that segments lead to, None where `walk` would find a choice or nothing."""
    node = root
    for segment in literals:
        literal, one = node.literals.get(segment), node.one
        if node.many or (literal is not None and one is not None) or not segment:
            return None
        chosen = literal or one
        if chosen is None:
            return None
        node = chosen
    return node.leaves.get("") if not node.many else None


def walk(root: Node[T], literals: list[str], verb: str) -> Iterator[Leaf[T]]:
    """Iterate depth first over the leaves that match decoded segments and a verb, most specific first.

    Alternatives wait on a stack, the most specific on top; without recursion no path is too long.
    """
    count = len(literals)
    waiting = [(root, 0)]
    while waiting:
        node, at = waiting.pop()
        while True:
            # A `**` takes whatever leaves the segments that follow it for the end of the path.
            for following, after in node.many:
                if at + following <= count:
                    waiting.append((after, count - following))
            if at == count:
                if verb in node.leaves:
                    yield node.leaves[verb]
                break
            segment = literals[at]
            at += 1
            literal, one = node.literals.get(segment), node.one if segment else None
            if literal is not None and one is not None:
                waiting.append((one, at))
            chosen = literal or one
            if chosen is None:
                break
            node = chosen
