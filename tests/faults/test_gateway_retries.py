"""What the retries of a running gateway do to its clients, its backend, its breaker and its log (semantics 31, G61)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.backends import Backend, start_backend
from tests.support.fault_proxy import FaultProxy
from tests.support.gateway import RunningGateway, eventually, serving, serving_patiently, start_gateway
from tests.support.gen.echo_control_pb2 import COMPLETED, STARTED

THRESHOLD = 3


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with start_backend("grpcio") as started:
        yield started


@pytest.fixture(scope="module")
def gateway(backend: Backend) -> Iterator[RunningGateway]:
    config = serving(backend.endpoint, service={"circuit_breaker": {"failure_threshold": THRESHOLD}})
    with start_gateway({**config, "retry": {"initial_backoff_ms": 1}}) as started:
        yield started


@pytest.mark.parametrize(
    ("verb", "path", "attempts"),
    [
        ("GET", "/echo/v1/echo/", 2),
        ("GET", "/echo/v1/stream?id=", 2),
        ("GET", "/echo/v1/chat?id=", 1),
        ("POST", "/echo/v1/echo", 1),
    ],
    ids=["unary", "stream", "stream of requests", "with effects"],
)
def test_a_backend_that_is_unavailable(
    gateway: RunningGateway, backend: Backend, verb: str, path: str, attempts: int
) -> None:
    """Idempotent routes ask twice. Client, log and breaker see one request, with the result of the last attempt."""
    name = f"ill-{verb}-{len(path)}"
    if verb == "GET":
        separator = "&" if "?" in path else "?"
        answer = gateway.get(f"{path}{name}{separator}behaviour.failure.code=14&behaviour.failure.message=ill")
    else:
        body = {"id": name, "behaviour": {"failure": {"code": 14, "message": "ill"}}}
        answer = gateway.ask("POST", path, body)
    assert (answer.status, answer.error["message"]) == (503, "ill")
    assert asyncio.run(backend.journal(name)).started == attempts
    line = gateway.wait_for_event("request completed", status=503, request_id=answer.headers["x-request-id"])
    assert line.get("attempts", 1) == attempts
    # One failure a request: with one an attempt, the breaker would be open after the second test.
    assert gateway.get("/api/items/7").status == 200


def test_retries_are_counted(gateway: RunningGateway) -> None:
    before = gateway.metric("api_gateway_retries_total", {"service": "echo", "result": "failed"})
    assert gateway.get("/echo/v1/echo/counted?behaviour.failure.code=14").status == 503
    eventually(
        lambda: gateway.metric("api_gateway_retries_total", {"service": "echo", "result": "failed"}) == before + 1,
        "the retry is counted",
    )


def test_semantics_26_a_client_that_goes_away_takes_its_retry_along(backend: Backend) -> None:
    """No second attempt is made for nobody."""
    config = {
        **serving(backend.endpoint, service={"timeout_ms": 600_000}),
        "server": {"request_timeout_ms": 600_000},
        "retry": {"initial_backoff_ms": 60_000, "max_backoff_ms": 60_000},
    }
    with start_gateway(config) as gateway:
        with socket.create_connection(("127.0.0.1", gateway.port)) as client:
            client.sendall(b"GET /echo/v1/echo/gone?behaviour.failure.code=14 HTTP/1.1\r\nhost: gateway\r\n\r\n")
            asyncio.run(backend.journal("gone", wait_for=COMPLETED))
        gateway.wait_for_event("request completed", status=499)
        assert asyncio.run(backend.journal("gone")).started == 1


async def test_a_lost_connection_is_survived(backend: Backend) -> None:
    """The call under way when the network cuts it is made again over a new connection; one with effects is not."""
    for sleep_ms in (300, 3_000, 30_000):
        if await cut_in_time(backend, sleep_ms):
            return
    raise AssertionError("the calls were over before they were cut")


async def cut_in_time(backend: Backend, sleep_ms: int) -> bool:
    """Cut two calls and return True; False when a busy machine let one of them end before."""
    cut, cut_post = f"cut-{sleep_ms}", f"cut-post-{sleep_ms}"
    target = f"/echo/v1/echo/{cut}?behaviour.sleep_ms={sleep_ms}"
    body = {"id": cut_post, "behaviour": {"sleep_ms": sleep_ms}}
    with ExitStack() as stack:
        async with FaultProxy(backend.port) as network:
            # In a thread: the network runs on this loop.
            starting = start_gateway(serving_patiently(network.endpoint))
            gateway = await asyncio.to_thread(stack.enter_context, starting)
            async with asyncio.TaskGroup() as tasks:
                good = tasks.create_task(asyncio.to_thread(gateway.get, target))
                bad = tasks.create_task(asyncio.to_thread(gateway.ask, "POST", "/echo/v1/echo", body))
                for name in (cut, cut_post):
                    await backend.journal(name, wait_for=STARTED)
                network.reset_all()
            started = ((await backend.journal(cut)).started, (await backend.journal(cut_post)).started)
            await asyncio.to_thread(stack.close)
    if bad.result().status == 200 or (good.result().status, started[0]) == (200, 1):
        return False
    assert (good.result().status, bad.result().reason) == (200, "UPSTREAM_CONNECTION_LOST")
    assert started == (2, 1)
    return True
