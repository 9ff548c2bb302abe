"""What this process takes of the machine: processor time and memory."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def cpu_s() -> float:
    """Return the processor time of all its threads so far, in the kernel and outside, in seconds."""
    return time.process_time()


def resident_bytes() -> int:
    """Return the memory it holds, 0 where the system has no /proc (macOS)."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0
