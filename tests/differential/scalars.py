"""Requests with one field of each scalar kind: in the path, in the query, in a JSON body."""

from __future__ import annotations

from collections.abc import Iterator

from tests.differential import values
from tests.differential.cases import Case, escaped, get, post, quoted


def scalar_cases() -> Iterator[Case]:
    """Every kind with the texts made for it."""
    for kind in values.KINDS:
        texts = texts_for(kind)
        yield from (get(f"path {kind}", f"/v1/scalars/{kind}/{escaped(text)}") for text in texts)
        yield from (
            get(f"query {kind}", f"/v1/scalars?{spelling}={escaped(text)}")
            for number, text in enumerate(texts)
            # Both spellings, in turn: the value is what this is about.
            for spelling in [kind if number % 2 else camel(kind)]
        )
        literals = [*map(quoted, texts), *values.LITERALS, *numbers_for(kind)]
        for number, literal in enumerate(dict.fromkeys(literals)):
            spelling = kind if number % 2 else camel(kind)
            yield post(f"json {kind}", "/v1/scalars", f'{{"{spelling}": {literal}}}')


def texts_for(kind: str) -> tuple[str, ...]:
    """Return texts for a field of `Scalars`."""
    if kind in values.INTEGER_KINDS:
        return (*values.INTEGERS, *values.WRITTEN_OTHERWISE, *values.WORDS[:1], *values.WORDS[-4:])
    if kind in values.FLOAT_KINDS:
        return (*values.FRACTIONS, *values.WORDS, *values.INTEGERS[-3:], *values.WRITTEN_OTHERWISE)
    return {"a_bool": values.BOOLS, "a_string": values.STRINGS, "a_bytes": values.BLOBS, "a_colour": values.COLOURS}[
        kind
    ]


def numbers_for(kind: str) -> tuple[str, ...]:
    """Return JSON numbers for a field of `Scalars`, beyond those that every kind gets."""
    if kind in values.INTEGER_KINDS:
        return values.INTEGERS
    if kind in values.FLOAT_KINDS:
        return (*values.FRACTIONS, *values.INTEGERS[-3:])
    return ("2", "99", "-5", "2147483648") if kind == "a_colour" else ()


def camel(name: str) -> str:
    """Return a field name as ProtoJSON spells it."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
