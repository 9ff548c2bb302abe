"""A gateway in front of several addresses of one service: real processes, real health services (G65, B2; issue 3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import grpc.aio
import pytest
from google.protobuf.empty_pb2 import Empty

from tests.support.backends import CONTROL, Backend, start_backend
from tests.support.gateway import RunningGateway, eventually, serving, start_gateway
from tests.support.gen.echo_control_pb2 import SetHealthRequest
from tests.support.rpc import unary


class Stage(NamedTuple):
    """One service with two addresses."""

    gateway: RunningGateway
    first: Backend
    second: Backend


@pytest.fixture
def stage() -> Iterator[Stage]:
    with start_backend("grpcio") as first, start_backend("grpcio") as second:
        service = {"endpoint": [first.endpoint, second.endpoint], "reconnect_grace_ms": 0}
        with start_gateway(serving("", service=service)) as gateway:
            gateway.wait_until_routed("/echo/v1/echo/1")
            eventually(lambda: states(gateway, first, second) == ["ready", "ready"], "both addresses are ready")
            yield Stage(gateway, first, second)


def states(gateway: RunningGateway, *backends: Backend) -> list[str]:
    """Return what `/health` says of the backends' addresses."""
    addresses = gateway.get("/health").json()["services"]["echo"]["addresses"]
    return [addresses.get(backend.address, "") for backend in backends]


async def set_serving(backend: Backend, *, is_serving: bool) -> None:
    async with grpc.aio.insecure_channel(backend.address) as channel:
        await unary(channel, f"{CONTROL}/SetHealth", SetHealthRequest(is_serving=is_serving), Empty)


def answers(gateway: RunningGateway) -> set[int]:
    """Return the statuses of some requests."""
    return {gateway.get(f"/echo/v1/echo/{number}").status for number in range(10)}


async def executed(backend: Backend) -> int:
    journal = await backend.journal("*", at_least=0)
    return journal.started


async def test_health_takes_addresses_out_and_back(stage: Stage) -> None:
    """G65: one that does not serve gets no calls; when none serves, 503 with the reason; then all is as before."""
    gateway, first, second = stage
    assert answers(gateway) == {200}
    await set_serving(first, is_serving=False)
    gateway.wait_for_event("address does not serve", address=first.address)
    assert states(gateway, first, second) == ["not_serving", "ready"]
    await first.clear_journal()
    assert answers(gateway) == {200}
    assert await executed(first) == 0
    await set_serving(second, is_serving=False)
    gateway.wait_for_event("address does not serve", address=second.address)
    refused = gateway.get("/echo/v1/echo/1")
    assert (refused.status, refused.reason) == (503, "UPSTREAM_NOT_SERVING")
    await set_serving(first, is_serving=True)
    eventually(lambda: states(gateway, first, second) == ["ready", "not_serving"], "the first one serves again")
    eventually(lambda: answers(gateway) == {200}, "requests are answered again")


async def test_a_backend_that_does_not_serve_yet_has_routes() -> None:
    """G65, semantics 43: its schema is read all the same, so that requests are refused with 503 and not with 404."""
    with start_backend("grpcio") as backend:
        await set_serving(backend, is_serving=False)
        with start_gateway(serving("", service={"endpoint": backend.endpoint, "reconnect_grace_ms": 0})) as gateway:
            eventually(lambda: gateway.get("/echo/v1/echo/1").status == 503, "the route is known")
            assert gateway.get("/echo/v1/echo/1").reason == "UPSTREAM_NOT_SERVING"
            await set_serving(backend, is_serving=True)
            eventually(lambda: gateway.get("/echo/v1/echo/1").status == 200, "requests are answered")


async def test_a_killed_address_costs_its_running_calls_only(stage: Stage) -> None:
    """B2: the other one takes all requests; the endpoint is shown whole."""
    gateway, first, second = stage
    first.process.kill()
    eventually(lambda: states(gateway, first, second)[0] != "ready", "the loss is noticed")
    assert answers(gateway) == {200}
    shown = gateway.get("/health").json()["services"]["echo"]
    assert shown["endpoint"] == f"{first.endpoint}, {second.endpoint}"
    assert shown["connection"] == "ready"
