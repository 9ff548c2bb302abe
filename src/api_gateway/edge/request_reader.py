"""The bytes of one HTTP/1.1 connection to requests (RFC 9112). Performs no I/O.

llhttp, in its strict mode, refuses ambiguous framing; what it leaves to its user is checked here: target form, Host,
version, sizes, counts, transfer encoding, Expect, Upgrade. After anything refused the connection must be closed: what
follows cannot be trusted. What is taken although it is unusual stands in `tests/security/test_http1_framing.py`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any, Final, NoReturn

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from ..model.errors import GatewayError
from ..model.message import Request
from . import refusals
from .application import EdgeLimits, nobody
from .body import IncomingBody
from .handshake import read_handshake

MAX_FRAMING_BYTES: Final = 64 * 1024
"""Chunk sizes, extensions and trailers that may come without content between them."""
FRAMING_ALLOWANCE: Final = 16
"""Bytes of framing that a byte of content makes up for; one in a chunk of its own needs five."""

_TARGET: Final = re.compile(rb"/[\x21-\x22\x24-\x7e]*")
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+;=%-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?")
_NO_HOST: Final = b"\0"
"""No Host header is equal to this."""
_NOTHING: Final[frozenset[bytes]] = frozenset()


Received = tuple[Request, IncomingBody | None, bool]
"""A request whose head has come, its body, which may still be arriving, and whether the client wants the connection to
go on after the answer."""


_NO_PARSER: Final = HttpRequestParser(object())
"""Stands in for the parser of a reader that was closed; it calls nobody back."""


class _NoMore:
    """Stands in for the parser behind a request for an upgrade: bytes before its answer are of no protocol."""

    def feed_data(self, data: bytes) -> None:
        raise HttpParserError("bytes behind a request for an upgrade")


_NO_MORE: Final = _NoMore()


class _RefusedError(Exception):
    """Leaves the parser's callbacks."""


class RequestReader:
    """Reads one connection's requests: `feed` it, then look at `requests`, `refusal`, `is_in_head` and `body`.

    `on_demand` and `on_pressure` are what bodies call, see `IncomingBody`. `clock` is monotonic. `close` when done.
    """

    __slots__ = (
        "_checked_host",
        "_clock",
        "_error",
        "_first_bytes",
        "_framing_bytes",
        "_head_bytes",
        "_headers",
        "_is_tls",
        "_limits",
        "_max_header_count",
        "_on_demand",
        "_on_pressure",
        "_parser",
        "_repeated",
        "_repetitions",
        "_segment_bytes",
        "_url",
        "body",
        "is_in_head",
        "peer",
        "refusal",
        "requests",
        "started_s",
    )

    def __init__(
        self,
        limits: EdgeLimits,
        *,
        clock: Callable[[], float],
        peer: str,
        is_tls: bool,
        on_demand: Callable[[], None],
        on_pressure: Callable[[], None],
    ) -> None:
        self.requests: deque[Received] = deque()
        """Requests that nobody has taken yet, in their order."""
        self.refusal: GatewayError | None = None
        """Why nothing more is read. To be answered after the requests that came before it."""
        self.is_in_head = False
        """Whether the last head is not complete."""
        self.body: IncomingBody | None = None
        """The body that is not complete."""
        self.started_s = 0.0
        """When the first byte of the last request came."""
        self._limits = limits
        self._max_header_count = limits.max_header_count
        self._clock = clock
        self.peer = peer
        self._is_tls = is_tls
        self._on_demand = on_demand
        self._on_pressure = on_pressure
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._repeated: set[bytes] = set()
        self._repetitions = 0
        self._segment_bytes = 0
        self._first_bytes = 0
        self._head_bytes = 0
        self._framing_bytes = 0
        self._checked_host = _NO_HOST
        self._error: GatewayError | None = None
        self._parser: Any = HttpRequestParser(self)

    @property
    def is_refused(self) -> bool:
        """Whether nothing more is read. Ask this, not for `refusal`: a compiler may believe that stays as it was."""
        return self.refusal is not None

    def due_s(self, reading_since_s: float) -> float:
        """Return when the head or body must be here: absolute, so that bytes which trickle in extend nothing.

        Time before `reading_since_s`, when the gateway held the client back, does not count.
        """
        limits = self._limits
        body = self.body
        timeout_s = limits.header_timeout_s
        deadline_s = inf
        if body is not None:
            if body.is_endless:
                return inf
            timeout_s += limits.body_timeout_s
            deadline_s = body.deadline_s
        return min(max(self.started_s, reading_since_s) + timeout_s, deadline_s)

    def feed(self, data: bytes) -> None:
        """Read on. What is wrong ends in `refusal`, after which nothing more may be fed."""
        size_bytes = self._segment_bytes = len(data)
        body = self.body
        received_bytes = 0
        if body is not None:
            received_bytes = body.received_bytes
        elif self.is_in_head:
            self._head_bytes += size_bytes
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._pass_over_upgrade(size_bytes - upgrade.args[0])
        except HttpParserError as error:
            if self._error is None and isinstance(error, HttpParserCallbackError):
                # A mistake of ours in one of the callbacks: the loop logs it and closes the connection.
                raise
            self.fail(self._error or refusals.invalid_http(str(error) or "it cannot be parsed"))
        if self.is_in_head or self.body is not None:
            if (self.is_in_head and self._is_head_too_long()) or len(self._headers) > self._max_header_count:
                self.fail(refusals.header_too_large(self._limits))
            elif body is not None and body is self.body and body.declared_bytes is None:
                self._count_framing(size_bytes, body.received_bytes - received_bytes)

    def fail(self, error: GatewayError) -> None:
        """Give up: nothing more is read, and the body that is arriving fails."""
        if self.refusal is None:
            self.refusal = error
        self.is_in_head = False
        self._headers = {}
        body, self.body = self.body, None
        if body is not None:
            body.fail(error)

    def close(self) -> None:
        """Let go of the parser and the connection, which hold on to us. Nothing may be fed after it."""
        self.requests.clear()
        self._on_demand = self._on_pressure = nobody
        self._parser = _NO_PARSER

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        """Start a head."""
        self.is_in_head = True
        self.started_s = self._clock()
        self._url = b""
        self._head_bytes = self._first_bytes = self._segment_bytes

    def on_url(self, url: bytes) -> None:
        """Take the target, or a part of it."""
        self._url = self._url + url if self._url else url
        if len(self._url) > self._limits.max_uri_bytes:
            self._refuse(refusals.uri_too_long(self._limits))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head, or of a trailer.

        New names are not counted here, which would be 5 % of the edge's work, but after each segment.
        """
        name = name.lower()
        # llhttp leaves the space behind a value. HTTP/2 forbids it, so that it would fail the call to the backend.
        value = value.rstrip(b" \t")
        headers = self._headers
        if name in headers:
            self._repetitions += 1
            self._check_count()
            self._repeated.add(name)
            headers[name] += (b"; " if name == b"cookie" else b", ") + value
        else:
            headers[name] = value

    def on_headers_complete(self) -> None:
        """Check the head and queue the request; its body may follow."""
        self.is_in_head = False
        limits = self._limits
        if len(self.requests) >= limits.max_pipelined:
            self._refuse(refusals.too_many_pipelined(limits))
        parser = self._parser
        headers = self._headers
        if len(headers) + self._repetitions > self._max_header_count:
            self._check_count()
        http_version = parser.get_http_version()
        if http_version != "1.1" and http_version != "1.0":
            self._refuse(refusals.version_not_supported())
        if self._head_bytes > limits.max_header_bytes:
            self._check_size(headers)
        if _TARGET.fullmatch(self._url) is None:
            self._refuse(refusals.invalid_target())
        host = headers.get(b"host")
        if host != self._checked_host:
            self._check_host(host, http_version)
        path, _, query = self._url.decode("ascii").partition("?")
        self.body = body = self._expected_body(headers, http_version)
        request = Request(
            method=parser.get_method().decode("ascii"),
            path=path,
            query=query,
            headers=headers,
            repeated=frozenset(self._repeated) if self._repeated else _NOTHING,
            body=body,
            peer=self.peer,
            started_s=self.started_s,
            http_version=http_version,
            is_tls=self._is_tls,
        )
        self.requests.append((request, body, parser.should_keep_alive()))
        self._headers = {}
        if self._repetitions:
            self._forget_repetitions()

    def on_body(self, data: bytes) -> None:
        """Take a part of the body."""
        if self.body is not None:
            self.body.feed(data)

    def on_message_complete(self) -> None:
        """Take the end of the request."""
        if self._headers:
            self._drop_trailer()
        body, self.body = self.body, None
        if body is not None:
            body.finish()

    # Checks

    def _refuse(self, error: GatewayError) -> NoReturn:
        self._error = error
        raise _RefusedError

    def _is_head_too_long(self) -> bool:
        # The first segment does not count: most of it may have been the request before.
        return self._head_bytes - self._first_bytes > self._limits.max_header_bytes + self._limits.max_uri_bytes

    def _check_count(self) -> None:
        if len(self._headers) + self._repetitions > self._max_header_count:
            self._refuse(refusals.header_too_large(self._limits))

    def _drop_trailer(self) -> None:
        """Forget a trailer. It is not merged (RFC 9110 section 6.5.1): the head was checked, this was not."""
        self._check_count()
        self._headers = {}
        self._forget_repetitions()

    def _forget_repetitions(self) -> None:
        self._repeated = set()
        self._repetitions = 0

    def _check_size(self, headers: dict[bytes, bytes]) -> None:
        if sum(map(len, headers)) + sum(map(len, headers.values())) > self._limits.max_header_bytes:
            self._refuse(refusals.header_too_large(self._limits))

    def _check_host(self, host: bytes | None, http_version: str) -> None:
        if host is None:
            if http_version != "1.0":
                self._refuse(refusals.invalid_host("is missing"))
            return
        # Two of them were joined by a comma, which no host name has.
        if _HOST.fullmatch(host) is None:
            self._refuse(refusals.invalid_host("is not one host name"))
        self._checked_host = host

    def _expected_body(self, headers: dict[bytes, bytes], http_version: str) -> IncomingBody | None:
        encoding = headers.get(b"transfer-encoding")
        length = headers.get(b"content-length")
        if encoding is None and (length is None or length == b"0"):
            return None
        if encoding is not None and (encoding.lower() != b"chunked" or http_version == "1.0"):
            self._refuse(refusals.unknown_transfer_encoding(encoding))
        self._framing_bytes = 0
        return IncomingBody(
            declared_bytes=int(length) if length is not None else None,
            is_continue_awaited=self._is_continue_awaited(headers.get(b"expect"), http_version),
            on_demand=self._on_demand,
            on_pressure=self._on_pressure,
        )

    def _is_continue_awaited(self, expectation: bytes | None, http_version: str) -> bool:
        if expectation is None or http_version == "1.0":
            # RFC 9110 section 10.1.1: an expectation in HTTP/1.0 is to be ignored.
            return False
        if expectation.lower() != b"100-continue":
            self._refuse(refusals.unknown_expectation())
        return True

    def _count_framing(self, size_bytes: int, content_bytes: int) -> None:
        framing_bytes = self._framing_bytes + size_bytes - content_bytes * (1 + FRAMING_ALLOWANCE)
        if framing_bytes > MAX_FRAMING_BYTES:
            self.fail(refusals.chunks_too_small())
        self._framing_bytes = max(0, framing_bytes)

    def _pass_over_upgrade(self, surplus_bytes: int) -> None:
        """Go on in HTTP/1.1, as a server may (RFC 9110 section 7.8), and close after the answer.

        Where bytes follow, nobody can tell which protocol they are: a body, or more in the same segment, is refused;
        and CONNECT, which is for tunnels.
        """
        received = self.requests.pop()
        request: Request = received[0]
        if received[1] is not None or surplus_bytes or request.method == "CONNECT":
            self.fail(refusals.upgrade_not_offered())
        else:
            request.handshake = read_handshake(request)
            self._parser = _NO_MORE
            self.requests.append((request, None, False))
