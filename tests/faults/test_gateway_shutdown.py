"""A gateway that is told to stop while clients go on asking (C12, P2, D1, D4, D5)."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.backends import Backend
from tests.support.gateway import Answer, Client, RunningGateway, eventually, is_refused, serving, start_gateway
from tests.support.gen.echo_control_pb2 import STARTED
from tests.support.steady_load import steady_load

EXIT_OK = 0
EXIT_FAILED = 1
AT_ONCE_S = 2.0
"""D5 says one second; the other one is for a busy machine."""
FOR_EVER_MS = 8_000
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
    with start_gateway(serving(grpcio_backend.endpoint), "--workers", str(workers)) as gateway:
        with steady_load(gateway.port, send) as load:
            load.wait_for(100)
            gateway.process.send_signal(number)
            outcome = load.join()
        assert gateway.process.wait() == EXIT_OK
    assert (outcome.lost, outcome.others) == ([], [])
    # Who got no answer was not heard either: nothing was done for them.
    assert asyncio.run(grpcio_backend.journal("*")).started == outcome.answered


@contextmanager
def request_in_flight(
    gateway: RunningGateway, backend: Backend, request_id: str, *, sleep_ms: int = 1_500
) -> Iterator[list[Answer | Exception]]:
    """Have a slow call under way, which has reached the backend; yields what becomes of it."""
    result: list[Answer | Exception] = []

    def ask() -> None:
        body = {"id": request_id, "behaviour": {"sleepMs": sleep_ms}}
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
        thread.join(10)


@pytest.mark.parametrize("workers", WORKERS)
def test_a_slow_request_is_waited_for(workers: int, grpcio_backend: Backend) -> None:
    """C12: what is in flight is finished, and the connection then ends."""
    with start_gateway(serving(grpcio_backend.endpoint), "--workers", str(workers)) as gateway:
        with request_in_flight(gateway, grpcio_backend, f"slow-{workers}") as result:
            gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait() == EXIT_OK
    (answer,) = result
    assert isinstance(answer, Answer)
    assert answer.status == 200
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("workers", WORKERS)
def test_a_request_that_takes_too_long_is_cut_off_at_the_end_of_the_drain(
    workers: int, grpcio_backend: Backend
) -> None:
    config = serving(grpcio_backend.endpoint, server={"drain_timeout_ms": 300})
    with start_gateway(config, "--workers", str(workers)) as gateway:
        with request_in_flight(gateway, grpcio_backend, f"too-slow-{workers}", sleep_ms=FOR_EVER_MS) as result:
            gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait() == EXIT_OK
    assert not isinstance(result[0], Answer)


@pytest.mark.parametrize("workers", WORKERS)
@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_ends_at_once(workers: int, number: signal.Signals, grpcio_backend: Backend) -> None:
    """D5."""
    with (
        start_gateway(serving(grpcio_backend.endpoint), "--workers", str(workers)) as gateway,
        request_in_flight(gateway, grpcio_backend, f"hurry-{workers}-{number}", sleep_ms=FOR_EVER_MS) as result,
    ):
        gateway.process.send_signal(number)
        eventually(lambda: is_refused(gateway.port), "the listener is closed")
        started_s = time.monotonic()
        gateway.process.send_signal(number)
        assert gateway.process.wait() == EXIT_FAILED
        assert time.monotonic() - started_s < AT_ONCE_S
    assert not isinstance(result[0], Answer)


def test_two_signals_in_one_go_end_at_once(grpcio_backend: Backend) -> None:
    with (
        start_gateway(serving(grpcio_backend.endpoint), "--workers", "2") as gateway,
        request_in_flight(gateway, grpcio_backend, "both-at-once", sleep_ms=FOR_EVER_MS),
    ):
        gateway.process.send_signal(signal.SIGTERM)
        gateway.process.send_signal(signal.SIGINT)
        assert gateway.process.wait() == EXIT_FAILED


def test_readiness_goes_before_the_listener(grpcio_backend: Backend) -> None:
    """D4: load balancers get `shutdown_delay_ms` to notice; requests are served as before in that time."""
    config = serving(grpcio_backend.endpoint, server={"shutdown_delay_ms": 600})
    with start_gateway(config) as gateway:
        assert gateway.get("/health/ready").status == 200
        gateway.process.send_signal(signal.SIGTERM)
        eventually(lambda: gateway.get("/health/ready").status == 503, "not ready")
        assert gateway.get("/health/ready").json()["reasons"] == {"gateway": "shutting down"}
        assert gateway.get("/health/live").status == 200
        assert gateway.get("/api/items/7").status == 200
        assert gateway.process.wait() == EXIT_OK


def test_idle_connections_do_not_hold_the_exit_up(grpcio_backend: Backend) -> None:
    with start_gateway(serving(grpcio_backend.endpoint)) as gateway, Client(gateway.port) as client:
        assert client.ask("GET", "/health/live").status == 200
        started_s = time.monotonic()
        assert gateway.process.stop() == EXIT_OK
        assert time.monotonic() - started_s < 3.0


def test_counts_and_lines_of_the_last_requests_are_kept(grpcio_backend: Backend) -> None:
    """What was answered during the drain has its line in the log."""
    with start_gateway(serving(grpcio_backend.endpoint), "--workers", "2") as gateway:
        with request_in_flight(gateway, grpcio_backend, "logged"):
            gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait() == EXIT_OK
        (line,) = gateway.log("request completed")
    assert line["fields"]["status"] == 200
