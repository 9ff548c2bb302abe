"""A published key set, fetched outside the request path and kept through outages (J44 to J52)."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from ..config.settings import JwtSettings
from ..model.trace import Trace
from .jwks_fetch import JwksLocation, fetch
from .questions import Clock, Questions, loop_time
from .refusal import Refused
from .tokens.key_set import KeySet, parse_key_set

COOL_DOWN_S: Final = 30.0
"""Least time between two fetches that unknown key ids cause: random ids must not make us a reflector (J47)."""
FIRST_RETRY_S: Final = 1.0
MAX_RETRY_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class KeyFetch:
    """How one fetch ended, for log and metrics."""

    is_ok: bool
    detail: str
    """Why it failed; empty when it did not."""
    problems: tuple[str, ...] = ()
    """Keys of the set that were left out, private ones among them."""
    url: str = field(default="", compare=False)
    """What was fetched, without its query."""
    started_s: float = field(default=0.0, compare=False)
    ended_s: float = field(default=0.0, compare=False)
    trace: Trace | None = field(default=None, compare=False)
    """Recording of the request for which it was made; None when it came due by itself, or none is recorded."""


Fetch = Callable[[], Awaitable[bytes]]


class JwksSource:
    """The keys of one issuer. Workers have one each; `start` after the fork, `aclose` at the end.

    A fetch that fails, or brings junk, an empty or an ambiguous set, changes nothing: the last good set serves on.
    `Cache-Control` of the answer is ignored, the interval is ours.
    """

    def __init__(
        self,
        settings: JwtSettings,
        fetch: Fetch,
        *,
        clock: Clock = loop_time,
        on_change: Callable[[KeySet], None],
        on_fetch: Callable[[KeyFetch], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._algorithms = frozenset[str](settings.algorithms)
        self._url = (settings.jwks_url or "").partition("?")[0]
        self._refresh_s = settings.jwks_refresh_seconds
        self._stale_s = settings.jwks_stale_seconds
        self._fetch = fetch
        self._clock = clock
        self._sleep = sleep
        self._on_change = on_change
        self._on_fetch = on_fetch
        self._questions: Questions[None] = Questions(max_open=1)
        self._task: asyncio.Task[None] | None = None
        self._keys: KeySet | None = None
        self._loaded_at_s = -math.inf
        self._attempted_at_s = -math.inf
        self._failures = 0

    def current(self, now_s: float) -> KeySet | None:
        """Return the keys to use; None when none were ever loaded, or not for too long."""
        return self._keys if now_s - self._loaded_at_s <= self._stale_s + self._refresh_s else None

    def may_refresh(self, now_s: float) -> bool:
        """Whether an unknown key id may cause a fetch now, or wait for the one under way."""
        return len(self._questions) > 0 or now_s - self._attempted_at_s >= COOL_DOWN_S

    async def refresh(self, deadline_s: float | None, trace: Trace | None = None) -> None:
        """Fetch the set, or wait for the fetch under way. A failure changes nothing and is not raised.

        Raises Refused(DEADLINE) when `deadline_s` comes first.
        """

        async def load() -> None:
            await self._load(trace)

        await self._questions.ask("keys", load, deadline_s)

    def start(self) -> None:
        """Begin to fetch, now and then on the interval. Needs a running loop."""
        self._task = asyncio.get_running_loop().create_task(self._keep_fresh())

    async def aclose(self) -> None:
        """Stop fetching."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._questions.aclose()

    async def _keep_fresh(self) -> None:
        while True:
            with contextlib.suppress(Refused):
                await self.refresh(None)
            await self._sleep(self._pause_s())

    def _pause_s(self) -> float:
        """Return the time to the next fetch. Never longer than the interval, which bounds the life of a removed key."""
        if self._failures == 0:
            # Spread, so that workers and replicas do not ask at once.
            return float(self._refresh_s) * random.uniform(0.9, 1.0)  # noqa: S311  # no secret
        return min(FIRST_RETRY_S * float(1 << min(self._failures - 1, 10)), MAX_RETRY_S)

    async def _load(self, trace: Trace | None) -> None:
        self._attempted_at_s = self._clock()
        started_s = monotonic()

        def tell(is_ok: bool, detail: str, problems: tuple[str, ...] = ()) -> None:
            self._on_fetch(KeyFetch(is_ok, detail, problems, self._url, started_s, monotonic(), trace))

        try:
            keys = parse_key_set(await self._fetch(), self._algorithms)
        except Exception as error:  # noqa: BLE001, RUF100  # whatever fails here, the last good set serves and the next try comes
            self._failures += 1
            tell(False, str(error) or type(error).__name__)
            return
        before = self._keys
        self._failures = 0
        self._keys = keys
        self._loaded_at_s = self._clock()
        if before is not None and keys.fingerprints() != before.fingerprints():
            self._on_change(keys)
        tell(True, "", keys.problems)


def https_fetch(settings: JwtSettings) -> Fetch:
    """Return a fetch of `jwks_url`.

    Raises ValueError for an address that may not be asked, OSError for a CA file that cannot be read.
    """
    location = JwksLocation.parse(settings.jwks_url or "")
    context: ssl.SSLContext | None = None
    if location.is_tls:
        path = settings.jwks_ca_cert_path
        context = ssl.create_default_context(cafile=None if path is None else str(path))
        context.minimum_version = ssl.TLSVersion.TLSv1_2

    async def get() -> bytes:
        return await fetch(location, context)

    return get
