"""Redis down, hung, slow, emptied or locked, while requests go on; and many processes at once.

Run as a module, this file is one of the processes that count.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from api_gateway.state.cluster import ClusterStore
from api_gateway.state.local import LocalStoreFile
from api_gateway.state.store import StoreError
from tests.support.processes import ROOT
from tests.support.promptness import quickest_async_s
from tests.support.redis_server import RedisServer, is_installed

pytestmark = pytest.mark.skipif(not is_installed(), reason="redis-server is not installed")

WINDOW_S = 31_536_000.0
TIMEOUT_S = 0.2
"""How long a call waits where a test waits for that."""
PATIENCE_S = 60.0
"""How long a call waits elsewhere: longer than a busy machine needs, and longer than the test may take."""
TOGETHER_S = 1.0
"""What many calls may take that each wait for `TIMEOUT_S`, at once."""
PROCESSES = 8
CALLS = 12_500
LIMIT = 60_000


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with TemporaryDirectory() as directory:
        server = RedisServer(Path(directory))
        yield server
        server.kill()


@pytest.fixture
async def store(server: RedisServer, tmp_path: Path) -> AsyncIterator[ClusterStore]:
    """A store whose calls end by what happens to the server, not by the clock."""
    async with open_store(server.url, tmp_path, timeout_s=PATIENCE_S) as store:
        yield store


@pytest.fixture
async def hasty_store(server: RedisServer, tmp_path: Path) -> AsyncIterator[ClusterStore]:
    """A store whose calls wait for a moment only."""
    async with open_store(server.url, tmp_path, timeout_s=TIMEOUT_S) as store:
        yield store


@asynccontextmanager
async def open_store(url: str, directory: Path, *, timeout_s: float) -> AsyncIterator[ClusterStore]:
    local = LocalStoreFile(directory, max_memory_bytes=1024 * 1024).open(window_s=WINDOW_S)
    store = ClusterStore(url, local, window_s=WINDOW_S, timeout_s=timeout_s)
    yield store
    await store.close()


async def passes(store: ClusterStore) -> bool:
    """Whether the store decides; False when it says that it cannot."""
    try:
        await store.hit(b"k", 1_000_000, 0.0)
    except StoreError:
        return False
    return True


async def wait_until_it_passes(store: ClusterStore) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await passes(store):  # noqa: ASYNC110  # what is awaited happens in another process
            await asyncio.sleep(0.01)


def fails_at_once(store: ClusterStore) -> bool:
    """Whether a call costs no waiting: it fails before there is anything to await."""
    try:
        _ = store.hit(b"k", 1_000_000, 0.0)
    except StoreError:
        return True
    return False


async def test_down_at_start(server: RedisServer, store: ClusterStore) -> None:
    """D10: the gateway starts without it, refuses to guess, and finds it when it comes up."""
    await store.start()
    assert "cannot connect" in store.trouble
    assert fails_at_once(store)
    server.start()
    await wait_until_it_passes(store)
    assert store.trouble == ""


async def test_killed_and_started_again(server: RedisServer, store: ClusterStore) -> None:
    """D10: killed while calls come: each ends with the connection; afterwards none waits; a new server is found."""
    server.start()
    await store.start()
    assert await passes(store)
    server.kill()
    async with asyncio.timeout(PATIENCE_S / 2):
        assert not await passes(store)
    assert fails_at_once(store)
    server.start()
    await wait_until_it_passes(store)


async def test_hung_server(server: RedisServer, hasty_store: ClusterStore) -> None:
    """D10: SIGSTOP: the calls of the moment wait for `timeout_s`, all at once; all later ones not at all."""
    server.start()
    await hasty_store.start()

    async def hang() -> float:
        await wait_until_it_passes(hasty_store)
        server.pause()
        started_s = time.perf_counter()
        assert not any(await asyncio.gather(*(passes(hasty_store) for _ in range(50))))
        took_s = time.perf_counter() - started_s
        # Its kernel still accepts connections; that must not count as being back.
        for _ in range(10):
            assert fails_at_once(hasty_store)
            await asyncio.sleep(0.05)
        server.resume()
        return took_s

    assert TIMEOUT_S / 2 < await quickest_async_s(hang, enough_s=TOGETHER_S) <= TOGETHER_S
    await wait_until_it_passes(hasty_store)


async def test_slow_server(server: RedisServer, hasty_store: ClusterStore) -> None:
    """D10: slower than `timeout_s` is as good as down, until it is quick again."""
    server.start()
    await hasty_store.start()
    for pause_ms in (1_000, 4_000, 16_000):
        await wait_until_it_passes(hasty_store)
        server.command("CLIENT", "PAUSE", str(pause_ms), "ALL")
        # On a busy machine the pause may be over before the call is made.
        if not await passes(hasty_store):
            break
    assert fails_at_once(hasty_store)
    await wait_until_it_passes(hasty_store)


async def test_wrong_password(server: RedisServer, store: ClusterStore) -> None:
    """D10: auth error."""
    server.options = ("--requirepass", "secret")
    server.start()
    await store.start()
    assert "uthentication" in store.trouble
    assert fails_at_once(store)
    server.command("-a", "secret", "CONFIG", "SET", "requirepass", "")
    await wait_until_it_passes(store)


async def test_a_refresh_during_an_outage_reaches_this_machine_at_least(store: ClusterStore) -> None:
    await store.start()
    before = store.read_generation()
    with pytest.raises(StoreError):
        await store.bump_generation()
    assert store.read_generation() > before


def test_many_processes_count_exactly(server: RedisServer, tmp_path: Path) -> None:
    """R9: 8 processes, 100,000 calls: exactly the limit passes, and no key lives for ever."""
    server.start()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = []
    for number in range(PROCESSES):
        directory = tmp_path / str(number)
        directory.mkdir()
        command = [sys.executable, "-m", __name__, server.url, str(directory)]
        processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True))
    outputs = [process.communicate(timeout=600)[0] for process in processes]
    assert sum(int(output) for output in outputs) == LIMIT
    for key in server.command("--scan").splitlines():
        assert int(server.command("TTL", key)) > 0


async def count(url: str, directory: str) -> None:
    local = LocalStoreFile(Path(directory), max_memory_bytes=1024 * 1024).open(window_s=WINDOW_S)
    store = ClusterStore(url, local, window_s=WINDOW_S, timeout_s=30.0)
    await store.start()
    passed = 0
    for _ in range(CALLS // 100):
        verdicts = await asyncio.gather(*(store.hit(b"k", LIMIT, 0.0) for _ in range(100)))
        passed += sum(remaining >= 0 for remaining, _ in verdicts)
    await store.close()
    print(passed)


if __name__ == "__main__":
    asyncio.run(count(*sys.argv[1:]))
