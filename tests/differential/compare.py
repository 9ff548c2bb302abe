"""What one gateway made of a request, and in which ways two outcomes differ."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Final

from tests.differential.cases import Case
from tests.support.recording_backend import Seen


class Aspect(Enum):
    """A way in which outcomes can differ."""

    STATUS = "status"
    BODY = "body"
    CONTENT_TYPE = "content type"
    MESSAGE = "message the backend saw"


class _NoJson:
    def __repr__(self) -> str:
        return "no JSON"


NO_JSON: Final = _NoJson()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One gateway's answer, and what the backend saw of the request."""

    status: int
    """0: the connection was closed without a whole answer."""
    content_type: str
    body: bytes
    json: Any
    """The body's value, numbers exact; NO_JSON when it is none."""
    seen: tuple[Seen, ...]
    """The calls that reached the backend."""
    has_crashed: bool
    """Whether the request ended the gateway's process."""

    @property
    def reason(self) -> str:
        """Why our gateway refused: the reason of its one ErrorInfo; empty in every other answer."""
        try:
            return str(self.json["details"][0]["reason"])
        except (KeyError, IndexError, TypeError):
            return ""

    @property
    def message(self) -> str:
        """What an error says: in our JSON, or as the whole body."""
        return str(self.json.get("message", "")) if isinstance(self.json, dict) else self.body.decode(errors="replace")

    @property
    def is_refusal(self) -> bool:
        """Whether the gateway answered by itself with an error of the client's."""
        return 400 <= self.status < 500 and not self.seen


def parse_json(body: bytes) -> Any:
    """Return a JSON value with exact numbers, or NO_JSON."""
    try:
        return json.loads(body, parse_float=Decimal)
    except ValueError:
        return NO_JSON


def differences(ours: Outcome, theirs: Outcome) -> frozenset[Aspect]:
    """Return in what two outcomes differ. JSON is compared by value, other bodies byte by byte."""
    found = set()
    if ours.status != theirs.status:
        found.add(Aspect.STATUS)
    if ours.json is NO_JSON or theirs.json is NO_JSON:
        is_same = ours.body == theirs.body
    else:
        is_same = same_json(ours.json, theirs.json)
    if not is_same:
        found.add(Aspect.BODY)
    if ours.content_type != theirs.content_type:
        found.add(Aspect.CONTENT_TYPE)
    if ours.seen != theirs.seen:
        found.add(Aspect.MESSAGE)
    return frozenset(found)


def same_json(left: Any, right: Any) -> bool:
    """Compare JSON values: order of keys does not count, `true` is not `1`, numbers are equal that are the same double.

    Integers are compared exactly, whatever their size.
    """
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same_json(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_json, left, right))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Decimal) or isinstance(right, Decimal):
        return is_number(left) and is_number(right) and float(left) == float(right)
    return bool(left == right)


def is_number(value: object) -> bool:
    """Whether a JSON value is a number."""
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One case and its two outcomes."""

    case: Case
    ours: Outcome
    envoy: Outcome

    @property
    def aspects(self) -> frozenset[Aspect]:
        """In what the outcomes differ."""
        return differences(self.ours, self.envoy)
