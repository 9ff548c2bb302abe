"""A slow matcher written straight from the specification, and templates and paths for hypothesis to try it with.

It shares nothing with the source but the words for wildcards: no parser, no trie, no decoding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from hypothesis import strategies as st

from api_gateway.routing.template import Segment, Wildcard

LITERALS = ("a", "b", "a b", "a:b", "x", "é", "a/b", "@")
VERBS = ("", "", "", "x", "y", "x:y", "b")
METHODS = ("GET", "POST", "HEAD", "*")
RESERVED = "!#$&'()*+,/:;=?@[]"


@dataclass(frozen=True)
class Shape:
    """One template as it was thought of, before it became text."""

    text: str
    segments: tuple[Segment, ...]
    verb: str
    variables: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]


def _spelled(literal: str, *, escape_colon: bool) -> str:
    text = literal.replace("/", "%2F").replace(" ", "%20")
    return text.replace(":", "%3A") if escape_colon else text


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Invent templates with every part of the grammar."""
    segments: list[Segment] = list(
        draw(st.lists(st.sampled_from((*LITERALS, Wildcard.ONE, Wildcard.ONE, Wildcard.ONE)), max_size=4))
    )
    if draw(st.integers(0, 2)) == 0:
        segments.insert(draw(st.integers(0, len(segments))), Wildcard.MANY)
    parts, variables, spans = [], [], []
    at = 0
    while at < len(segments):
        width = draw(st.integers(0, len(segments) - at))
        if width == 0:
            segment = segments[at]
            is_last = at == len(segments) - 1
            parts.append(segment.value if isinstance(segment, Wildcard) else _spelled(segment, escape_colon=is_last))
            at += 1
            continue
        name = draw(st.sampled_from((f"v{at}", f"v{at}.w_1")))
        inner = [
            part.value if isinstance(part, Wildcard) else _spelled(part, escape_colon=True)
            for part in segments[at : at + width]
        ]
        forms = [f"{{{name}={'/'.join(inner)}}}"]
        if inner == ["*"]:
            forms += [f"{{{name}}}", f":{name}"]
        parts.append(draw(st.sampled_from(forms)))
        variables.append(name)
        spans.append((at, at + width))
        at += width
    verb = draw(st.sampled_from(VERBS)) if segments else ""
    text = "/" + "/".join(parts) + (f":{verb}" if verb else "")
    return Shape(text, tuple(segments), verb, tuple(variables), tuple(spans))


@st.composite
def paths(draw: st.DrawFn) -> str:
    """Invent normal paths that have a chance to match."""
    words = [
        "a",
        "b",
        "x",
        "a%20b",
        "a:b",
        "a%3Ab",
        "a:x",
        "b:x:y",
        ":x",
        "a:y:x",
        "c",
        "%C3%A9",
        "a%2Fb",
        "%40",
        "@",
        "%2Bq",
    ]
    segments = draw(st.lists(st.sampled_from(words), max_size=5))
    return "/" + "/".join(segments) + ("/" if segments and draw(st.integers(0, 4)) == 0 else "")


@dataclass(frozen=True)
class Match:
    """One template that matches a path, with the rank of `semantics 4` (smaller is more specific)."""

    rank: tuple[object, ...]
    number: int
    values: tuple[str, ...]


def matches(templates: Sequence[Shape], path: str) -> list[Match]:
    """Return all templates that match, most specific first; of equal ones the first in the list."""
    found = [match for number, shape in enumerate(templates) for match in _matches(shape, number, path)]
    return sorted(found, key=lambda match: (match.rank, match.number))


def _matches(shape: Shape, number: int, path: str) -> Iterator[Match]:
    *inner, last = path[1:].split("/")
    if shape.verb:
        cuts = [at for at, character in enumerate(last) if character == ":"]
        readings = [[*inner, last[:cut]] for cut in cuts if unquote(last[cut + 1 :]) == shape.verb]
    else:
        readings = [[*inner, last] if path != "/" else []]
    for reading in readings:
        for taken in _takes(shape.segments, reading):
            values = tuple(_value(shape, span, taken) for span in shape.spans)
            yield Match((_verb_rank(shape), _segment_ranks(shape.segments)), number, values)


def _takes(template: tuple[Segment, ...], segments: list[str]) -> Iterator[list[list[str]]]:
    """Iterate over the ways in which template segments can take all path segments."""
    if not template:
        if not segments:
            yield []
        return
    head, rest = template[0], template[1:]
    widths = range(len(segments) + 1) if head is Wildcard.MANY else range(1, min(len(segments), 1) + 1)
    for width in widths:
        if head is Wildcard.ONE and segments[0] == "":
            continue
        if isinstance(head, str) and unquote(segments[0]) != head:
            continue
        for more in _takes(rest, segments[width:]):
            yield [segments[:width], *more]


def _value(shape: Shape, span: tuple[int, int], taken: list[list[str]]) -> str:
    raw = [segment for part in taken[slice(*span)] for segment in part]
    if span[1] - span[0] == 1 and shape.segments[span[0]] is not Wildcard.MANY:
        return unquote(raw[0])
    text = "/".join(raw)
    for character in RESERVED:
        text = text.replace(f"%{ord(character):02X}", f"%25{ord(character):02X}")
    return unquote(text)


def _verb_rank(shape: Shape) -> tuple[int, int]:
    return (0, -shape.verb.count(":")) if shape.verb else (1, 0)


def _segment_ranks(template: tuple[Segment, ...]) -> tuple[tuple[int, int], ...]:
    """Literal, one, end, many; behind a many, more segments first."""
    kinds: list[tuple[int, int]] = []
    for at, segment in enumerate(template):
        if segment is Wildcard.MANY:
            kinds.append((3, -(len(template) - at - 1)))
        else:
            kinds.append((1, 0) if segment is Wildcard.ONE else (0, 0))
    return (*kinds, (2, 0))
