"""What an intended difference is, and the pieces that such entries are written with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote, unquote_plus

from tests.differential.compare import Pair

Explains = Callable[[Pair], bool]


@dataclass(frozen=True, slots=True)
class Intended:
    """One class of differences."""

    name: str
    reason: str
    """Why we do otherwise."""
    explains: Explains
    """Whether it is the whole explanation of a pair's differences."""


def refused(reason: str, *, envoy: int = 200, status: int = 400, text: str = "") -> Explains:
    """We refuse for `reason`, with `text` in the message; Envoy answers with a certain status."""

    def explains(pair: Pair) -> bool:
        ours = pair.ours
        return (ours.status, pair.envoy.status, ours.reason) == (status, envoy, reason) and text in ours.message

    return explains


def statuses(ours: int, envoy: int, area: str = "", text: str = "") -> Explains:
    """Two statuses for the cases of an area, with `text` in what Envoy says."""
    return lambda pair: (
        (pair.ours.status, pair.envoy.status) == (ours, envoy)
        and pair.case.area.startswith(area)
        and text in pair.envoy.message
    )


def value_of(pair: Pair) -> str:
    """Return the text that a case with one field is about: decoded from path or query, or the JSON value as written."""
    case = pair.case
    if case.body is not None:
        text = case.body.decode("utf-8", "replace")
        return text.partition(":")[2].strip().removesuffix("}") if text.startswith("{") else text
    return unquote_plus(case.query.partition("=")[2]) if case.query else unquote(case.path.rpartition("/")[2])
