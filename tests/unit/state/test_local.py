"""The store of one machine, on a real LMDB environment."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import lmdb
import pytest

from api_gateway.state.local import LocalStore, LocalStoreFile, _position, bucket_count
from api_gateway.state.store import BreakerRecord, BreakerState, StoreError

MIB = 1024 * 1024
WINDOW_S = 60.0
T0 = 1_000_020.0  # the start of a window


@pytest.fixture
def file(tmp_path: Path) -> Iterator[LocalStoreFile]:
    file = LocalStoreFile(tmp_path, max_memory_bytes=2 * MIB)
    yield file
    file.close()


@pytest.fixture
def store(file: LocalStoreFile) -> LocalStore:
    return file.open(window_s=WINDOW_S)


def count_passed(store: LocalStore, key: bytes, limit: int, now_s: float, attempts: int) -> int:
    return sum(store.hit(key, limit, now_s)[0] >= 0 for _ in range(attempts))


def test_limit_is_exact(store: LocalStore) -> None:
    """semantics 36, R1: exactly the limit passes, however often is asked."""
    assert count_passed(store, b"\x01\x02\x03\x04", 100, T0, 1000) == 100


def test_keys_are_counted_apart(store: LocalStore) -> None:
    """semantics 37: one client's requests never count for another."""
    assert count_passed(store, b"\x01\x02\x03\x04", 5, T0, 10) == 5
    assert count_passed(store, b"\x01\x02\x03\x05", 5, T0, 10) == 5


def test_refused_requests_do_not_count(store: LocalStore) -> None:
    """semantics 36: a thousand refusals leave the next window as it would have been."""
    count_passed(store, b"k", 10, T0, 1000)
    assert count_passed(store, b"k", 10, T0 + WINDOW_S * 1.5, 1000) == 5


@pytest.mark.parametrize(
    ("later_s", "expected"),
    [
        pytest.param(0.0, 0, id="same-window"),
        pytest.param(60.0, 0, id="edge-is-no-second-burst"),
        pytest.param(75.0, 25, id="quarter-faded"),
        pytest.param(90.0, 50, id="half-faded"),
        pytest.param(120.0, 100, id="forgotten"),
        pytest.param(100_000.0, 100, id="long-forgotten"),
    ],
)
def test_previous_window_fades(store: LocalStore, later_s: float, expected: int) -> None:
    """semantics 36, 39: a window's burst weighs on the next one by the share that is left of it."""
    count_passed(store, b"k", 100, T0, 100)
    assert count_passed(store, b"k", 100, T0 + later_s, 300) == expected


def test_a_worker_with_an_older_reading_of_the_clock_counts_in_the_newer_window(store: LocalStore) -> None:
    assert count_passed(store, b"k", 10, T0 + WINDOW_S, 6) == 6
    assert count_passed(store, b"k", 10, T0 + WINDOW_S - 0.01, 10) == 4
    assert count_passed(store, b"k", 10, T0 + WINDOW_S * 1.5, 10) == 0


def test_verdict_names_what_is_left_and_the_end_of_the_window(store: LocalStore) -> None:
    assert store.hit(b"k", 3, T0 + 20.0) == (2, 40.0)
    assert store.hit(b"k", 3, T0 + 30.0) == (1, 30.0)


def test_the_least_loaded_makes_room(store: LocalStore) -> None:
    """semantics 39: a newcomer to a full bucket starts with the smallest count in it, not with an abuser's."""
    store._bucket_count = 1  # so that all share a bucket
    for number in range(15):
        assert count_passed(store, b"abuser %d" % number, 10, T0, 11) == 10
    assert count_passed(store, b"quiet", 10, T0, 2) == 2
    assert count_passed(store, b"newcomer", 10, T0, 10) == 8
    assert [count_passed(store, b"abuser %d" % number, 10, T0, 1) for number in range(15)] == [0] * 15


def test_room_is_made_by_the_load_that_still_counts(store: LocalStore) -> None:
    """semantics 39: that is this window's and the last one's, and none from before."""
    store._bucket_count = 1  # so that all share a bucket
    count_passed(store, b"long-ago", 50, T0, 50)
    count_passed(store, b"long-ago", 50, T0 + WINDOW_S * 1.9, 1)
    for number in range(15):
        count_passed(store, b"busy %d" % number, 50, T0 + WINDOW_S * 1.9, 20)
    assert store.hit(b"newcomer", 50, T0 + WINDOW_S * 2)[0] == 48


def test_a_burst_of_the_last_window_makes_no_room(store: LocalStore) -> None:
    """semantics 39: who asked little now and much just before is not the least loaded."""
    store._bucket_count = 1  # so that all share a bucket
    for number in range(15):
        count_passed(store, b"abuser %d" % number, 10, T0, 10)
    count_passed(store, b"quiet", 10, T0 + WINDOW_S * 1.5, 2)
    for number in range(15):
        count_passed(store, b"abuser %d" % number, 10, T0 + WINDOW_S * 1.5, 1)
    assert store.hit(b"newcomer", 10, T0 + WINDOW_S * 1.5)[0] == 7


def test_the_last_window_is_not_forgotten_for_a_newcomer(store: LocalStore) -> None:
    """semantics 36, 39: no double window for those whose bucket somebody else is added to just after the edge."""
    store._bucket_count = 1  # so that all share a bucket
    assert count_passed(store, b"abuser", 10, T0 + 59.0, 10) == 10
    for number in range(3):
        store.hit(b"newcomer %d" % number, 10, T0 + WINDOW_S)
    assert count_passed(store, b"abuser", 10, T0 + WINDOW_S, 10) == 0


def test_a_worker_with_an_older_reading_of_the_clock_forgets_nobody(store: LocalStore) -> None:
    """semantics 39: at the edge, a newcomer that it adds makes nobody's count of the new window go."""
    store._bucket_count = 1  # so that all share a bucket
    assert count_passed(store, b"abuser", 10, T0 + WINDOW_S, 10) == 10
    store.hit(b"newcomer", 10, T0 + WINDOW_S - 0.01)
    assert count_passed(store, b"abuser", 10, T0 + WINDOW_S, 10) == 0


def test_an_entry_is_found_at_its_own_place_only() -> None:
    """semantics 37: the bytes of a tag may stand by chance across two other entries."""
    tag = bytes(range(1, 9))
    across = struct.pack("<8sIII", b"x" * 8, 1, 0x04030201, 0x08070605)
    own = struct.pack("<8sIII", tag, 1, 2, 3)
    assert _position(across + own, tag) == len(across)
    assert _position(own + across, tag) == 0
    assert _position(across, tag) == -1


def test_clients_cannot_choose_whose_bucket_they_share(tmp_path: Path) -> None:
    """semantics 39: places depend on a secret of this gateway's run."""
    places = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        file = LocalStoreFile(tmp_path / name, max_memory_bytes=2 * MIB)
        store = file.open(window_s=WINDOW_S)
        places.append([store._locate(b"%d" % number) for number in range(10)])
        file.close()
    assert not set(places[0]) & set(places[1])


@pytest.mark.parametrize(("before_s", "after_s"), [(1.0, 60.0), (60.0, 1.0), (60.0, 3600.0)])
def test_a_window_of_another_length_begins_anew(tmp_path: Path, before_s: float, after_s: float) -> None:
    """semantics 36, 39: a reload may change it; nobody's counts of before lie ahead of the new ones, nor take room."""
    environment = lmdb.open(str(tmp_path), map_size=2 * MIB, sync=False, writemap=True)
    before, after = (LocalStore(environment, window_s=window_s) for window_s in (before_s, after_s))
    before._bucket_count = after._bucket_count = 1  # so that all share a bucket
    for number in range(16):
        assert count_passed(before, b"%d" % number, 10, T0, 20) == 10
    for number in range(16):
        assert count_passed(after, b"%d" % number, 10, T0 + 1.0, 20) == 10
        assert count_passed(after, b"%d" % number, 10, T0 + 1.0 + 2 * after_s, 20) == 10
    environment.close()


def test_remembered_places_are_bounded(store: LocalStore) -> None:
    """C13: each worker remembers the hashes of a few thousand keys, however many come."""
    for number in range(20_000):
        store._locate(struct.pack(">I", number))
    assert len(store._places) <= 4096


def test_the_whole_file_is_taken_at_once(tmp_path: Path) -> None:
    """semantics 39: a disk that fills up later cannot end a worker in the middle of a request."""
    file = LocalStoreFile(tmp_path, max_memory_bytes=2 * MIB)
    made = (tmp_path / "data.mdb").stat()
    assert made.st_blocks * 512 >= 2 * MIB
    assert made.st_mode & 0o777 == 0o600
    file.close()


def test_memory_is_bounded_with_many_addresses(store: LocalStore) -> None:
    """R2: far more addresses than fit take no more memory than allowed, and never an error."""
    for number in range(150_000):
        store.hit(struct.pack(">I", number), 100, T0)
    assert store.used_bytes() <= 2 * MIB


def test_flood_of_addresses_never_forgets_an_active_abuser(store: LocalStore) -> None:
    """R2, semantics 39: ten abusers stay refused while 120,000 other addresses pass through a store for 50,000."""
    abusers = [b"abuser%d" % number for number in range(10)]
    for abuser in abusers:
        assert count_passed(store, abuser, 20, T0, 30) == 20
    for number in range(120_000):
        store.hit(struct.pack(">I", number), 20, T0)
        if number % 10_000 == 0:
            assert all(store.hit(abuser, 20, T0)[0] < 0 for abuser in abusers)
    assert all(store.hit(abuser, 20, T0)[0] < 0 for abuser in abusers)


def test_nobody_exceeds_the_limit_even_when_every_client_is_an_abuser(tmp_path: Path) -> None:
    """semantics 39: a count may be too high in a full store, but never too low."""
    file = LocalStoreFile(tmp_path, max_memory_bytes=300 * 1024)
    store = file.open(window_s=WINDOW_S)
    keys = [struct.pack(">I", number) for number in range(3000)]
    passed = dict.fromkeys(keys, 0)
    for _ in range(8):
        for key in keys:
            passed[key] += store.hit(key, 5, T0)[0] >= 0
    assert max(passed.values()) <= 5
    file.close()


def test_expired_entries_make_room(tmp_path: Path) -> None:
    """semantics 39: after two windows a full store counts new clients from zero."""
    file = LocalStoreFile(tmp_path, max_memory_bytes=300 * 1024)
    store = file.open(window_s=WINDOW_S)
    for number in range(5000):
        store.hit(struct.pack(">I", number), 100, T0)
    used_bytes = store.used_bytes()
    for number in range(5000, 5200):
        assert store.hit(struct.pack(">I", number), 100, T0 + 2 * WINDOW_S) == (99, 60.0)
    assert store.used_bytes() == used_bytes
    file.close()


def test_bucket_count_leaves_room() -> None:
    assert bucket_count(64 * MIB) * 576 < 64 * MIB
    assert bucket_count(1) == 1


def test_breaker_record_round_trip(store: LocalStore) -> None:
    record = BreakerRecord(BreakerState.HALF_OPEN, 5, 1, 1234.5, 1240.25, 1233.5)
    assert store.read_breaker("user-service") == BreakerRecord()
    assert store.update_breaker("user-service", lambda _: record) == (BreakerRecord(), record)
    assert store.read_breaker("user-service") == record
    assert store.read_breaker("other") == BreakerRecord()
    assert store.read_breaker("user-service").state is BreakerState.HALF_OPEN


def test_unchanged_breaker_is_not_written(store: LocalStore) -> None:
    assert store.update_breaker("a", lambda record: record) == (BreakerRecord(), BreakerRecord())


def test_long_service_names_fit(store: LocalStore) -> None:
    record = BreakerRecord(failures=1)
    store.update_breaker("ü" * 1000, lambda _: record)
    assert store.read_breaker("ü" * 1000) == record
    assert store.read_breaker("ü" * 1001) == BreakerRecord()


def test_a_change_that_raises_changes_nothing(store: LocalStore) -> None:
    def fail(record: BreakerRecord) -> BreakerRecord:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.update_breaker("a", fail)
    assert store.read_breaker("a") == BreakerRecord()
    assert store.hit(b"k", 1, T0)[0] == 0


def test_generation_grows(store: LocalStore) -> None:
    assert store.read_generation() == 0
    assert [store.bump_generation(), store.bump_generation()] == [1, 2]
    assert store.read_generation() == 2


def test_a_closed_store_says_so(store: LocalStore) -> None:
    store.close()
    for call in (
        lambda: store.hit(b"k", 1, T0),
        lambda: store.read_breaker("a"),
        lambda: store.update_breaker("a", lambda record: record),
        store.read_generation,
        store.bump_generation,
    ):
        with pytest.raises(StoreError):
            call()


def test_a_missing_directory_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        LocalStoreFile(tmp_path / "missing", max_memory_bytes=MIB)


def test_a_full_map_is_a_store_error(tmp_path: Path) -> None:
    """semantics 39: out of space is an answer, not a crash."""
    environment = lmdb.open(str(tmp_path), map_size=2 * MIB, sync=False, writemap=True)
    store = LocalStore(environment, window_s=WINDOW_S)
    with pytest.raises(lmdb.MapFullError):
        for number in range(10_000):
            with environment.begin(write=True) as txn:
                txn.put(b"ballast%d" % number, bytes(3000))
    with pytest.raises(StoreError):
        for number in range(10_000):
            store.hit(struct.pack(">I", number), 100, T0)
    environment.close()


@pytest.mark.filterwarnings(r"ignore:This process \(pid=.*multi-threaded:DeprecationWarning")
def test_two_processes_share_counts(file: LocalStoreFile) -> None:
    """semantics 39: exact across workers."""
    store = file.open(window_s=WINDOW_S)
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            own = file.open(window_s=WINDOW_S)
            if own._environment is store._environment:
                os._exit(255)  # LMDB's handles must not be used on both sides of a fork
            os._exit(count_passed(own, b"k", 100, T0, 200))
        children.append(child)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert sum(statuses) == 100
    assert store.hit(b"k", 100, T0)[0] < 0


@pytest.mark.parametrize("record", [b"", b"\x00", b"\xff" * 7, b"\x09" + bytes(40), bytes(3 * 20 + 1)])
def test_a_damaged_record_is_a_store_error(tmp_path: Path, record: bytes) -> None:
    """semantics 39: whatever stands where a record should, nothing but StoreError comes of it."""
    with lmdb.open(str(tmp_path), map_size=2 * MIB, sync=False, writemap=True) as environment:
        store = LocalStore(environment, window_s=WINDOW_S)
        store.hit(b"k", 100, T0)
        store.update_breaker("a", lambda _: BreakerRecord(failures=1))
        store.bump_generation()
        with environment.begin(write=True) as txn:
            for key in [bytes(key) for key in txn.cursor().iternext(values=False)]:
                txn.put(key, record)
        for call in (
            lambda: store.hit(b"k", 100, T0),
            lambda: store.read_breaker("a"),
            lambda: store.update_breaker("a", lambda record: record._replace(failures=2)),
            store.read_generation,
            store.bump_generation,
        ):
            with suppress(StoreError):
                call()
        # A new worker does not trip over the secret either.
        assert len(LocalStore(environment, window_s=WINDOW_S)._secret) == 32
