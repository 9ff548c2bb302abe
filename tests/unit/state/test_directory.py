"""The runtime directory: private, removed at the end, and swept when its owner was killed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from api_gateway.state.directory import RuntimeDirectory, remove_abandoned


def test_is_private_and_fresh(tmp_path: Path) -> None:
    first, second = RuntimeDirectory.create(tmp_path), RuntimeDirectory.create(tmp_path)
    try:
        assert first.path != second.path
        assert stat.S_IMODE(first.path.stat().st_mode) == 0o700
    finally:
        first.remove()
        second.remove()


def test_remove_deletes_everything_and_may_be_repeated(tmp_path: Path) -> None:
    directory = RuntimeDirectory.create(tmp_path)
    (directory.path / "inside").mkdir()
    directory.remove()
    directory.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings(r"ignore:This process \(pid=.*multi-threaded:DeprecationWarning")
def test_a_forked_child_cannot_remove_it(tmp_path: Path) -> None:
    directory = RuntimeDirectory.create(tmp_path)
    child = os.fork()
    if child == 0:
        directory.remove()
        os._exit(0)
    os.waitpid(child, 0)
    assert directory.path.exists()
    directory.remove()


@pytest.mark.filterwarnings(r"ignore:This process \(pid=.*multi-threaded:DeprecationWarning")
def test_abandoned_ones_are_swept_and_those_in_use_are_not(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, str(RuntimeDirectory.create(tmp_path).path).encode())
        os._exit(0)  # the kernel drops the lock, as after a SIGKILL
    abandoned = Path(os.read(reader, 4096).decode())
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)
    in_use = RuntimeDirectory.create(tmp_path)
    try:
        assert not abandoned.exists()
        remove_abandoned(tmp_path)
        assert in_use.path.exists()
    finally:
        in_use.remove()


@pytest.mark.parametrize("name", ["api-gateway-run-checkout", "api-gateway-source", "other"])
def test_directories_of_others_are_left_alone(tmp_path: Path, name: str) -> None:
    """A name alone is no proof: only what carries the marker is deleted."""
    other = tmp_path / name
    other.mkdir()
    (other / "precious").touch()
    remove_abandoned(tmp_path)
    assert (other / "precious").exists()


def test_links_and_files_are_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / ".runtime-directory").touch()
    (tmp_path / "api-gateway-run-link").symlink_to(target)
    (tmp_path / "api-gateway-run-file").touch()
    remove_abandoned(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "api-gateway-run-file",
        "api-gateway-run-link",
        "target",
    ]
