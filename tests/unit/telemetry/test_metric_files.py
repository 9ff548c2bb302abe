"""The files of the workers: growth, retirement, what a reader may find."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_gateway.telemetry import metric_files
from api_gateway.telemetry.metric_files import (
    MetricFile,
    mark_worker_dead,
    open_metric_file,
    prepare_metrics_directory,
    read_totals,
)

KEYS = st.binary(min_size=1, max_size=60).filter(lambda key: not key.endswith(b" "))


def worker(directory: Path, pid: int, values: dict[bytes, tuple[float, ...]]) -> MetricFile:
    file = MetricFile(directory / f"worker-{pid}.metrics")
    for key, numbers in values.items():
        file.add(key, numbers)
    return file


def totals(directory: Path) -> dict[bytes, tuple[float, ...]]:
    return {key.rstrip(b" "): values for key, values in read_totals(directory).items()}


def test_kinds_decide_how_workers_are_joined(tmp_path: Path) -> None:
    worker(tmp_path, 1, {b"c1": (1.0,), b"h1": (1.0, 2.0), b"s1": (1.0,), b"m1": (1.0,)}).close()
    worker(tmp_path, 2, {b"c1": (2.0,), b"h1": (3.0, 5.0), b"s1": (2.0,), b"m1": (2.0,), b"c2": (7.0,)}).close()
    assert totals(tmp_path) == {b"c1": (3.0,), b"h1": (4.0, 7.0), b"s1": (3.0,), b"m1": (2.0,), b"c2": (7.0,)}


@pytest.mark.parametrize("times_s", [(100.0, 200.0), (200.0, 100.0)])
def test_latest_exemplar_of_any_worker_counts(tmp_path: Path, times_s: tuple[float, float]) -> None:
    """Their last value is the time; an ended worker's exemplars go with its gauges."""
    for pid, time_s in enumerate(times_s, 1):
        worker(tmp_path, pid, {b"e1": (0.0, 0.0, 0.0, float(pid), 0.5, time_s)}).close()
    latest = 1 + times_s.index(200.0)
    assert totals(tmp_path) == {b"e1": (0.0, 0.0, 0.0, float(latest), 0.5, 200.0)}
    mark_worker_dead(tmp_path, 1)
    mark_worker_dead(tmp_path, 2)
    assert totals(tmp_path) == {}


def test_dead_worker_leaves_counts_and_no_gauges(tmp_path: Path) -> None:
    worker(tmp_path, 1, {b"c1": (1.0,), b"h1": (1.0, 2.0), b"s1": (1.0,), b"m1": (1.0,)}).close()
    mark_worker_dead(tmp_path, 1)
    assert totals(tmp_path) == {b"c1": (1.0,), b"h1": (1.0, 2.0)}


def test_workers_that_come_and_go_leave_one_file(tmp_path: Path) -> None:
    """C13: a worker that crashes again and again does not fill the disk."""
    for pid in range(50):
        worker(tmp_path, pid, {b"c1": (1.0,)}).close()
        mark_worker_dead(tmp_path, pid)
    assert [path.name for path in tmp_path.iterdir()] == ["retired.metrics"]
    assert totals(tmp_path) == {b"c1": (50.0,)}


def test_successor_with_the_same_process_id_loses_nothing(tmp_path: Path) -> None:
    """In a container the same ids come again and again."""
    for _ in range(2):
        file = open_metric_file(tmp_path)
        file.add(b"c1", (5.0,))
        file.close()
    assert totals(tmp_path) == {b"c1": (10.0,)}


def test_files_of_processes_that_are_gone_are_retired_too(tmp_path: Path) -> None:
    """A retirement that once failed is made good with the next worker that starts."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    worker(tmp_path, gone.pid, {b"c1": (1.0,), b"s1": (1.0,)}).close()
    worker(tmp_path, os.getppid(), {b"c1": (2.0,), b"s1": (2.0,)}).close()
    open_metric_file(tmp_path).close()
    assert totals(tmp_path) == {b"c1": (3.0,), b"s1": (2.0,)}


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try for the lock once, without waiting."""
    monkeypatch.setattr(metric_files, "_RETIRE_PATIENCE_S", 0.0)
    monkeypatch.setattr(metric_files, "_READ_PATIENCE_S", 0.0)


@pytest.mark.usefixtures("no_patience")
def test_stopped_reader_holds_nobody(tmp_path: Path) -> None:
    """A worker that was stopped while it read must not stop its parent; its counts stay on the page."""
    worker(tmp_path, 1, {b"c1": (1.0,)}).close()
    fd = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    mark_worker_dead(tmp_path, 1)
    assert totals(tmp_path) == {b"c1": (1.0,)}
    os.close(fd)
    mark_worker_dead(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["retired.metrics"]
    assert totals(tmp_path) == {b"c1": (1.0,)}


@pytest.mark.usefixtures("no_patience")
def test_stopped_writer_holds_no_reader(tmp_path: Path) -> None:
    """A page without the lock is better than none."""
    worker(tmp_path, 1, {b"c1": (1.0,)}).close()
    fd = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert totals(tmp_path) == {b"c1": (1.0,)}
    os.close(fd)


def test_retirement_that_fails_raises_nothing(tmp_path: Path) -> None:
    """The parent process must not end because a disk is full or a directory gone."""
    mark_worker_dead(tmp_path / "missing", 1)
    worker(tmp_path, 1, {b"c1": (1.0,)}).close()
    (tmp_path / "retired.draft").mkdir()
    mark_worker_dead(tmp_path, 1)
    assert totals(tmp_path) == {b"c1": (1.0,)}


def test_unknown_worker_is_no_error(tmp_path: Path) -> None:
    mark_worker_dead(tmp_path, 12345)
    assert totals(tmp_path) == {}


def test_directory_is_emptied_and_ours_alone(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    prepare_metrics_directory(directory)
    assert directory.stat().st_mode & 0o777 == 0o700
    worker(directory, 1, {b"c1": (1.0,)}).close()
    prepare_metrics_directory(directory)
    assert list(directory.iterdir()) == []


def test_file_is_ours_alone_and_has_real_blocks(tmp_path: Path) -> None:
    """On a full disk a write into a hole of a mapped file would end the process."""
    file = open_metric_file(tmp_path)
    for number in range(1_000):
        file.add(b"c%d" % number, (1.0,) * 16)
    status = (tmp_path / f"worker-{os.getpid()}.metrics").stat()
    assert status.st_mode & 0o777 == 0o600
    if hasattr(os, "posix_fallocate"):
        assert status.st_blocks * 512 >= status.st_size
    file.close()
    assert len(totals(tmp_path)) == 1_000


def test_file_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        MetricFile(tmp_path / "missing" / "worker-1.metrics")


@given(st.dictionaries(KEYS, st.lists(st.floats(allow_nan=False), min_size=1, max_size=20).map(tuple), max_size=50))
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, values: dict[bytes, tuple[float, ...]]
) -> None:
    directory = tmp_path_factory.mktemp("files")
    file = MetricFile(directory / "worker-1.metrics")
    positions = {key: file.add(key, (0.0,) * len(numbers)) for key, numbers in values.items()}
    for key, numbers in values.items():
        file.set(positions[key], numbers)
    assert totals(directory) == values
    file.close()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"something else entirely", id="foreign"),
        pytest.param(b"apigwm01", id="header_cut"),
        pytest.param(b"apigwm01" + struct.pack("<Q", 1 << 40), id="claims_more_than_there_is"),
        pytest.param(b"apigwm01" + struct.pack("<QII", 24, 8, 1), id="record_cut"),
        pytest.param(b"apigwm01" + struct.pack("<QII", 24, 0xFFFFFFFF, 0xFFFFFFFF), id="record_of_absurd_size"),
    ],
)
def test_damaged_file_is_passed_over(tmp_path: Path, data: bytes) -> None:
    """A file that somebody damaged must not take `/metrics` away."""
    worker(tmp_path, 1, {b"c1": (1.0,)}).close()
    (tmp_path / "worker-2.metrics").write_bytes(data)
    assert totals(tmp_path) == {b"c1": (1.0,)}


def test_latest_exemplar_of_any_worker_is_shown_and_dies_with_the_last(tmp_path: Path) -> None:
    worker(tmp_path, 1, {b"e1": (1.0, 1.0, 1.0, 1.0, 0.5, 20.0)}).close()
    worker(tmp_path, 2, {b"e1": (2.0, 2.0, 2.0, 2.0, 0.7, 10.0)}).close()
    assert totals(tmp_path) == {b"e1": (1.0, 1.0, 1.0, 1.0, 0.5, 20.0)}
    mark_worker_dead(tmp_path, 1)
    mark_worker_dead(tmp_path, 2)
    assert totals(tmp_path) == {}
