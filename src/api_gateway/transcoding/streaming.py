"""How a server stream becomes one HTTP answer: NDJSON, Server-Sent Events or a JSON array (semantics 23, 24)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..model.errors import GatewayError
from ..model.upstream import Answers

KEEP_ALIVE_S: Final = 15.0
"""Longest silence of an event stream; proxies on the way close connections that say nothing for longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """What stands around the JSON of each message. JSON texts are one line each."""

    content_type: bytes
    before_first: bytes = b""
    between: bytes = b""
    """Before each message but the first."""
    prefix: bytes = b""
    suffix: bytes = b""
    at_end: bytes = b""
    before_error: bytes | None = None
    """Before the JSON of an error that comes after the first message. None: the answer is cut, never ended cleanly."""
    keep_alive: bytes = b""
    """What fills a silence of `KEEP_ALIVE_S`; empty for nothing."""

    def message(self, json: bytes, *, is_first: bool) -> bytes:
        """Return one message, ready to be sent."""
        opening = self.before_first if is_first else self.between
        return b"%b%b%b%b" % (opening, self.prefix, json, self.suffix)

    def end(self, *, is_empty: bool) -> bytes:
        """Return what ends a stream that went well; `is_empty` when it had no message."""
        return self.before_first + self.at_end if is_empty else self.at_end

    def error(self, json: bytes) -> bytes | None:
        """Return the last part of a stream that failed, None when it must be cut."""
        if self.before_error is None:
            return None
        return b"%b%b%b" % (self.before_error, json, self.suffix)


NDJSON: Final = Framing(content_type=b"application/x-ndjson", suffix=b"\n", before_error=b"")
EVENT_STREAM: Final = Framing(
    content_type=b"text/event-stream",
    prefix=b"data: ",
    suffix=b"\n\n",
    before_error=b"event: error\ndata: ",
    keep_alive=b": keep-alive\n\n",
)
ARRAY: Final = Framing(content_type=b"application/json", before_first=b"[", between=b",", at_end=b"]")
RAW: Final = Framing(content_type=b"application/octet-stream")
"""Streams of `google.api.HttpBody`: their bytes one after the other, with the content type of the first."""

_BY_TYPE: Final = {
    b"text/event-stream": EVENT_STREAM,
    b"application/json": ARRAY,
    b"application/x-ndjson": NDJSON,
    b"application/ndjson": NDJSON,
    b"application/jsonl": NDJSON,
}
_MAX_ACCEPT_BYTES: Final = 1_024


class StreamedAnswer:
    """The parts of one streamed answer, one for each message. Iterate it to the end, or `aclose` it.

    `first` is the first message, None of an empty stream. `encode` returns a message's JSON, `explain` that of an
    error. `on_end` is called exactly once: with the error the stream ended with, and whether the client got all of it.
    """

    def __init__(
        self,
        stream: Answers,
        first: bytes | None,
        framing: Framing,
        *,
        encode: Callable[[bytes], bytes],
        explain: Callable[[GatewayError], bytes],
        on_end: Callable[[GatewayError | None, bool], None],
    ) -> None:
        self._stream = stream
        self._waiting = [first]
        self._framing = framing
        self._encode = encode
        self._explain = explain
        self._on_end = on_end
        self._count = 0
        self._is_over = False

    def __aiter__(self) -> StreamedAnswer:
        return self

    async def __anext__(self) -> bytes:
        if self._is_over:
            raise StopAsyncIteration
        try:
            message = self._waiting.pop() if self._waiting else await self._receive()
            if message is None:
                self._end(None)
                return self._framing.end(is_empty=self._count == 0)
            part = self._framing.message(self._encode(message), is_first=self._count == 0)
        except TimeoutError:
            return self._framing.keep_alive
        except GatewayError as error:
            return self._failed(error)
        self._count += 1
        return part

    async def _receive(self) -> bytes | None:
        return await self._stream.receive(KEEP_ALIVE_S if self._framing.keep_alive else None)

    def _failed(self, error: GatewayError) -> bytes:
        self._stream.cancel()
        self._end(error)
        part = self._framing.error(self._explain(error))
        if part is None:
            raise error
        return part

    async def aclose(self) -> None:
        """Give up what has not been sent, and the call behind it."""
        if not self._is_over:
            self._stream.cancel()
            self._is_over = True
            self._on_end(None, False)

    def _end(self, error: GatewayError | None) -> None:
        self._is_over = True
        self._on_end(error, True)


def choose_framing(accept: bytes) -> Framing:
    """Return the framing that an Accept header asks for: of those we know the one with the highest `q`, else NDJSON.

    Never raises: a malformed header asks for nothing in particular (RFC 9110 section 12.5.1).
    """
    best, best_quality = NDJSON, 0.0
    for element in accept[:_MAX_ACCEPT_BYTES].lower().split(b","):
        kind, *parameters = element.split(b";")
        framing = _BY_TYPE.get(kind.strip())
        if framing is not None and (quality := _quality(parameters)) > best_quality:
            best, best_quality = framing, quality
    return best


def _quality(parameters: list[bytes]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name.strip() == b"q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
