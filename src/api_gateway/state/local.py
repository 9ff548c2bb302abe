"""The store of one machine: an LMDB environment that all workers map.

Windows live in buckets of sixteen entries; the keyed hash of a client's key names the bucket and the entry in it. So
memory is fixed by the number of buckets, expired entries are dropped when their bucket is next added to, and nothing
ever scans. When a bucket is full of live entries, the one with the smallest load makes room and its newcomer starts
with that load (the Space-Saving algorithm): a count may be too high under a flood of addresses, but never too low, so
no abuser is forgotten.

Only write transactions are used, for reading too. LMDB's reader slots could keep old pages alive after a worker was
killed; its write lock is a robust mutex, which the kernel hands on when the owner dies, and the pages of an unfinished
transaction are reachable from nowhere. (macOS has no robust mutexes: there a worker killed inside a transaction blocks
the others.)
"""

from __future__ import annotations

import os
import secrets
import struct
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final

import lmdb

from .store import BreakerRecord, BreakerState, StoreError
from .window import Verdict, judge

if TYPE_CHECKING:
    from .store import MachineStore, Store

_ENTRY: Final = struct.Struct("<8sIII")
"""One client in a bucket: tag, number of the window, count in it, count in the window before."""
_COUNTS: Final = struct.Struct("<III")
_ENTRY_BYTES: Final = _ENTRY.size
_TAG_BYTES: Final = 8
_BUCKET_ENTRIES: Final = 16
_BUCKET_BYTES: Final = _BUCKET_ENTRIES * _ENTRY_BYTES
_BYTES_PER_BUCKET: Final = 576
"""Share of the file one full bucket takes, index and half-empty pages included: 490 measured, the rest is reserve."""
_RESERVED_BYTES: Final = 256 * 1024
"""Kept for breaker records and for the copies that a transaction makes of the pages it changes."""
_MAX_PLACES: Final = 4096
"""Keys whose hash is remembered per worker, about 1 MiB; all are dropped when there are more."""

_BREAKER: Final = struct.Struct("<BIIddd")
_NUMBER: Final = struct.Struct("<Q")
_SECRET_KEY: Final = b"secret"
_GENERATION_KEY: Final = b"generation"
_BREAKER_PREFIX: Final = b"breaker:"
_DAMAGE: Final = (lmdb.Error, struct.error)
"""What comes of a file that somebody else wrote to: LMDB finds most of it; records that are none are left."""
_SECRET_BYTES: Final = 32
_MAX_NAME_BYTES: Final = 400
"""LMDB's keys end at 511 bytes."""


class LocalStore:
    """A worker's own handle on the shared environment. Not thread-safe; one event loop uses it.

    Every call takes the machine-wide write lock for 1 to 2 us. Errors of LMDB come out as StoreError.
    """

    def __init__(self, environment: lmdb.Environment, *, window_s: float) -> None:
        self._environment = environment
        self._begin = environment.begin
        self._window_s = window_s
        # Part of the hash, so that a reload with another window begins anew: longer windows have smaller numbers, and
        # what was counted in shorter ones would lie ahead of them for days.
        self._salt = struct.pack("<d", window_s)
        self._bucket_count = bucket_count(environment.info()["map_size"])
        self._places: dict[bytes, tuple[bytes, bytes]] = {}
        with self._begin(write=True) as txn:
            secret = txn.get(_SECRET_KEY)
            if secret is None or len(secret) != _SECRET_BYTES:
                secret = secrets.token_bytes(_SECRET_BYTES)
                txn.put(_SECRET_KEY, secret)
        self._secret: bytes = secret

    def hit(self, key: bytes, limit: int, now_s: float) -> Verdict:
        """Count one request of `key` unless it exceeds `limit` per window. Raises StoreError."""
        place, tag = self._places.get(key) or self._locate(key)
        number = int(now_s // self._window_s)
        elapsed_s = now_s - number * self._window_s
        try:
            with self._begin(write=True) as txn:
                bucket: bytes = txn.get(place, b"")
                at = _position(bucket, tag)
                if at < 0:
                    bucket, at = _add(bucket, tag, number)
                counted_in, current, previous = _COUNTS.unpack_from(bucket, at + _TAG_BYTES)
                if counted_in < number:
                    previous = current if counted_in == number - 1 else 0
                    current = 0
                elif counted_in > number:
                    # Another worker's reading of the clock was newer than ours, by less than a loop turn.
                    number, elapsed_s = counted_in, 0.0
                verdict = judge(current, previous, elapsed_s, self._window_s, limit)
                if verdict[0] >= 0:
                    entry = _ENTRY.pack(tag, number, current + 1, previous)
                    txn.put(place, bucket[:at] + entry + bucket[at + _ENTRY_BYTES :])
                else:
                    txn.abort()
                return verdict
        except _DAMAGE as error:
            raise StoreError(str(error)) from error

    def _locate(self, key: bytes) -> tuple[bytes, bytes]:
        """Hash a key to its bucket and its tag. The secret keeps clients from choosing whose bucket they share."""
        digest = blake2b(key, key=self._secret, salt=self._salt, digest_size=16).digest()
        index = int.from_bytes(digest[:8], "little") % self._bucket_count
        place = (index.to_bytes(4, "big"), digest[8:])
        if len(self._places) >= _MAX_PLACES:
            self._places.clear()
        self._places[key] = place
        return place

    def read_breaker(self, service: str) -> BreakerRecord:
        """Return a service's record. Raises StoreError."""
        try:
            with self._begin(write=True) as txn:
                data = txn.get(_breaker_key(service))
                txn.abort()
        except lmdb.Error as error:
            raise StoreError(str(error)) from error
        return _decode_breaker(data)

    def update_breaker(
        self, service: str, change: Callable[[BreakerRecord], BreakerRecord]
    ) -> tuple[BreakerRecord, BreakerRecord]:
        """Replace a service's record by `change(record)`; return the old and the new one. Raises StoreError."""
        key = _breaker_key(service)
        try:
            with self._begin(write=True) as txn:
                before = _decode_breaker(txn.get(key))
                after = change(before)
                if after == before:
                    txn.abort()
                else:
                    txn.put(key, _BREAKER.pack(*after))
        except lmdb.Error as error:
            raise StoreError(str(error)) from error
        return before, after

    def read_generation(self) -> int:
        """Return the generation number, 0 at first. Raises StoreError."""
        try:
            with self._begin(write=True) as txn:
                data = txn.get(_GENERATION_KEY)
                txn.abort()
            number: int = _NUMBER.unpack(data)[0] if data else 0
        except _DAMAGE as error:
            raise StoreError(str(error)) from error
        return number

    def bump_generation(self) -> int:
        """Make the generation number one larger and return it. Raises StoreError."""
        try:
            with self._begin(write=True) as txn:
                data = txn.get(_GENERATION_KEY)
                number: int = (_NUMBER.unpack(data)[0] if data else 0) + 1
                txn.put(_GENERATION_KEY, _NUMBER.pack(number))
        except _DAMAGE as error:
            raise StoreError(str(error)) from error
        return number

    def used_bytes(self) -> int:
        """Return how much of the file has ever been used, in bytes. It never shrinks and is bounded by the map size."""
        page_bytes: int = self._environment.stat()["psize"]
        return (self._environment.info()["last_pgno"] + 1) * page_bytes

    def close(self) -> None:
        """Close this process's handle; every later call raises StoreError. The data stays for the others."""
        self._environment.close()


class LocalStoreFile:
    """The environment on disk, as the parent process holds it.

    The parent makes it before it forks and keeps it open to the end: while somebody holds the lock file, no worker that
    comes or goes is ever the only one, and so none resets or tears down the locks under another.
    """

    def __init__(self, path: Path, *, max_memory_bytes: int) -> None:
        """Create the environment in the existing directory `path`. Raises StoreError or OSError (no space)."""
        self._path = path
        self._map_bytes = max_memory_bytes
        self._pid = os.getpid()
        self._environment = _open(path, max_memory_bytes)
        # With a writable map, a disk that fills up is a SIGBUS in the middle of a request. Taken now, it is an error.
        if hasattr(os, "posix_fallocate"):
            fd = os.open(path / "data.mdb", os.O_RDWR)
            try:
                os.posix_fallocate(fd, 0, max_memory_bytes)
            finally:
                os.close(fd)

    def open(self, *, window_s: float) -> LocalStore:
        """Return a store for this process: in the parent over its own handle, in a forked worker over a new one.

        Call it once per process. Raises StoreError.
        """
        if os.getpid() != self._pid:
            self._environment.close()
            self._environment = _open(self._path, self._map_bytes)
            self._pid = os.getpid()
        try:
            return LocalStore(self._environment, window_s=window_s)
        except lmdb.Error as error:
            raise StoreError(str(error)) from error

    def close(self) -> None:
        """Close this process's handle. Removing the directory is the owner's business."""
        self._environment.close()


def bucket_count(map_bytes: int) -> int:
    """Return how many buckets fit into a map, at least one."""
    return max(1, (map_bytes - _RESERVED_BYTES) // _BYTES_PER_BUCKET)


def _open(path: Path, map_bytes: int) -> lmdb.Environment:
    try:
        # Nothing is synced: the file is memory that outlives a worker, not storage that outlives the machine.
        environment = lmdb.open(
            str(path),
            map_size=map_bytes,
            mode=0o600,
            create=False,
            sync=False,
            metasync=False,
            writemap=True,
            map_async=True,
            meminit=False,
            max_dbs=0,
        )
        environment.reader_check()
    except lmdb.Error as error:
        raise StoreError(str(error)) from error
    return environment


def _position(bucket: bytes, tag: bytes) -> int:
    """Return the offset of the entry with this tag, -1 when there is none."""
    at = bucket.find(tag)
    while at > 0 and at % _ENTRY_BYTES:
        at = bucket.find(tag, at + 1)
    return at


def _add(bucket: bytes, tag: bytes, number: int) -> tuple[bytes, int]:
    """Put a new entry into a bucket; return the bucket and the entry's offset.

    Entries that no longer count are dropped first, and with them those of windows that had another length before a
    reload: no worker's clock is more than one window ahead. In a bucket full of live ones the least loaded gives way,
    and its load passes to the newcomer.
    """
    live = [entry for entry in _ENTRY.iter_unpack(bucket) if number - 1 <= entry[1] <= number + 1]
    load = (number, 0, 0)
    if len(live) >= _BUCKET_ENTRIES:
        least = min(live, key=lambda entry: _load(entry, number))
        live.remove(least)
        load = least[1:]
    live.append((tag, *load))
    return b"".join(_ENTRY.pack(*entry) for entry in live), (len(live) - 1) * _ENTRY_BYTES


def _load(entry: tuple[bytes, int, int, int], number: int) -> int:
    """Return what an entry counts at most in window `number`."""
    _, counted_in, current, previous = entry
    return current if counted_in < number else current + previous


def _breaker_key(service: str) -> bytes:
    name = service.encode()
    if len(name) > _MAX_NAME_BYTES:
        name = blake2b(name, digest_size=32).hexdigest().encode()
    return _BREAKER_PREFIX + name


def _decode_breaker(data: bytes | None) -> BreakerRecord:
    if data is None:
        return BreakerRecord()
    try:
        state, *rest = _BREAKER.unpack(data)
        return BreakerRecord(BreakerState(state), *rest)
    except (struct.error, ValueError) as error:
        raise StoreError(f"damaged record: {error}") from error


if TYPE_CHECKING:
    _guard: type[Store] = LocalStore
    _machine_guard: type[MachineStore] = LocalStore
