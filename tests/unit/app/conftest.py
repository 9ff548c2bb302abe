"""What every test of a worker needs: backends, and a garbage collector as it was."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator

import pytest

from api_gateway.demo.services import DemoServers, serve_demo


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    """Undo what a worker does to Python's garbage collector, which the tests share."""
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


@pytest.fixture
async def demo() -> AsyncIterator[DemoServers]:
    servers = await serve_demo()
    yield servers
    await servers.stop(grace_s=0)
