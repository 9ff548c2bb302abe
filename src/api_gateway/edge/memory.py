"""Memory that the process no longer needs, given back to the system."""

from __future__ import annotations

import ctypes
from collections.abc import Callable


def memory_trimmer() -> Callable[[], object]:
    """Return what gives the allocator's free pages back: 0.5 ms when there is little, at most a few.

    glibc keeps what buffers of a burst had used, 12 to 20 % of a worker after hundreds of lost connections or stalled
    streams. Where the C library has no `malloc_trim` (musl, macOS) the function does nothing.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return lambda: None
    trim.argtypes = [ctypes.c_size_t]
    trim.restype = ctypes.c_int
    return lambda: trim(0)
