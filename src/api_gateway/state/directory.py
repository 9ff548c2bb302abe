"""The runtime directory of one gateway: made by the parent before it forks, removed when it ends.

The directory carries an flock that the workers inherit: it is held as long as any process of the family lives, even if
the parent was killed. So the next gateway can tell an abandoned directory from one in use, and systemd-tmpfiles leaves
it alone.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Self

_PREFIX = "api-gateway-run-"
_MARKER = ".runtime-directory"
"""Only directories with this file in them are ever swept: a name alone does not prove that we made it."""


class RuntimeDirectory:
    """A private directory (mode 0700) for files that live exactly as long as the gateway."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path = path
        self._lock_fd = lock_fd
        self._owner_pid = os.getpid()

    @classmethod
    def create(cls, parent: Path | None = None) -> Self:
        """Make a fresh one under `parent` (default: the system's directory for temporary files).

        Directories that gateways of the same user abandoned there are removed. Raises OSError.
        """
        parent = parent or Path(tempfile.gettempdir())
        remove_abandoned(parent)
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(lock_fd, fcntl.LOCK_EX)
        # Marked only now that it is locked, so that another gateway's sweep cannot take it in between.
        (path / _MARKER).touch(mode=0o600)
        return cls(path, lock_fd)

    def remove(self) -> None:
        """Delete it with everything in it. Does nothing in a forked child: the directory belongs to the parent."""
        if os.getpid() == self._owner_pid and self._lock_fd >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock_fd)
            self._lock_fd = -1


def remove_abandoned(parent: Path) -> None:
    """Delete the runtime directories under `parent` that are ours and whose processes are all gone."""
    for path in parent.glob(f"{_PREFIX}*"):
        try:
            if path.is_symlink() or path.stat().st_uid != os.geteuid() or not (path / _MARKER).is_file():
                continue
            lock_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue
        finally:
            os.close(lock_fd)
