"""Standard streams that whoever started us has closed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_STDOUT = 1
_STDERR = 2


def occupy_closed_streams() -> None:
    """Put something in the place of closed standard streams, before anything else gets their numbers.

    Else the next file or socket would be number 1, and log lines would go there. What takes standard output's place
    refuses to be written to, so that lines count as lost; standard error's swallows everything.
    """
    for fd in (0, _STDOUT, _STDERR):
        try:
            os.fstat(fd)
        except OSError:
            # The system gives the lowest free number, and those below are taken.
            os.open(os.devnull, os.O_WRONLY if fd == _STDERR else os.O_RDONLY)
            os.set_inheritable(fd, True)
    # Python sets these to None, which libraries do not expect.
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - stays open as long as the process
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - stays open as long as the process
