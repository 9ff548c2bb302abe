"""The example backends, running, and channels to them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc.aio
import pytest

from api_gateway.demo.services import DemoServers, serve_demo


@pytest.fixture
async def demo() -> AsyncIterator[DemoServers]:
    servers = await serve_demo()
    yield servers
    await servers.stop(grace_s=0)


@pytest.fixture
async def users(demo: DemoServers) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{demo.user_port}") as channel:
        yield channel


@pytest.fixture
async def auth(demo: DemoServers) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{demo.auth_port}") as channel:
        yield channel
