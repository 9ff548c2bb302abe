"""Whose client goes away while nothing is read from it.

A loop that does not read a socket does not look at it either, so the end of a client that is held back would be seen
when a slow backend lets it go on. The kernel knows, and tells without a byte being read: EPOLLRDHUP. These sockets are
in an epoll of their own, which the loop sees as one more file that can become readable.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from contextlib import suppress


class HangUps:
    """The sockets that are watched. Costs two system calls for each time a client is held back, and nothing else.

    A FIN behind bytes that do not fit the kernel's receive buffer has not arrived, and cannot be seen by who does not
    read; a reset always is. Where there is no epoll, nothing is seen.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll: select.epoll | None = None
        self._watched: dict[int, Callable[[], None]] = {}

    def watch(self, descriptor: int, on_gone: Callable[[], None]) -> None:
        """Call `on_gone` once, in a turn of the loop, when the other end closes its side or resets."""
        if not hasattr(select, "epoll"):
            return
        if self._epoll is None:
            self._epoll = select.epoll()
            self._loop.add_reader(self._epoll.fileno(), self._tell)
        if descriptor in self._watched:
            # Of a socket that was closed a moment ago; its number is another's now.
            self._unregister(descriptor)
        self._epoll.register(descriptor, select.EPOLLRDHUP)
        self._watched[descriptor] = on_gone

    def forget(self, descriptor: int, on_gone: Callable[[], None]) -> None:
        """Stop watching. Nothing happens when it is not, or no longer, watched for this `on_gone`."""
        if self._watched.get(descriptor) == on_gone:
            self._unregister(descriptor)

    def close(self) -> None:
        """Forget all."""
        self._watched.clear()
        epoll, self._epoll = self._epoll, None
        if epoll is not None:
            self._loop.remove_reader(epoll.fileno())
            epoll.close()

    def _tell(self) -> None:
        if self._epoll is None:
            return
        for descriptor, _ in self._epoll.poll(0):
            on_gone = self._watched.get(descriptor)
            if on_gone is not None:
                self._unregister(descriptor)
                on_gone()

    def _unregister(self, descriptor: int) -> None:
        del self._watched[descriptor]
        if self._epoll is not None:
            with suppress(OSError):  # of a socket that is closed, which has taken it out
                self._epoll.unregister(descriptor)
