"""The clock jumps where nothing happens, and nowhere else."""

from __future__ import annotations

import asyncio
import os
import socket
import time

from tests.support.virtual_time import TURN_S, Loopback, run_in_virtual_time


def test_an_hour_takes_no_time() -> None:
    async def wait() -> float:
        started_s = asyncio.get_running_loop().time()
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time() - started_s

    started_s = time.monotonic()
    assert 3600 <= run_in_virtual_time(wait()) < 3600 + 3 * TURN_S
    assert time.monotonic() - started_s < 60


def test_work_takes_no_time() -> None:
    """However long the machine takes for it."""

    async def work() -> float:
        loop = asyncio.get_running_loop()
        started_s, real_s = loop.time(), time.monotonic()
        while time.monotonic() == real_s:
            pass
        for _ in range(10):
            await asyncio.sleep(0)
        return loop.time() - started_s

    assert run_in_virtual_time(work()) <= 11 * TURN_S


def test_timers_come_due_in_a_busy_loop() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()

        def again() -> None:
            loop.call_soon(again)

        again()
        await asyncio.sleep(100 * TURN_S)

    run_in_virtual_time(work())


def test_timers_come_in_their_order() -> None:
    async def wait() -> list[int]:
        loop = asyncio.get_running_loop()
        order: list[int] = []
        for delay_s in (30, 10, 20):
            loop.call_later(delay_s, order.append, delay_s)
        await asyncio.sleep(40)
        return order

    assert run_in_virtual_time(wait()) == [10, 20, 30]


def test_sockets_come_before_the_jump() -> None:
    async def talk() -> bytes:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(2))
            writer.close()

        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hi")
            async with asyncio.timeout(30):
                answer = await reader.read()
            writer.close()
            return answer

    assert run_in_virtual_time(talk()) == b"hi"


def test_what_was_sent_has_arrived_before_the_jump() -> None:
    loopback = Loopback()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        for _ in range(20):
            with socket.socket() as client:
                client.setblocking(False)
                client.connect_ex(server.getsockname())
                loopback.settle()
                server.accept()[0].close()
    loopback.close()


def test_the_thread_may_run_anywhere_afterwards() -> None:
    if hasattr(os, "sched_getaffinity"):
        before = os.sched_getaffinity(0)
        run_in_virtual_time(asyncio.sleep(1))
        assert os.sched_getaffinity(0) == before
