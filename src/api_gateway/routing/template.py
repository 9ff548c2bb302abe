"""The grammar of path templates: the one of google/api/http.proto, and `:name` for a whole segment.

    Template  = "/" [ Segments [ Verb ] ] ;
    Segments  = Segment { "/" Segment } ;
    Segment   = "*" | "**" | LITERAL | Variable ;
    Variable  = "{" FieldPath [ "=" Segments ] "}" | ":" FieldPath ;
    FieldPath = IDENT { "." IDENT } ;
    Verb      = ":" LITERAL ;

Beyond http.proto: `/` alone, `:name` (means `{name}`), and `**` anywhere, but only once. A colon at the start of a
segment begins a variable; a later colon in the last segment begins the verb, which goes on to the end (`:a:b` is one
verb); any other colon is part of its literal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import quote

from .path import percent_decode, unsafe_reason

MAX_TEMPLATE_CHARACTERS: Final = 4_096
"""Longest template. No request path is longer than 8 KiB, and templates come from strangers' schemas."""

_FIELD_PATH: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_LITERAL: Final = re.compile(r"[^/*{}?#\\\x00-\x1f\x7f]+")
# What a literal may show unencoded in canonical text: not `*`, which would read as a wildcard, nor `:`, as a verb.
_CANONICAL_SAFE: Final = "!$&'()+,;=@"


class Wildcard(Enum):
    """A segment that is not a literal."""

    ONE = "*"
    """Exactly one segment that is not empty."""
    MANY = "**"
    """Any number of segments, none included."""


Segment = str | Wildcard
"""One segment of a template; literals are percent-decoded text."""


@dataclass(frozen=True, slots=True)
class Template:
    """One parsed template. Templates that match the same paths have equal `canonical`."""

    text: str
    """As its author wrote it; the label of the route in metrics and logs."""
    segments: tuple[Segment, ...]
    verb: str
    """Decoded text after the colon that ends the path, or empty."""
    variables: tuple[str, ...]
    """Field paths in the order of the text."""
    spans: tuple[tuple[int, int], ...]
    """For each variable the range of segments it covers: first, and one after the last."""
    canonical: str
    """Variables replaced by what they match, literals spelled in one way."""

    @property
    def is_static(self) -> bool:
        """Whether it matches one path only and takes nothing from it."""
        return not self.variables and not any(isinstance(segment, Wildcard) for segment in self.segments)


def parse_template(text: str) -> Template:
    """Parse a template. Raises ValueError that tells what was expected at which column, counted from 1."""
    if len(text) > MAX_TEMPLATE_CHARACTERS:
        raise ValueError(f"path template is longer than {MAX_TEMPLATE_CHARACTERS} characters")
    parser = _Parser(text)
    parser.template()
    return Template(
        text=text,
        segments=tuple(parser.segments),
        verb=parser.decoded_verb,
        variables=tuple(parser.variables),
        spans=tuple(parser.spans),
        canonical=_canonical(parser.segments, parser.decoded_verb),
    )


def _canonical(segments: list[Segment], verb: str) -> str:
    parts = [part.value if isinstance(part, Wildcard) else quote(part, safe=_CANONICAL_SAFE) for part in segments]
    return "/" + "/".join(parts) + (f":{quote(verb, safe=_CANONICAL_SAFE)}" if verb else "")


class _Parser:
    """Reads one text from left to right: one method a line of the grammar, each leaves `_at` behind what it read."""

    def __init__(self, text: str) -> None:
        self.segments: list[Segment] = []
        self.variables: list[str] = []
        self.spans: list[tuple[int, int]] = []
        self.decoded_verb = ""
        self._text = text
        self._at = 0
        self._last_start = text.rfind("/") + 1
        """Where the last segment starts, unless that slash is inside a variable; see `_literal`."""

    def template(self) -> None:
        if not self._take("/"):
            raise self._error('expected "/"')
        if self._text == "/":
            return
        self._segments(in_variable=False)
        self._verb()
        if self._at < len(self._text):
            raise self._error('expected "/" or the end')

    def _segments(self, *, in_variable: bool) -> None:
        self._segment(in_variable=in_variable)
        while self._take("/"):
            self._segment(in_variable=in_variable)

    def _segment(self, *, in_variable: bool) -> None:
        start = self._at
        if self._take("**"):
            if Wildcard.MANY in self.segments:
                raise self._error('"**" may stand only once in a template', start)
            self.segments.append(Wildcard.MANY)
        elif self._take("*"):
            self.segments.append(Wildcard.ONE)
        elif self._peek() in ("{", ":"):
            if in_variable:
                raise self._error("a variable must not contain another variable or a verb")
            self._variable()
        else:
            self.segments.append(self._literal(in_variable=in_variable))

    def _variable(self) -> None:
        is_braced = self._take("{")
        if not is_braced:
            self._take(":")
        start = self._at
        field_path = self._field_path()
        if field_path in self.variables:
            raise self._error(f"the variable {field_path} stands twice", start)
        first = len(self.segments)
        if is_braced and self._take("="):
            self._segments(in_variable=True)
        else:
            self.segments.append(Wildcard.ONE)
        if is_braced and not self._take("}"):
            raise self._error('expected "}"')
        self.variables.append(field_path)
        self.spans.append((first, len(self.segments)))

    def _field_path(self) -> str:
        match = _FIELD_PATH.match(self._text, self._at)
        if match is None:
            raise self._error("expected a field name")
        self._at = match.end()
        return match[0]

    def _verb(self) -> None:
        if self._take(":"):
            start = self._at
            self.decoded_verb = self._literal(in_variable=False, is_verb=True)
            if "" in self.decoded_verb.split(":"):
                raise self._error("expected a verb after the colon", start)

    def _literal(self, *, in_variable: bool, is_verb: bool = False) -> str:
        start = self._at
        match = _LITERAL.match(self._text, start)
        if match is None:
            raise self._error("expected a literal, a wildcard or a variable")
        raw = match[0]
        if ":" in raw and not is_verb:
            if in_variable:
                raise self._error("a variable must not contain a verb", start + raw.index(":"))
            if start >= self._last_start:
                raw = raw[: raw.index(":")]
        self._at = start + len(raw)
        try:
            decoded = percent_decode(raw)
        except ValueError as error:
            raise self._error(str(error), start) from None
        reason = unsafe_reason(decoded)
        if reason is not None:
            raise self._error(reason, start)
        return decoded

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, token: str) -> bool:
        if self._text.startswith(token, self._at):
            self._at += len(token)
            return True
        return False

    def _error(self, message: str, at: int | None = None) -> ValueError:
        column = (self._at if at is None else at) + 1
        return ValueError(f'path template "{self._text}": {message} at column {column}')
