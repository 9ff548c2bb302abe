"""A request body on its way in: buffered up to a limit, held back when nobody reads it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from math import inf
from typing import Final

from ..model.errors import GatewayError, Source
from ..model.status import Code
from ..waiting import Pending

HIGH_WATER_BYTES: Final = 64 * 1024
"""Bytes kept for a reader that has not asked for them; beyond that the client is held back."""


def body_too_large(limit_bytes: int) -> GatewayError:
    """Make the error for a body over its limit (413); the connection is closed, because the rest is not read."""
    return GatewayError(
        Code.OUT_OF_RANGE,
        f"the request body is larger than {limit_bytes} bytes",
        reason="BODY_TOO_LARGE",
        source=Source.CLIENT,
        http=413,
        metadata={"limit_bytes": str(limit_bytes)},
        close=True,
    )


class IncomingBody:
    """One body, fed by its connection and read by the request. Implements `model.message.Body`.

    The connection calls `feed`, `finish` and `fail` while it parses, and `wake` afterwards: a request never runs inside
    the parser. `on_demand` is called when the reader first asks for bytes that are still missing (the moment for
    `100 Continue`) and whenever it took some; `on_pressure` when more than the high-water mark waits for a reader.
    """

    __slots__ = (
        "_buffer",
        "_error",
        "_is_read_whole",
        "_limit_bytes",
        "_on_demand",
        "_on_pressure",
        "_reader",
        "deadline_s",
        "declared_bytes",
        "is_complete",
        "is_continue_awaited",
        "is_endless",
        "received_bytes",
    )

    def __init__(
        self,
        *,
        declared_bytes: int | None,
        is_continue_awaited: bool = False,
        on_demand: Callable[[], None],
        on_pressure: Callable[[], None],
    ) -> None:
        self.declared_bytes = declared_bytes
        """Content-Length, None when the body is chunked."""
        self.is_continue_awaited = is_continue_awaited
        """Whether the client may be waiting for `100 Continue`."""
        self.is_complete = False
        self.deadline_s = inf
        """When the request ends that waits for the whole body."""
        self.is_endless = False
        """Whether it may take as long as its reader lets it."""
        self.received_bytes = 0
        """Content received so far, kept or not."""
        self._on_demand = on_demand
        self._on_pressure = on_pressure
        # A body that came in one piece, as most do, is handed on as it is; pieces are collected in one bytearray, since
        # a list of them would take 28 times their size when they are two bytes each.
        self._buffer: bytes | bytearray = b""
        self._limit_bytes: int | None = None
        self._is_read_whole = False
        self._reader: Pending[None] | None = None
        self._error: GatewayError | None = None

    # For the connection

    def feed(self, data: bytes) -> None:
        """Take a part from the wire."""
        self.received_bytes += len(data)
        if self._error is not None:
            return
        if self._limit_bytes is not None and self.received_bytes > self._limit_bytes:
            self.fail(body_too_large(self._limit_bytes))
            return
        buffer = self._buffer
        if not buffer:
            self._buffer = data
        elif isinstance(buffer, bytearray):
            buffer += data
        else:
            self._buffer = bytearray(buffer)
            self._buffer += data
        if not self._is_read_whole and len(self._buffer) > HIGH_WATER_BYTES:
            self._on_pressure()

    def finish(self) -> None:
        """Take the end of the body."""
        self.is_complete = True

    def fail(self, error: GatewayError) -> None:
        """Give the reader an error instead of what it has not taken yet; what comes later is dropped.

        The first error counts.
        """
        if self._error is None:
            self._error = error
        self._buffer = b""

    def wake(self) -> None:
        """Let the reader go on if there is something for it."""
        reader = self._reader
        if reader is not None and (self.is_complete or self._error is not None or not self._is_read_whole):
            self._reader = None
            reader.resolve(None)

    # For the request

    def read(self, limit_bytes: int, deadline_s: float = inf) -> bytes | Awaitable[bytes]:
        """Return the whole body, or what can be awaited for it."""
        self._is_read_whole = True
        self.deadline_s = deadline_s
        self._want(limit_bytes)
        if self._error is not None:
            raise self._error
        if self.is_complete:
            return self._take_all()
        return self._read_rest()

    async def _read_rest(self) -> bytes:
        while not self.is_complete and self._error is None:
            await self._more()
        if self._error is not None:
            raise self._error
        return self._take_all()

    async def chunks(self, limit_bytes: int | None) -> AsyncGenerator[bytes, None]:
        """Iterate over the parts; bytes not yet asked for beyond the high-water mark hold the client back."""
        self.is_endless = limit_bytes is None
        self._want(limit_bytes)
        while True:
            if self._error is not None:
                raise self._error
            if self._buffer:
                part = self._take_all()
                if not self.is_complete:
                    self._on_demand()
                yield part
            elif self.is_complete:
                return
            else:
                await self._more()

    def _want(self, limit_bytes: int | None) -> None:
        self._limit_bytes = limit_bytes
        if limit_bytes is not None and max(self.declared_bytes or 0, self.received_bytes) > limit_bytes:
            self.fail(body_too_large(limit_bytes))
        elif not self.is_complete:
            self._on_demand()

    def _more(self) -> Pending[None]:
        self._reader = pending = Pending[None]()
        return pending

    def _take_all(self) -> bytes:
        taken = bytes(self._buffer)
        self._buffer = b""
        return taken
