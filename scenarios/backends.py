"""The real echo backend for scenarios: started and stopped beside a running loop, and writing its journal to a file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from scenarios.stage import Stage
from tests.support.backends import Backend, start_backend


@asynccontextmanager
async def echo_backend(stage: Stage, port: int = 0) -> AsyncIterator[Backend]:
    """Serve the echo service with grpcio; on a port of before, when one is named. It may be killed meanwhile."""
    started = start_backend("grpcio", "--port", str(port), "--journal", str(stage.journal))
    backend = await asyncio.to_thread(started.__enter__)
    try:
        yield backend
    finally:
        await asyncio.to_thread(started.__exit__, None, None, None)


async def kill(backend: Backend) -> float:
    """End it with SIGKILL; return the loop's time just before."""
    killed_s = asyncio.get_running_loop().time()
    await asyncio.to_thread(backend.process.kill)
    return killed_s
