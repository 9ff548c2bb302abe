"""The request head of a method's calls: what all of them have in common on the wire, made once."""

from __future__ import annotations

from typing import Final

from ..model.message import HeaderList
from .compression import ACCEPTED, GZIP, encode_compressed
from .framing import encode_message
from .target import Target

NEVER_BYTES: Final = 2**40
"""More than any message has: nothing is compressed."""


class CallHead:
    """The head of all calls of one method. `grpc-timeout` comes between its parts, custom metadata after them."""

    __slots__ = ("_compressed_from_bytes", "after_timeout", "before_timeout", "path")

    def __init__(
        self,
        *,
        path: bytes,
        authority: bytes,
        is_tls: bool,
        user_agent: bytes,
        compressed_from_bytes: int = NEVER_BYTES,
    ) -> None:
        self.path = path
        self.before_timeout: HeaderList = [
            (b":method", b"POST"),
            (b":scheme", b"https" if is_tls else b"http"),
            (b":path", path),
            (b":authority", authority),
        ]
        self.after_timeout: HeaderList = [
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"grpc-accept-encoding", ACCEPTED),
            (b"user-agent", user_agent),
        ]
        self._compressed_from_bytes = compressed_from_bytes
        if compressed_from_bytes < NEVER_BYTES:
            self.after_timeout.append((b"grpc-encoding", GZIP))

    def encode(self, message: bytes) -> bytes:
        """Return a message with its prefix, compressed if it is long enough for that."""
        if len(message) < self._compressed_from_bytes:
            return encode_message(message)
        return encode_compressed(message)


class CallHeads:
    """The heads of a channel's methods. Bounded by the methods of the schema: paths come from routes, not clients."""

    __slots__ = ("_authority", "_compressed_from_bytes", "_heads", "_is_tls", "_user_agent")

    def __init__(self, target: Target, user_agent: str, *, compressed_from_bytes: int | None) -> None:
        """Prepare; messages of `compressed_from_bytes` and more are sent compressed, None for none."""
        self._authority = target.authority.encode()
        self._is_tls = target.tls is not None
        self._user_agent = user_agent.encode()
        self._compressed_from_bytes = NEVER_BYTES if compressed_from_bytes is None else compressed_from_bytes
        self._heads: dict[bytes, CallHead] = {}

    def __len__(self) -> int:
        """Return how many were made."""
        return len(self._heads)

    def of(self, path: bytes) -> CallHead:
        """Return the head of `/package.Service/Method`."""
        head = self._heads.get(path)
        if head is None:
            head = self._heads[path] = CallHead(
                path=path,
                authority=self._authority,
                is_tls=self._is_tls,
                user_agent=self._user_agent,
                compressed_from_bytes=self._compressed_from_bytes,
            )
        return head
