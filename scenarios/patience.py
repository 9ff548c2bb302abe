"""Waiting for what happens in other processes, where nobody wakes us."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

POLL_S = 0.02


async def until(holds: Callable[[], bool], what: str, *, timeout_s: float = 20.0) -> None:
    """Return once a condition holds. Raises TimeoutError that says what was waited for."""

    async def ask() -> bool:
        return holds()

    await until_told(ask, what, timeout_s=timeout_s)


async def until_told(holds: Callable[[], Awaitable[bool]], what: str, *, timeout_s: float = 20.0) -> None:
    """Do the same for a condition that has to be asked for."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + timeout_s
    while not await holds():
        if loop.time() > deadline_s:
            raise TimeoutError(f"not within {timeout_s:.0f} s: {what}")
        await asyncio.sleep(POLL_S)
