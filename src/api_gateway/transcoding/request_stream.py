"""The body of a client stream as request messages, each as soon as it is whole (semantics 25). Performs no I/O."""

from __future__ import annotations

from typing import Final, Protocol

from ..model.errors import GatewayError
from .binding import Binding
from .content_type import format_of
from .json_stream import LineSplitter, Splitter, ValueSplitter

_LINES: Final = frozenset(
    (b"application/x-ndjson", b"application/ndjson", b"application/jsonl", b"application/x-jsonlines")
)


class RequestMessages(Protocol):
    """Turns the parts of one body into serialized messages."""

    def feed(self, data: bytes) -> list[bytes]:
        """Take a part of the body; return the messages it completes.

        Raises GatewayError: 400 for a broken message, with its number (from 1) and the offset at which it begins, 413
        for one over the limit. Messages that the same part completed before it are lost with it.
        """

    def finish(self) -> list[bytes]:
        """Take the end of the body; return the messages it completes. Raises as `feed` does."""


def read_messages(
    binding: Binding, variables: tuple[str, ...], query: str, content_type: bytes, *, limit_bytes: int
) -> RequestMessages:
    """Return the reader of one body. `limit_bytes` bounds each message; their number is not bounded.

    Raises GatewayError 415 for a body in another format than NDJSON and JSON, unless the route takes raw bytes.
    """
    first = _First(binding, variables, query)
    if binding.is_raw:
        return RawMessages(first, content_type)
    if not binding.takes_body:
        return NoMessages(first)
    if content_type.partition(b";")[0].strip().lower() in _LINES:
        return JsonMessages(first, LineSplitter(limit_bytes))
    # A form is what curl calls every body that nobody gave a type. It cannot be a stream, so it can only be JSON.
    format_of(content_type)
    return JsonMessages(first, ValueSplitter(limit_bytes))


class _First:
    """What the first message gets besides its body: path and query, as in Envoy and Google's own gateway."""

    __slots__ = ("_binding", "_query", "_variables", "count")

    def __init__(self, binding: Binding, variables: tuple[str, ...], query: str) -> None:
        self._binding = binding
        self._variables = variables
        self._query = query
        self.count = 0
        """Messages made."""

    def bind(self, body: bytes, content_type: bytes = b"") -> bytes:
        self.count += 1
        if self.count > 1:
            return self._binding.bind_next(body)
        return self._binding.bind(self._variables, self._query, body, content_type)


class JsonMessages:
    """One message for each JSON text. A body without any is a stream without messages."""

    __slots__ = ("_messages", "_splitter")

    def __init__(self, messages: _First, splitter: Splitter) -> None:
        self._messages = messages
        self._splitter = splitter

    def feed(self, data: bytes) -> list[bytes]:
        """See `RequestMessages.feed`."""
        try:
            texts = self._splitter.feed(data)
        except GatewayError as error:
            raise _located(error, self._splitter.count + 1, self._splitter.offset) from None
        return [self._bind(offset, text) for offset, text in texts]

    def finish(self) -> list[bytes]:
        """See `RequestMessages.finish`."""
        try:
            texts = self._splitter.finish()
        except GatewayError as error:
            raise _located(error, self._splitter.count + 1, self._splitter.offset) from None
        return [self._bind(offset, text) for offset, text in texts]

    def _bind(self, offset: int, text: bytes) -> bytes:
        try:
            return self._messages.bind(text)
        except GatewayError as error:
            raise _located(error, self._messages.count, offset) from None


class RawMessages:
    """`google.api.HttpBody`: each part as it arrives; the first message has the content type too, the others data only.

    There is always a first message: content type, path and query mean something without data.
    """

    __slots__ = ("_content_type", "_messages")

    def __init__(self, messages: _First, content_type: bytes) -> None:
        self._messages = messages
        self._content_type = content_type

    def feed(self, data: bytes) -> list[bytes]:
        """See `RequestMessages.feed`."""
        return [self._messages.bind(data, self._content_type)]

    def finish(self) -> list[bytes]:
        """See `RequestMessages.finish`."""
        return [] if self._messages.count else [self._messages.bind(b"", self._content_type)]


class NoMessages:
    """A rule without a body: path and query make the one message, and a body is refused."""

    __slots__ = ("_messages",)

    def __init__(self, messages: _First) -> None:
        self._messages = messages

    def feed(self, data: bytes) -> list[bytes]:
        """See `RequestMessages.feed`."""
        return [self._messages.bind(data)]

    def finish(self) -> list[bytes]:
        """See `RequestMessages.finish`."""
        return [self._messages.bind(b"")]


def _numbered(error: GatewayError, number: int) -> GatewayError:
    return _told(error, f"message {number}", {"message_number": str(number)})


def _located(error: GatewayError, number: int, offset: int) -> GatewayError:
    place = {"message_number": str(number), "offset": str(offset)}
    return _told(error, f"message {number} (at byte {offset})", place)


def _told(error: GatewayError, where: str, place: dict[str, str]) -> GatewayError:
    return GatewayError(
        error.code,
        f"{where}: {error.message}",
        reason=error.reason,
        source=error.source,
        http=error.http,
        metadata={**error.metadata, **place},
        close=error.close,
        log_reason=error.log_reason,
    )


class TextMessages:
    """Texts that come one by one, as over a WebSocket: `binding` makes the first message, and those that follow."""

    __slots__ = ("_messages", "takes_one", "takes_texts")

    def __init__(self, binding: Binding, variables: tuple[str, ...], query: str, *, takes_one: bool) -> None:
        self._messages = _First(binding, variables, query)
        self.takes_one = takes_one
        """Whether the first message is the only one."""
        self.takes_texts = binding.takes_body
        """Whether a text is needed at all; else path and query make the message, and `read` wants an empty text."""

    def read(self, text: bytes) -> bytes:
        """Return the message of one text. Raises GatewayError 400 with the number of the message."""
        try:
            return self._messages.bind(text)
        except GatewayError as error:
            raise _numbered(error, self._messages.count) from None
