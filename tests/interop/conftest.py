"""Interoperability tests run on the event loop that the gateway runs on, against three libraries."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from tests.support.backends import Backend, backend, grpcio_backend, grpclib_backend, node_backend
from tests.support.channels import TestedChannel, channel_to

__all__ = ["backend", "grpcio_backend", "grpclib_backend", "node_backend"]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """Use uvloop."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def channel(backend: Backend) -> AsyncIterator[TestedChannel]:
    """A channel to each backend in turn; nothing may be left of its calls when the test has ended."""
    async with channel_to(backend.endpoint) as channel:
        yield channel
