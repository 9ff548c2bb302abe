"""Header fields of answers."""

from __future__ import annotations


class HeaderBlock:
    """Header fields that many answers have in common, so that they are encoded once."""

    __slots__ = ("encoded", "fields")

    def __init__(self, *fields: tuple[bytes, bytes]) -> None:
        self.fields = fields
        self.encoded = b""
        """As lines of HTTP/1.1, empty until the edge has written them; only the edge looks at it."""
