"""A worker on loopback, built from settings, with a client that asks it over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from api_gateway.app import Gateway, Shared
from api_gateway.config.settings import ServiceSettings, Settings
from api_gateway.demo.services import DemoServers
from api_gateway.edge.server import listen
from api_gateway.state.local import LocalStoreFile
from api_gateway.telemetry.metrics import prepare_metrics_directory
from tests.unit.telemetry.capture import Capture

PATIENCE_S = 30.0
NOBODY = "http://127.0.0.1:1"


class Running:
    """A gateway that serves, and a client of it."""

    def __init__(self, gateway: Gateway, client: httpx.AsyncClient, capture: Capture) -> None:
        self.gateway, self.client, self.capture = gateway, client, capture

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(path, headers=headers)

    def events(self) -> list[str]:
        return [line["fields"]["message"] for line in self.capture.lines]


@asynccontextmanager
async def running(
    directory: Path, services: dict[str, str], *, waits_for_discovery: bool = True, **sections: Any
) -> AsyncIterator[Running]:
    """Run a gateway in front of endpoints by service key, until the block ends; then nothing of it is left."""
    settings = Settings(
        services={key: ServiceSettings(endpoint=endpoint) for key, endpoint in services.items()}, **sections
    )
    before = asyncio.all_tasks()
    (directory / "state").mkdir()
    prepare_metrics_directory(directory / "metrics")
    state = LocalStoreFile(directory / "state", max_memory_bytes=4 * 1024 * 1024)
    with Capture() as capture:
        shared = Shared(settings=settings, state=state, metrics_directory=directory / "metrics", writer=capture.writer)
        gateway = Gateway(shared)
        listener = listen("127.0.0.1", 0)
        await gateway.start([listener])
        if waits_for_discovery:
            assert await gateway.watcher.wait_for_first_round(PATIENCE_S)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client:
                yield Running(gateway, client, capture)
        finally:
            assert await gateway.stop()
            state.close()
    # The gateway names its tasks; those of the demo's servers, which go on, have no names of their own, or end by
    # themselves once the gateway watches their health no more.
    foreign = ("Task-", "rpc_task", "HandleExceptions[")
    assert [task.get_name() for task in asyncio.all_tasks() - before if not task.get_name().startswith(foreign)] == []


def users(demo: DemoServers) -> dict[str, str]:
    return {"users": f"http://127.0.0.1:{demo.user_port}"}
