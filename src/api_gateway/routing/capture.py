"""Taking the variables of a template out of the segments of a path that it matched."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from operator import itemgetter

from .path import decode_segment, decode_segments
from .template import Template, Wildcard

Capture = Callable[[list[str]], tuple[str, ...]]
"""Takes the raw segments of a path, returns the values in the order of the template's variables."""


def compile_captures(template: Template) -> tuple[Capture, Capture]:
    """Return two functions that take the variables: for segments without any escape, and for segments with some.

    The second decodes: a variable over one segment fully, one over several except for RFC 6570 reserved characters.
    """
    many = template.segments.index(Wildcard.MANY) if Wildcard.MANY in template.segments else len(template.segments)
    count = len(template.segments)
    slices: list[tuple[int, int | None]] = []
    singles: list[bool] = []
    for first, end in template.spans:
        # What stands behind a `**` is counted from the end of the path.
        start = first if first <= many else first - count
        stop = end if end <= many else (end - count or None)
        slices.append((start, stop))
        singles.append(end - first == 1 and first != many)
    return _compile(tuple(slices), tuple(singles))


@lru_cache(maxsize=1024)
def _compile(slices: tuple[tuple[int, int | None], ...], singles: tuple[bool, ...]) -> tuple[Capture, Capture]:
    """Compile, once for all templates of one shape: 10,000 routes need a handful of functions."""

    def capture(segments: list[str]) -> tuple[str, ...]:
        return tuple(["/".join(segments[start:stop]) for start, stop in slices])

    def capture_decoded(segments: list[str]) -> tuple[str, ...]:
        return tuple(
            [
                decode_segment(segments[start]) if is_single else decode_segments("/".join(segments[start:stop]))
                for (start, stop), is_single in zip(slices, singles, strict=True)
            ]
        )

    return _capture_singles([start for start, _ in slices]) if all(singles) else capture, capture_decoded


def _capture_singles(places: list[int]) -> Capture:
    """Return the plain case without a loop: 0.1 us instead of 0.7 us for one variable."""
    if not places:
        return lambda segments: ()
    if len(places) == 1:
        place = places[0]
        return lambda segments: (segments[place],)
    return itemgetter(*places)
