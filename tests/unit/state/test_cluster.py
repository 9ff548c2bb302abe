"""The store of several machines, on a real server."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import redis

from api_gateway.state.cluster import _HIT_SCRIPT, ClusterStore
from api_gateway.state.local import LocalStoreFile
from api_gateway.state.store import BreakerRecord, StoreError
from api_gateway.state.window import judge
from tests.support.redis_peer import COUNTED, RedisPeer
from tests.support.redis_server import RedisServer, is_installed
from tests.support.virtual_time import run_in_virtual_time

pytestmark = pytest.mark.skipif(not is_installed(), reason="redis-server is not installed")

HOUR_S = 3600.0


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    # Not under tmp_path: a socket's path may have 107 bytes at most.
    with TemporaryDirectory() as directory, RedisServer(Path(directory)) as server:
        yield server


@pytest.fixture
async def store(server: RedisServer, tmp_path: Path) -> AsyncIterator[ClusterStore]:
    server.command("FLUSHALL")
    local = LocalStoreFile(tmp_path, max_memory_bytes=1024 * 1024).open(window_s=HOUR_S)
    store = ClusterStore(server.url, local, window_s=HOUR_S, timeout_s=30.0)
    await store.start()
    yield store
    await store.close()


async def test_limit_is_exact(store: ClusterStore) -> None:
    """semantics 36, R1: exactly the limit passes of what comes at once."""
    verdicts = await asyncio.gather(*(store.hit(b"k", 100, 0.0) for _ in range(700)))
    assert [remaining for remaining, _ in verdicts] == [*range(99, -1, -1), *[-1] * 600]
    assert all(0 < seconds <= 2 * HOUR_S for _, seconds in verdicts)


async def test_refused_requests_do_not_count(store: ClusterStore, server: RedisServer) -> None:
    """semantics 36: ten refusals leave the count, and so the next window, as they were."""
    verdicts = await asyncio.gather(*(store.hit(b"k", 2, 0.0) for _ in range(12)))
    assert [remaining for remaining, _ in verdicts] == [1, 0, *[-1] * 10]
    assert server.command("HGET", "api-gateway:window:3600:k", "current") == "2"


async def test_keys_are_counted_apart(store: ClusterStore) -> None:
    """semantics 37: also keys with any bytes in them."""
    assert (await store.hit(b"\x00\r\n\xff", 2, 0.0))[0] == 1
    assert (await store.hit(b"\x00\r\n\xfe", 2, 0.0))[0] == 1


async def test_every_key_expires(store: ClusterStore, server: RedisServer) -> None:
    """semantics 39: what is no longer counted goes by itself, after two windows at the latest."""
    await store.hit(b"k", 2, 0.0)
    (key,) = server.command("KEYS", "*:window:*").splitlines()
    assert HOUR_S <= int(server.command("TTL", key)) <= 2 * HOUR_S


@pytest.mark.parametrize(
    ("windows_ago", "current", "previous", "limit"),
    [
        pytest.param(0, 10, 0, 100, id="current"),
        pytest.param(0, 10, 50, 100, id="current-and-previous"),
        pytest.param(0, 100, 0, 100, id="full"),
        pytest.param(0, 1, 0, 1, id="limit-of-one"),
        pytest.param(0, 5, 1000, 100, id="previous-full"),
        pytest.param(1, 60, 1000, 100, id="one-window-ago"),
        pytest.param(1, 1000, 0, 100, id="one-window-ago-full"),
        pytest.param(2, 1000, 1000, 100, id="two-windows-ago"),
        pytest.param(-1, 3, 0, 100, id="the-clock-went-back"),
    ],
)
async def test_script_decides_like_the_local_store(
    store: ClusterStore, server: RedisServer, windows_ago: int, current: int, previous: int, limit: int
) -> None:
    """semantics 36: one arithmetic, whichever store."""
    seconds, _ = server.command("TIME").split()
    now_s = int(seconds)
    number = int(now_s // HOUR_S) - windows_ago
    fields = ["number", str(number), "current", str(current), "previous", str(previous)]
    server.command("HSET", "api-gateway:window:3600:k", *fields)
    verdict = await store.hit(b"k", limit, 0.0)
    shifted = {0: (current, previous), 1: (0, current), 2: (0, 0), -1: (current, previous)}[windows_ago]
    elapsed_s = 0.0 if windows_ago < 0 else now_s % HOUR_S
    expected = judge(*shifted, elapsed_s, HOUR_S, limit)
    # Up to a few seconds passed between the two readings of the clock.
    assert verdict[0] == pytest.approx(expected[0], abs=3)
    assert verdict[1] == pytest.approx(expected[1], abs=10 * 3)


def test_script_decides_exactly_like_the_local_store_at_any_time(server: RedisServer) -> None:
    """semantics 36: with the clock held still, the same verdict to the request and the microsecond."""
    clock = b"redis.call('TIME')"
    assert _HIT_SCRIPT.count(clock) == 1
    script = _HIT_SCRIPT.replace(clock, b"{ARGV[3], ARGV[4]}")
    with redis.Redis(unix_socket_path=str(server.path)) as client:
        still = client.register_script(script)
        for limit, current, previous, elapsed_ms in itertools.product(
            (1, 2, 100), (0, 1, 50, 99, 100), (0, 1, 100, 150), (0, 1, 299, 301, 12_345, 30_000, 59_699, 59_701, 59_999)
        ):
            client.hset("k", mapping={"number": 7, "current": current, "previous": previous})
            seconds, milliseconds = divmod(7 * 60_000 + elapsed_ms, 1000)
            remaining, wait_us = still(keys=["k"], args=[limit, 60_000_000, seconds, milliseconds * 1000])
            expected = judge(current, previous, elapsed_ms / 1000, 60.0, limit)
            assert remaining == expected[0], (limit, current, previous, elapsed_ms)
            assert wait_us / 1e6 == pytest.approx(expected[1], abs=2e-6)


async def test_generation_of_another_machine_is_seen(store: ClusterStore, server: RedisServer) -> None:
    """design 3: a refresh asked for on one machine reaches all."""
    before = store.read_generation()
    assert await store.bump_generation() >= before
    before = store.read_generation()
    server.command("INCR", "api-gateway:generation")
    store._poll_at_s = 0.0  # time for the next poll has come
    await store.hit(b"k", 2, 0.0)
    await store.hit(b"k", 2, 0.0)
    assert store.read_generation() == before + 1


async def test_breakers_stay_on_the_machine(store: ClusterStore, server: RedisServer) -> None:
    record = BreakerRecord(failures=1)
    assert store.update_breaker("a", lambda _: record) == (BreakerRecord(), record)
    assert store.read_breaker("a") == record
    assert "breaker" not in server.command("KEYS", "*")


async def test_a_cancelled_call_is_not_sent(store: ClusterStore) -> None:
    pending = store.hit(b"k", 2, 0.0)
    assert isinstance(pending, asyncio.Future)
    pending.cancel()
    assert (await store.hit(b"k", 2, 0.0))[0] == 1


async def test_a_forgotten_script_is_taught_again(store: ClusterStore, server: RedisServer) -> None:
    """D10: FLUSHALL and SCRIPT FLUSH cost nobody an error."""
    await store.hit(b"k", 10, 0.0)
    server.command("SCRIPT", "FLUSH")
    server.command("FLUSHALL")
    verdicts = await asyncio.gather(*(store.hit(b"k", 10, 0.0) for _ in range(20)))
    assert sum(remaining >= 0 for remaining, _ in verdicts) == 10


async def test_a_key_of_the_wrong_type_fails_its_own_calls_only(store: ClusterStore, server: RedisServer) -> None:
    """D10: wrong type."""
    server.command("SET", "api-gateway:window:3600:bad", "text")
    good, bad = store.hit(b"good", 2, 0.0), store.hit(b"bad", 2, 0.0)
    with pytest.raises(StoreError, match="WRONGTYPE"):
        await bad
    assert (await good)[0] == 1
    assert store.trouble == ""


async def test_a_senseless_generation_is_an_error_not_the_end(store: ClusterStore, server: RedisServer) -> None:
    server.command("SET", "api-gateway:generation", "text")
    store._poll_at_s = 0.0  # time for the next poll has come
    assert (await store.hit(b"k", 3, 0.0))[0] == 2
    assert (await store.hit(b"k", 3, 0.0))[0] == 1
    with pytest.raises(StoreError):
        await store.bump_generation()


async def test_waiting_calls_are_bounded(store: ClusterStore) -> None:
    calls = [store.hit(b"k", 1, 0.0) for _ in range(10_000)]
    with pytest.raises(StoreError, match="too many"):
        _ = store.hit(b"k", 1, 0.0)
    assert sum(remaining >= 0 for remaining, _ in await asyncio.gather(*calls)) == 1


async def test_calls_beyond_one_batch_travel_at_once(store: ClusterStore) -> None:
    """semantics 39: the second five hundred wait for the first exchange, not for the next poll."""
    store._poll_at_s = asyncio.get_running_loop().time() + HOUR_S
    async with asyncio.timeout(60):
        verdicts = await asyncio.gather(*(store.hit(b"k", 10, 0.0) for _ in range(1_200)))
    assert sum(remaining >= 0 for remaining, _ in verdicts) == 10


def test_a_server_that_is_away_is_tried_now_and_then(tmp_path: Path) -> None:
    """D10: it is looked for once or twice a second, not all the time."""

    async def scenario() -> int:
        attempts = 0

        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal attempts
            attempts += 1
            writer.close()

        with TemporaryDirectory() as directory:
            async with await asyncio.start_unix_server(hang_up, Path(directory) / "s"):
                local = LocalStoreFile(tmp_path, max_memory_bytes=1024 * 1024).open(window_s=HOUR_S)
                store = ClusterStore(f"unix://{directory}/s", local, window_s=HOUR_S, timeout_s=1.0)
                await store.start()
                await asyncio.sleep(60)
                await store.close()
        return attempts

    assert 10 <= run_in_virtual_time(scenario()) <= 150


async def test_generations_from_before_the_start_are_no_news(server: RedisServer, tmp_path: Path) -> None:
    """design 3: a worker that begins has asked the backends itself; what was announced earlier concerns it no more."""
    server.command("FLUSHALL")
    server.command("SET", "api-gateway:generation", "7")
    local = LocalStoreFile(tmp_path, max_memory_bytes=1024 * 1024).open(window_s=HOUR_S)
    store = ClusterStore(server.url, local, window_s=HOUR_S, timeout_s=30.0)
    await store.start()
    await store.hit(b"k", 2, 0.0)
    await store.hit(b"k", 2, 0.0)
    assert store.read_generation() == 0
    await store.close()


async def test_close_fails_what_waits(store: ClusterStore) -> None:
    pending = store.hit(b"k", 1, 0.0)
    await store.close()
    with pytest.raises(StoreError):
        await pending
    with pytest.raises(StoreError):
        _ = store.hit(b"k", 1, 0.0)


def test_a_malformed_address_is_refused_at_once(tmp_path: Path) -> None:
    local = LocalStoreFile(tmp_path, max_memory_bytes=1024 * 1024).open(window_s=HOUR_S)
    with pytest.raises(ValueError, match="scheme"):
        ClusterStore("http://localhost", local, window_s=HOUR_S, timeout_s=1.0)


async def test_a_server_that_fails_after_the_probe_is_not_asked_without_a_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D10: one that counts our own request, and sends those of clients elsewhere, must not keep us busy."""
    pauses_s: list[float] = []
    sleep = asyncio.sleep

    async def pause(seconds: float) -> None:
        pauses_s.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", pause)
    with TemporaryDirectory() as directory, RedisPeer(Path(directory)) as peer:
        peer.behave(COUNTED, to_calls=b"-MOVED 3999 127.0.0.1:6381\r\n")
        local = LocalStoreFile(tmp_path, max_memory_bytes=1024 * 1024).open(window_s=HOUR_S)
        store = ClusterStore(peer.url, local, window_s=HOUR_S, timeout_s=30.0)
        await store.start()
        for round_number in range(1, 6):
            with pytest.raises(StoreError):
                await store.hit(b"k", 1, 0.0)
            while len(pauses_s) < round_number or store.trouble:
                await sleep(0.001)
        await store.close()
    assert peer.calls == len(pauses_s)
    assert max(pauses_s) > 0
