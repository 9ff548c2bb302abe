"""Tokens that were found good, so that the next request with one costs a hash instead of a signature check (J44)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from ..identity import Identity
from .verifier import Verified


class VerifiedTokens:
    """A bounded cache; the least recently used entry goes first. Failures are never kept.

    Keys are SHA-256 digests of whole tokens, so no token lies in memory longer than its request.
    """

    def __init__(self, *, max_entries: int, wall_clock: Callable[[], float]) -> None:
        self._max_entries = max_entries
        self._wall_clock = wall_clock
        self.hits = 0
        """Tokens that were found so far."""
        self.misses = 0
        """Tokens that were not, or were no longer good."""
        # An OrderedDict, because taking the first entry of a dict again and again walks over its holes: quadratic.
        self._entries: OrderedDict[bytes, tuple[Identity, float, float, bytes]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, digest: bytes, now_s: float) -> Identity | None:
        """Return who sent a token, None when it is not known or no longer good. `now_s` is monotonic."""
        entry = self._entries.get(digest)
        if entry is None:
            self.misses += 1
            return None
        if now_s >= entry[2] or self._wall_clock() >= entry[1]:
            del self._entries[digest]
            self.misses += 1
            return None
        self.hits += 1
        self._entries.move_to_end(digest)
        return entry[0]

    def put(self, digest: bytes, verified: Verified, until_s: float) -> None:
        """Keep a good token until its expiry by the wall clock, or until `until_s` by the monotonic one."""
        if self._max_entries <= 0:
            return
        self._entries[digest] = (verified.identity, verified.expires_wall_s, until_s, verified.key)
        self._entries.move_to_end(digest)
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    def keep_keys(self, fingerprints: frozenset[bytes]) -> None:
        """Forget the tokens whose key is gone."""
        gone = [digest for digest, entry in self._entries.items() if entry[3] not in fingerprints]
        for digest in gone:
            del self._entries[digest]

    def clear(self) -> None:
        """Forget all tokens."""
        self._entries.clear()
