"""A gateway that is told to stop while clients go on asking (C12, P2, D1, D4, D5)."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from tests.support.backends import Backend
from tests.support.gateway import (
    LONGER_THAN_ANY_TEST_MS,
    Answer,
    Client,
    RunningGateway,
    eventually,
    is_refused,
    serving_patiently,
    start_gateway,
)
from tests.support.gen.echo_control_pb2 import STARTED
from tests.support.http_application import until
from tests.support.promptness import quickest_s
from tests.support.raw_http import RawClient, request
from tests.support.steady_load import PATIENCE_S, steady_load

EXIT_OK = 0
EXIT_FAILED = 1
AT_ONCE_S = 1.0
FOR_EVER_MS = LONGER_THAN_ANY_TEST_MS
MAX_DELAY_MS = 300_000
SIGNALS = [pytest.param(signal.SIGTERM, id="SIGTERM"), pytest.param(signal.SIGINT, id="SIGINT")]
WORKERS = [pytest.param(1, id="one process"), pytest.param(2, id="two workers")]


def send(client: Client, request_id: str, *, sleep_ms: int = 20) -> Answer:
    """Send a call that takes a while, so that there is always something in flight."""
    body = {"id": request_id, "behaviour": {"sleepMs": sleep_ms}}
    return client.ask("POST", "/echo/v1/echo", body)


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("number", SIGNALS)
def test_no_accepted_request_is_lost(workers: int, number: signal.Signals, grpcio_backend: Backend) -> None:
    """D1: 200 requests a second, a signal in the middle: each gets its answer, and the exit code is 0."""
    asyncio.run(grpcio_backend.clear_journal())
    with start_gateway(serving_patiently(grpcio_backend.endpoint), "--workers", str(workers)) as gateway:
        with steady_load(gateway.port, send) as load:
            load.wait_for(100)
            gateway.process.send_signal(number)
            outcome = load.join()
        assert gateway.process.wait() == EXIT_OK
    assert (outcome.lost, outcome.others) == ([], [])
    # Who got no answer was not heard either: nothing was done for them.
    assert asyncio.run(grpcio_backend.journal("*")).started == outcome.answered


@contextmanager
def request_in_flight(gateway: RunningGateway, backend: Backend, request_id: str) -> Iterator[list[Answer | Exception]]:
    """Have a call under way that never ends by itself and has reached the backend; yields what becomes of it."""
    result: list[Answer | Exception] = []

    def ask() -> None:
        body = {"id": request_id, "behaviour": {"sleepMs": FOR_EVER_MS}}
        try:
            result.append(gateway.ask("POST", "/echo/v1/echo", body))
        except Exception as error:
            result.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    asyncio.run(backend.journal(request_id, wait_for=STARTED))
    try:
        yield result
    finally:
        thread.join(PATIENCE_S)


async def finish_while_draining(gateway: RunningGateway, backend: Backend, request_id: str, *, workers: int) -> None:
    """Have a request answered that began before the signal, and ends when all workers are known to drain."""
    head = request("POST", "/echo/v1/collect", "Transfer-Encoding: chunked", "Content-Type: application/x-ndjson")
    line = b'{"id":"%b"}\n' % request_id.encode()
    async with RawClient(("127.0.0.1", gateway.port)) as client:
        await client.send(head + b"%x\r\n%b\r\n" % (len(line), line))
        await backend.journal(request_id, wait_for=STARTED)
        gateway.process.send_signal(signal.SIGTERM)
        await until(lambda: len(gateway.log("draining")) == workers, timeout_s=PATIENCE_S)
        await client.send(b"0\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.json()["messageCount"], answer.is_last) == (200, 1, True)
        assert await client.rest() == b""


@pytest.mark.parametrize("workers", WORKERS)
async def test_a_slow_request_is_waited_for(workers: int, grpcio_backend: Backend) -> None:
    """C12: what is in flight is finished, and the connection then ends."""
    config = serving_patiently(grpcio_backend.endpoint)
    with start_gateway(config, "--workers", str(workers)) as gateway:
        await finish_while_draining(gateway, grpcio_backend, f"slow-{workers}", workers=workers)
        assert gateway.process.wait() == EXIT_OK


@pytest.mark.parametrize("workers", WORKERS)
def test_a_request_that_takes_too_long_is_cut_off_at_the_end_of_the_drain(
    workers: int, grpcio_backend: Backend
) -> None:
    config = serving_patiently(grpcio_backend.endpoint, server={"drain_timeout_ms": 300})
    with start_gateway(config, "--workers", str(workers)) as gateway:
        with request_in_flight(gateway, grpcio_backend, f"too-slow-{workers}") as result:
            gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait() == EXIT_OK
    assert not isinstance(result[0], Answer)


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_ends_at_once(workers: int, number: signal.Signals, grpcio_backend: Backend) -> None:
    """D5: within a second, while a request would go on for ever."""
    names = count()

    def insist() -> float:
        name = f"hurry-{workers}-{number}-{next(names)}"
        config = serving_patiently(grpcio_backend.endpoint)
        with (
            start_gateway(config, "--workers", str(workers)) as gateway,
            request_in_flight(gateway, grpcio_backend, name) as result,
        ):
            gateway.process.send_signal(number)
            eventually(lambda: is_refused(gateway.port), "the listener is closed")
            started_s = time.monotonic()
            gateway.process.send_signal(number)
            assert gateway.process.wait() == EXIT_FAILED
            taken_s = time.monotonic() - started_s
        assert not isinstance(result[0], Answer)
        return taken_s

    assert quickest_s(insist, enough_s=AT_ONCE_S) <= AT_ONCE_S


def test_two_signals_in_one_go_end_at_once(grpcio_backend: Backend) -> None:
    with (
        start_gateway(serving_patiently(grpcio_backend.endpoint), "--workers", "2") as gateway,
        request_in_flight(gateway, grpcio_backend, "both-at-once"),
    ):
        gateway.process.send_signal(signal.SIGTERM)
        gateway.process.send_signal(signal.SIGINT)
        assert gateway.process.wait() == EXIT_FAILED


def test_readiness_goes_before_the_listener(grpcio_backend: Backend) -> None:
    """D4: load balancers get `shutdown_delay_ms` to notice; requests are served as before in that time."""
    config = serving_patiently(grpcio_backend.endpoint, server={"shutdown_delay_ms": MAX_DELAY_MS})
    with start_gateway(config) as gateway:
        assert gateway.get("/health/ready").status == 200
        gateway.process.send_signal(signal.SIGTERM)
        eventually(lambda: gateway.get("/health/ready").status == 503, "not ready")
        assert gateway.get("/health/ready").json()["reasons"] == {"gateway": "shutting down"}
        assert gateway.get("/health/live").status == 200
        assert gateway.get("/api/items/7").status == 200
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait() == EXIT_FAILED


def test_the_listener_goes_after_the_delay(grpcio_backend: Backend) -> None:
    """D4: nobody has to ask twice."""
    config = serving_patiently(grpcio_backend.endpoint, server={"shutdown_delay_ms": 100})
    with start_gateway(config) as gateway:
        assert gateway.process.stop() == EXIT_OK


def test_idle_connections_do_not_hold_the_exit_up(grpcio_backend: Backend) -> None:
    """Neither until their idle timeout nor until the end of the drain: both are longer than `stop` is patient."""
    config = serving_patiently(grpcio_backend.endpoint)
    with start_gateway(config) as gateway, Client(gateway.port) as client:
        assert client.ask("GET", "/health/live").status == 200
        assert gateway.process.stop() == EXIT_OK


async def test_counts_and_lines_of_the_last_requests_are_kept(grpcio_backend: Backend) -> None:
    """What was answered during the drain has its line in the log."""
    with start_gateway(serving_patiently(grpcio_backend.endpoint), "--workers", "2") as gateway:
        await finish_while_draining(gateway, grpcio_backend, "logged", workers=2)
        assert gateway.process.wait() == EXIT_OK
        (line,) = gateway.log("request completed")
    assert line["fields"]["status"] == 200
