"""What the kernel says about a process: resident memory and open sockets. Linux only."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_KIB: Final = 1024


def rss_bytes(pids: Iterable[int]) -> int:
    """Return the resident memory of processes together; those that have ended count nothing."""
    return sum(_rss_bytes(pid) for pid in pids)


def open_sockets(pids: Iterable[int]) -> int:
    """Return how many sockets processes hold together."""
    return sum(1 for pid in pids for target in _descriptors(pid) if target.startswith("socket:"))


def socket_addresses(pids: Iterable[int]) -> list[str]:
    """Return `local > remote state` of each TCP socket of processes, in the kernel's own notation, for reports."""
    inodes = {target for pid in pids for target in _descriptors(pid)}
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return [f"{each[1]} > {each[2]} state {each[3]}" for each in lines if f"socket:[{each[9]}]" in inodes]


def _rss_bytes(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * _KIB
    return 0


def _descriptors(pid: int) -> list[str]:
    found = []
    with suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.append(str(entry.readlink()))
    return found
