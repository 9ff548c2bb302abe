"""Memory given back to the system."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

import pytest

from api_gateway.edge.memory import memory_trimmer


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and only glibc trims")
def test_freed_buffers_leave_the_process() -> None:
    """Reliability 4.1: memory is back within 10 % after a burst, though blocks in use lie between the freed ones."""
    trim = memory_trimmer()
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    blocks = []
    for _ in range(2_000):
        block = libc.malloc(60_000)
        ctypes.memset(block, 1, 60_000)
        blocks.append(block)
    full_bytes = _resident_bytes()
    for block in blocks[1::2]:
        libc.free(block)
    trim()
    left_bytes = _resident_bytes()
    for block in blocks[::2]:
        libc.free(block)
    assert full_bytes - left_bytes > 40_000_000


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """One without `malloc_trim`, and none that can be opened."""

    def no_library(name: str | None) -> Any:
        raise OSError

    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    memory_trimmer()()
    monkeypatch.setattr(ctypes, "CDLL", no_library)
    memory_trimmer()()


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
