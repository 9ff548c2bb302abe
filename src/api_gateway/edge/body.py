"""A request body on its way in: buffered up to a limit, held back when nobody reads it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
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

    `on_demand` is called when the reader first asks (the moment for `100 Continue`) and whenever held-back bytes were taken;
    `on_pressure` when more than the high-water mark waits for a reader.
    """

    __slots__ = (
        "_buffered_bytes",
        "_chunks",
        "_error",
        "_is_read_whole",
        "_limit_bytes",
        "_on_demand",
        "_on_pressure",
        "_reader",
        "_received_bytes",
        "declared_bytes",
        "is_complete",
    )

    def __init__(
        self, *, declared_bytes: int | None, on_demand: Callable[[], None], on_pressure: Callable[[], None]
    ) -> None:
        self.declared_bytes = declared_bytes
        """Content-Length, None when the body is chunked."""
        self.is_complete = False
        self._on_demand = on_demand
        self._on_pressure = on_pressure
        self._chunks: deque[bytes] = deque()
        self._buffered_bytes = 0
        self._received_bytes = 0
        self._limit_bytes: int | None = None
        self._is_read_whole = False
        self._reader: Pending[None] | None = None
        self._error: GatewayError | None = None

    # For the connection

    @property
    def has_started(self) -> bool:
        """Whether any of it has come."""
        return self._received_bytes > 0

    def feed(self, data: bytes) -> None:
        """Take a part from the wire."""
        if self._error is not None:
            return
        self._received_bytes += len(data)
        if self._limit_bytes is not None and self._received_bytes > self._limit_bytes:
            self.fail(body_too_large(self._limit_bytes))
            return
        self._chunks.append(data)
        self._buffered_bytes += len(data)
        if not self._is_read_whole:
            if self._buffered_bytes > HIGH_WATER_BYTES:
                self._on_pressure()
            self._wake()

    def finish(self) -> None:
        """Take the end of the body."""
        self.is_complete = True
        self._wake()

    def fail(self, error: GatewayError) -> None:
        """Give the reader an error; what comes later is dropped."""
        self._error = error
        self._chunks.clear()
        self._buffered_bytes = 0
        self._wake()

    # For the request

    def read(self, limit_bytes: int) -> bytes | Awaitable[bytes]:
        """Return the whole body, or what can be awaited for it."""
        self._is_read_whole = True
        self._want(limit_bytes)
        if self._error is not None:
            raise self._error
        if self.is_complete:
            return self._take_all()
        return self._read_rest()

    async def _read_rest(self) -> bytes:
        while not self.is_complete and self._error is None:
            self._reader = Pending()
            await self._reader
        if self._error is not None:
            raise self._error
        return self._take_all()

    async def chunks(self, limit_bytes: int) -> AsyncIterator[bytes]:
        """Iterate over the parts; bytes not yet asked for beyond the high-water mark hold the client back."""
        self._want(limit_bytes)
        while True:
            if self._error is not None:
                raise self._error
            if self._chunks:
                chunk = self._chunks.popleft()
                self._buffered_bytes -= len(chunk)
                if self._buffered_bytes <= HIGH_WATER_BYTES:
                    self._on_demand()
                yield chunk
            elif self.is_complete:
                return
            else:
                self._reader = Pending()
                await self._reader

    def _want(self, limit_bytes: int) -> None:
        declared_bytes = self.declared_bytes or self._received_bytes
        if declared_bytes > limit_bytes:
            self.fail(body_too_large(limit_bytes))
            return
        self._limit_bytes = limit_bytes
        if not self.is_complete:
            self._on_demand()

    def _take_all(self) -> bytes:
        chunks = self._chunks
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._buffered_bytes = 0
        return body

    def _wake(self) -> None:
        if self._reader is not None:
            self._reader.resolve(None)
