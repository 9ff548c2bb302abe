"""What one rule of ProtoJSON is: JSON that a client sends, and what must become of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

SERVICE: Final = "everything.EverythingService"


@dataclass(frozen=True, slots=True)
class Rule:
    """JSON that a client sends to an echo method."""

    method: str
    """`package.Service/Method`."""
    json: str | bytes
    message: str | None
    """The message that the backend must see, in protobuf's text format; None: the JSON must be refused."""
    out: str | None = None
    """The JSON that must come back; None: what Google's own library prints."""


def taken(method: str, json: str, message: str, out: str | None = None) -> Rule:
    """JSON that is read."""
    return Rule(_method(method), json, message, out)


def refused(method: str, *texts: str | bytes) -> Iterator[Rule]:
    """JSON texts that are not."""
    return (Rule(_method(method), text, None) for text in texts)


def _method(name: str) -> str:
    return name if "/" in name else f"{SERVICE}/{name}"


def camel(name: str) -> str:
    """Return a field name as ProtoJSON spells it."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
