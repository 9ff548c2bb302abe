"""The way out to one client: back-pressure for streamed answers, and whether the client takes what is sent."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from fcntl import ioctl
from termios import TIOCOUTQ
from typing import Final

from ..waiting import Pending
from .response_writer import LAST_CHUNK, encode_chunk

MIN_WRITE_BYTES_PER_S: Final = 1_024
"""A client that reads its answer slower than this is cut off after the write timeout."""
STREAM_BUFFER_BYTES: Final = 16 * 1024
"""Parts of a stream up to this size may wait in the transport together and share writes; a larger one waits alone."""
_INT: Final = struct.Struct("i")
_NEVER_S: Final = float("inf")


class Output:
    """What is written to one transport. The connection passes on `pause_writing` and `resume_writing`."""

    __slots__ = ("_is_large", "_timeout_s", "_transport", "_unsent_bytes", "_waiting", "due_s", "is_paused")

    def __init__(self, transport: asyncio.Transport, timeout_s: float) -> None:
        self.is_paused = False
        """Whether nothing more should be written for now."""
        self.due_s = _NEVER_S
        """When `is_stalled` should be asked. Set by `pause` and `watch`."""
        self._transport = transport
        self._timeout_s = timeout_s
        self._unsent_bytes = 0
        self._waiting: Pending[None] | None = None
        self._is_large: bool | None = None
        """Whether the last part of a stream was, which is what the transport's limit is set for."""

    @property
    def is_empty(self) -> bool:
        """Whether the client has everything that was written."""
        return _unsent_bytes(self._transport) == 0

    def pause(self, now_s: float) -> None:
        """Hold back what produces, and watch the client."""
        self.is_paused = True
        self.watch(now_s)

    def resume(self) -> bool:
        """Let a streamed answer go on; return whether there is one."""
        self.is_paused = False
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return False
        waiting.resolve(None)
        return True

    async def drained(self) -> None:
        """Wait while the client does not read. One waiter at a time."""
        while self.is_paused:
            self._waiting = Pending()
            await self._waiting

    def watch(self, now_s: float) -> None:
        """Begin to measure how much the client takes."""
        self._unsent_bytes = _unsent_bytes(self._transport)
        self.due_s = now_s + self._timeout_s

    def is_stalled(self, now_s: float) -> bool:
        """Whether the client took too little since the last look. The next look is due in one timeout."""
        before_bytes = self._unsent_bytes
        self.watch(now_s)
        return before_bytes - self._unsent_bytes < MIN_WRITE_BYTES_PER_S * self._timeout_s

    def write_part(self, part: bytes, *, is_chunked: bool = False) -> None:
        """Write one part of a stream; `is_paused` tells whether to wait before the next one is made.

        The transport's own limit of 64 KiB would let a second large part be made while most of the first waits.
        """
        is_large = len(part) > STREAM_BUFFER_BYTES
        if is_large is not self._is_large:
            self._is_large = is_large
            self._transport.set_write_buffer_limits(high=0 if is_large else STREAM_BUFFER_BYTES)
        if not is_chunked:
            self._transport.write(part)
        elif is_large:
            # What waits is the part itself, which is held here too, and no copy of it.
            self._transport.writelines((b"%x\r\n" % len(part), part, b"\r\n"))
        else:
            self._transport.write(encode_chunk(part))

    async def write_parts(self, stream: AsyncIterator[bytes], *, is_chunked: bool) -> None:
        """Write a streamed answer part by part, each as soon as it is there, waiting while the client does not read.

        Raises what the stream raises. The stream is closed in any case, at a cancel too: behind it is a call to a
        backend.
        """
        try:
            async for part in stream:
                if part:
                    self.write_part(part, is_chunked=is_chunked)
                if self.is_paused:
                    self._waiting = Pending()
                    await self._waiting
            if is_chunked:
                self._transport.write(LAST_CHUNK)
        finally:
            await close_stream(stream)


def _unsent_bytes(transport: asyncio.Transport) -> int:
    """Return what the client has not acknowledged: what waits in the transport, and in the kernel where that tells.

    The kernel's part counts: it takes megabytes at once, and then nothing for as long as a slow client reads them.
    """
    waiting_bytes = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    if connection is None:
        return waiting_bytes
    try:
        (kernel_bytes,) = _INT.unpack(ioctl(connection.fileno(), TIOCOUTQ, bytes(_INT.size)))
    except (OSError, ValueError):
        return waiting_bytes
    return waiting_bytes + int(kernel_bytes)


async def close_stream(stream: AsyncIterator[bytes]) -> None:
    """Close a streamed answer that is not wanted, or no longer."""
    close = getattr(stream, "aclose", None)
    if close is not None:
        await close()
