"""Tokens checked in the gateway itself, with keys from the configuration or from a published set (semantics 34)."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Protocol

from ..model.trace import Trace
from .questions import Asker, Clock, loop_time
from .refusal import Reason, Refused
from .tokens.key_set import KeySet, UnknownKeyId
from .tokens.verifier import JwtVerifier, Verified


class KeySource(Protocol):
    """Where keys come from. Times are monotonic."""

    def current(self, now_s: float) -> KeySet | None:
        """Return the keys to use, None when there are none yet, or none any more."""

    def may_refresh(self, now_s: float) -> bool:
        """Whether `refresh` may be called now, because a token names an unknown key."""

    async def refresh(self, deadline_s: float | None, trace: Trace | None = None) -> None:
        """Get a newer set if there is one. Raises Refused(DEADLINE)."""

    def start(self) -> None:
        """Begin what it does in the background."""

    async def aclose(self) -> None:
        """End what it does."""


class ConfiguredKeys:
    """Keys that stand in the configuration and never change."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    def current(self, now_s: float) -> KeySet | None:
        """Return the keys."""
        return self._keys

    def may_refresh(self, now_s: float) -> bool:
        """Return False: there is nothing newer."""
        return False

    async def refresh(self, deadline_s: float | None, trace: Trace | None = None) -> None:
        """Do nothing."""

    def start(self) -> None:
        """Do nothing."""

    async def aclose(self) -> None:
        """Do nothing."""


class TokenKeys:
    """Checks tokens with the keys of a source, which it owns."""

    keep_s = math.inf
    """A checked token stays good until it expires, or until its key is gone."""

    def __init__(
        self, verifier: JwtVerifier, source: KeySource, *, wall_clock: Callable[[], float], clock: Clock = loop_time
    ) -> None:
        self._clock = clock
        self._verifier = verifier
        self._source = source
        self._wall_clock = wall_clock

    def validate(self, token: bytes, digest: bytes, asker: Asker) -> Verified | Awaitable[Verified]:
        """Return whose token it is: at once, unless it names an unknown key and newer keys may be asked for.

        Raises Refused.
        """
        try:
            return self._check(token, asker.now_s)
        except UnknownKeyId:
            if self._source.may_refresh(asker.now_s):
                return self._check_with_newer_keys(token, asker)
            raise

    def is_ready(self, now_s: float) -> bool:
        """Whether there are keys."""
        return self._source.current(now_s) is not None

    def start(self) -> None:
        """Begin to fetch keys."""
        self._source.start()

    async def aclose(self) -> None:
        """Stop fetching keys."""
        await self._source.aclose()

    def _check(self, token: bytes, now_s: float) -> Verified:
        keys = self._source.current(now_s)
        if keys is None:
            raise Refused(Reason.KEYS_UNAVAILABLE)
        return self._verifier.verify(token, keys, self._wall_clock())

    async def _check_with_newer_keys(self, token: bytes, asker: Asker) -> Verified:
        await self._source.refresh(asker.deadline_s, asker.trace)
        return self._check(token, self._clock())
