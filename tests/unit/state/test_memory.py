"""The store of a gateway with one worker."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.state.local import LocalStoreFile
from api_gateway.state.memory import MemoryStore
from api_gateway.state.store import BreakerRecord, BreakerState

WINDOW_S = 60.0


def store(max_memory_bytes: int = 1024 * 1024) -> MemoryStore:
    """Return an empty store."""
    return MemoryStore(window_s=WINDOW_S, max_memory_bytes=max_memory_bytes)


def allowed(memory: MemoryStore, key: bytes, requests: int, limit: int, now_s: float) -> int:
    """Return how many of some requests pass."""
    return sum(memory.hit(key, limit, now_s)[0] >= 0 for _ in range(requests))


def test_a_limit_is_exact() -> None:
    """semantics 36: refused requests do not count."""
    assert allowed(store(), b"a", 30, 10, 600.0) == 10


def test_clients_are_counted_apart() -> None:
    """One client's flood is not another's."""
    memory = store()
    allowed(memory, b"a", 30, 10, 600.0)
    assert allowed(memory, b"b", 30, 10, 600.0) == 10


def test_no_double_window_at_the_edge() -> None:
    """semantics 39: what was used just before the edge still weighs just after it."""
    memory = store()
    assert allowed(memory, b"a", 10, 10, 659.0) == 10
    assert allowed(memory, b"a", 10, 10, 661.0) == 0
    assert allowed(memory, b"a", 10, 10, 690.0) == 5


def test_a_window_without_requests_is_forgotten() -> None:
    """Two windows later nothing weighs any more."""
    memory = store()
    allowed(memory, b"a", 10, 10, 600.0)
    assert allowed(memory, b"a", 10, 10, 721.0) == 10
    assert memory.client_count == 1


@given(
    st.lists(
        st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.floats(min_value=0, max_value=50)), min_size=1, max_size=60
    )
)
def test_decides_as_the_shared_store_does(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bytes, float]]
) -> None:
    """One worker or many: the same answers."""
    folder: Path = tmp_path_factory.mktemp("store")
    file = LocalStoreFile(folder, max_memory_bytes=1024 * 1024)
    shared, memory = file.open(window_s=WINDOW_S), store()
    now_s = 1000.0
    try:
        for key, wait_s in steps:
            now_s += wait_s
            assert memory.hit(key, 3, now_s) == pytest.approx(shared.hit(key, 3, now_s))
    finally:
        file.close()


def test_memory_is_bounded_and_abusers_are_remembered() -> None:
    """R2: a flood of addresses takes the room of quiet clients, not of the ones that ask most."""
    memory = store(max_memory_bytes=512 * 1000)
    abusers = [b"abuser %d" % number for number in range(10)]
    for abuser in abusers:
        assert allowed(memory, abuser, 100, 100, 600.0) == 100
    for number in range(50_000):
        memory.hit(b"%d" % number, 100, 600.0)
    assert memory.client_count == 1000
    assert [allowed(memory, abuser, 1, 100, 600.0) for abuser in abusers] == [0] * 10


def test_who_takes_a_place_takes_its_count() -> None:
    """semantics 39: nobody starts from zero in a full store, or a few addresses taking turns would never be limited."""
    memory = store(max_memory_bytes=1)
    for number in range(8):
        assert allowed(memory, b"%d" % number, 10, 10, 600.0) == 10
    assert memory.client_count == 8
    assert allowed(memory, b"new", 1, 10, 600.0) == 0


def test_a_full_store_goes_on_in_the_next_window() -> None:
    """semantics 39: what has expired goes with its window, and leaves room for as many as before."""
    memory = store(max_memory_bytes=512 * 10)
    for number in range(4):
        for client in range(30):
            assert memory.hit(b"%d" % client, 100, 600.0 + 60 * number)[0] >= 0
        assert memory.client_count == 10


def test_nobody_inherits_what_an_abuser_did_in_the_window_before() -> None:
    """semantics 39: room is made by the least loaded of both windows, so that its load harms no newcomer."""
    memory = store(max_memory_bytes=1)
    allowed(memory, b"abuser", 100, 100, 600.0)
    memory.hit(b"abuser", 100, 660.0)
    for number in range(7):
        allowed(memory, b"quiet %d" % number, 2, 100, 660.0)
    assert memory.client_count == 8
    for number in range(50):
        assert memory.hit(b"newcomer %d" % number, 100, 660.0)[0] >= 0


def test_a_clock_that_is_read_late_changes_nothing() -> None:
    """Requests of one turn of the loop may carry a time from just before the edge."""
    memory = store()
    memory.hit(b"a", 10, 660.0)
    assert memory.hit(b"a", 10, 659.9) == (8, WINDOW_S)


def test_breakers_and_generation() -> None:
    """What is written can be read."""
    memory = store()
    opened = BreakerRecord(BreakerState.OPEN, opened_s=5.0)
    assert memory.update_breaker("users", lambda record: opened) == (BreakerRecord(), opened)
    assert memory.read_breaker("users") == opened
    assert memory.read_breaker("orders") == BreakerRecord()
    assert (memory.bump_generation(), memory.read_generation()) == (1, 1)
    memory.close()
