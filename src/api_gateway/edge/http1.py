"""One HTTP/1.1 connection from a client: llhttp's events to requests, responses to bytes (RFC 9112).

llhttp, in its strict mode, refuses ambiguous framing; what it leaves to its user is checked here: target form, Host, sizes,
counts, Expect, Upgrade. After anything refused here the connection is closed: what follows cannot be trusted.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque

from time import time
from typing import Final, Protocol, cast
from wsgiref.handlers import format_date_time

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from ..deadlines import DeadlineWheel
from ..model.errors import GatewayError, Source, bad_request
from ..model.message import HeaderList, Request, Response
from ..model.status import REASON_PHRASE, Code
from ..waiting import Pending, Runner
from .application import Application, EdgeLimits
from .body import IncomingBody

LINGER_S: Final = 1.0
"""How long a closed connection still swallows what the client is sending, so that the answer is not lost to a reset."""
MAX_LINGER_BYTES: Final = 1024 * 1024
_NEVER_S: Final = float("inf")
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_TARGET: Final = re.compile(rb"/[\x21-\x22\x24-\x7e]*")
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")
_TOKEN_LISTS: Final = frozenset((b"cookie",))


class ConnectionSet(Protocol):
    """The server, as its connections see it."""

    limits: EdgeLimits
    wheel: DeadlineWheel
    application: Application
    is_draining: bool

    def opened(self, connection: Http1Connection) -> bool:
        """Take note of a connection; False when there are too many."""

    def closed(self, connection: Http1Connection) -> None:
        """Forget a connection."""


class _Refused(Exception):
    """Leaves the parser's callbacks."""


class Http1Connection(asyncio.Protocol):
    """One client connection. Requests are answered in their order, one at a time."""

    def __init__(self, server: ConnectionSet, loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._limits = server.limits
        self._loop = loop
        self._parser = HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._is_tls = False
        # The head being read
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._repeated: set[bytes] = set()
        self._header_count = 0
        self._head_bytes = 0
        self._is_in_head = False
        self._started_s = 0.0
        # The request being received, those that wait, the one being answered
        self._body: IncomingBody | None = None
        self._queue: deque[tuple[Request, bool]] = deque()
        self._runner: Runner | None = None
        self._request: Request | None = None
        self._keep_alive = True
        self._refusal: GatewayError | None = None
        self._is_advancing = False
        self._is_reading_paused = False
        self._is_write_paused = False
        self._writable: Pending[None] | None = None
        self._is_closing = False
        self._lingered_bytes = 0
        self._deadline_s = _NEVER_S
        self._armed_s = _NEVER_S

    # Callbacks of the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start waiting for a request."""
        self._transport = cast(asyncio.Transport, transport)
        self._is_tls = transport.get_extra_info("ssl_object") is not None
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if isinstance(peer, tuple) else "127.0.0.1"
        if not self._server.opened(self):
            self._is_closing = True
            self._transport.abort()
            return
        self._set_deadline(self._loop.time() + self._limits.header_timeout_s)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, then go on with what it found."""
        if self._is_closing:
            self._linger(len(data))
            return
        if self._is_in_head or (self._body is None and not self._queue and self._runner is None):
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._upgrade_refused(len(data) - upgrade.args[0])
        except HttpParserError as error:
            self._broken(self._refusal or _parse_error(error))
        if self._is_in_head and self._head_bytes > self._limits.max_header_bytes + self._limits.max_uri_bytes:
            self._broken(_head_too_large(self._limits))
        if self._runner is None:
            self._advance()
        self._watch_input()

    def eof_received(self) -> bool:
        """Take a client that closes its side as gone: what it waits for is cancelled."""
        self._abandon()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel what is being answered."""
        self._is_closing = True
        self._deadline_s = _NEVER_S
        self._server.closed(self)
        self._abandon()
        if self._writable is not None:
            self._writable.resolve(None)

    def pause_writing(self) -> None:
        """The client reads too slowly: stop producing."""
        self._is_write_paused = True
        if self._runner is None:
            self._set_deadline(self._loop.time() + self._limits.write_timeout_s)

    def resume_writing(self) -> None:
        """Go on."""
        self._is_write_paused = False
        if self._writable is not None:
            self._writable.resolve(None)
        elif self._runner is None:
            self._advance()
            if self._runner is None:
                self._wait_for_request()

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        """Start a head."""
        self._is_in_head = True
        self._url = b""
        self._headers = {}
        self._repeated = set()
        self._header_count = 0
        self._started_s = self._loop.time()

    def on_url(self, url: bytes) -> None:
        """Take the target, or a part of it."""
        self._url = self._url + url if self._url else url
        if len(self._url) > self._limits.max_uri_bytes:
            self._refuse(_uri_too_long(self._limits))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field."""
        name = name.lower()
        headers = self._headers
        self._header_count += 1
        if self._header_count > self._limits.max_header_count:
            self._refuse(_head_too_large(self._limits))
        if name in headers:
            self._repeated.add(name)
            headers[name] += (b"; " if name in _TOKEN_LISTS else b", ") + value
        else:
            headers[name] = value

    def on_headers_complete(self) -> None:
        """Check the head and queue the request; its body may follow."""
        self._is_in_head = False
        parser = self._parser
        headers = self._headers
        http_version = parser.get_http_version()
        self._check_head(http_version)
        path, _, query = self._url.decode("ascii").partition("?")
        self._body = self._expected_body(headers, http_version)
        request = Request(
            method=parser.get_method().decode("ascii"),
            path=path,
            query=query,
            headers=headers,
            repeated=frozenset(self._repeated) if self._repeated else _NOTHING,
            body=self._body,
            peer=self._peer,
            started_s=self._started_s,
            http_version=http_version,
            is_tls=self._is_tls,
        )
        self._head_bytes = 0
        self._queue.append((request, parser.should_keep_alive()))
        if len(self._queue) > self._limits.max_pipelined:
            self._refuse(bad_request("too many pipelined requests", "TOO_MANY_PIPELINED_REQUESTS", close=True))

    def on_body(self, data: bytes) -> None:
        """Take a part of the body."""
        if self._body is not None:
            self._body.feed(data)

    def on_message_complete(self) -> None:
        """Take the end of the request."""
        if self._body is not None:
            self._body.finish()
            self._body = None

    # Heads

    def _refuse(self, error: GatewayError) -> None:
        self._refusal = error
        raise _Refused

    def _check_head(self, http_version: str) -> None:
        headers = self._headers
        if self._head_bytes > self._limits.max_header_bytes:
            size_bytes = sum(len(name) + len(value) for name, value in headers.items())
            if size_bytes > self._limits.max_header_bytes:
                self._refuse(_head_too_large(self._limits))
        if _TARGET.fullmatch(self._url) is None:
            self._refuse(bad_request("the request target must be a path", "INVALID_TARGET", close=True))
        host = headers.get(b"host")
        if host is None:
            if http_version != "1.0":
                self._refuse(bad_request("the Host header is missing", "INVALID_HOST", close=True))
        elif b"host" in self._repeated or _HOST.fullmatch(host) is None:
            self._refuse(bad_request("the Host header is not one host name", "INVALID_HOST", close=True))
        if http_version not in ("1.1", "1.0"):
            self._refuse(_version_not_supported())

    def _expected_body(self, headers: dict[bytes, bytes], http_version: str) -> IncomingBody | None:
        encoding = headers.get(b"transfer-encoding")
        length = headers.get(b"content-length")
        if encoding is None and (length is None or length == b"0"):
            return None
        if encoding is not None and (encoding.lower() != b"chunked" or http_version == "1.0"):
            self._refuse(
                GatewayError(
                    Code.UNIMPLEMENTED,
                    "the only transfer encoding understood is chunked, in HTTP/1.1",
                    reason="INVALID_TRANSFER_ENCODING",
                    source=Source.CLIENT,
                    http=400 if b"chunked" in encoding.lower() else 501,
                    close=True,
                )
            )
        expectation = headers.get(b"expect")
        if expectation is not None and expectation.lower() != b"100-continue":
            self._refuse(
                GatewayError(
                    Code.INVALID_ARGUMENT,
                    "the only expectation understood is 100-continue",
                    reason="EXPECTATION_FAILED",
                    source=Source.CLIENT,
                    http=417,
                    close=True,
                )
            )
        return IncomingBody(
            declared_bytes=int(length) if length is not None else None,
            on_demand=self._send_continue if expectation is not None else self._resume_reading,
            on_pressure=self._pause_reading,
        )

    def _send_continue(self) -> None:
        self._resume_reading()
        request = self._request
        if request is not None and b"expect" in request.headers and self._transport is not None:
            # Once, and only while nothing of the body has come: a client that did not wait gets none (RFC 9110 10.1.1).
            del request.headers[b"expect"]
            if isinstance(request.body, IncomingBody) and not request.body.has_started:
                self._transport.write(_CONTINUE)

    def _upgrade_refused(self, surplus_bytes: int) -> None:
        """Go on in HTTP/1.1, as a server may (RFC 9110 section 7.8); CONNECT and upgrades with a body are refused."""
        if not self._queue:
            self._broken(bad_request("CONNECT is not offered", "INVALID_TARGET", close=True))
            return
        request, _ = self._queue[-1]
        if request.method == "CONNECT" or request.body is not None or surplus_bytes:
            self._queue.pop()
            self._broken(bad_request("an upgrade of the protocol is not offered", "UPGRADE_NOT_OFFERED", close=True))
        else:
            self._queue[-1] = (request, False)

    # Answering

    def _advance(self) -> None:
        if self._is_advancing:
            return
        self._is_advancing = True
        while self._queue and self._runner is None and not self._is_closing and not self._is_write_paused:
            self._request, self._keep_alive = self._queue.popleft()
            self._deadline_s = _NEVER_S
            self._runner = runner = Runner(self._server.application.handle(self._request), self._answered)
            runner.start()
        self._is_advancing = False
        if self._refusal is not None and self._runner is None and not self._queue and not self._is_closing:
            self._write(self._server.application.refuse(self._refusal, peer=self._peer), None, keep_alive=False)
            self._close()

    def _answered(self, response: Response | None, error: BaseException | None) -> None:
        self._runner = None
        request, self._request = self._request, None
        if self._is_closing or self._transport is None:
            return
        if response is None:
            # Only a cancelled request has no response, and then nobody reads one.
            self._transport.abort()
            return
        is_body_left = request is not None and request.body is not None and not _is_received(request)
        keep_alive = (
            self._keep_alive
            and not response.close
            and not is_body_left
            and not self._server.is_draining
        )
        if response.stream is not None:
            self._runner = Runner(
                self._write_stream(response, request, keep_alive), lambda value, error: self._streamed(keep_alive, error)
            )
            self._runner.start()
            return
        self._write(response, request, keep_alive=keep_alive)
        self._go_on(keep_alive)

    def _go_on(self, keep_alive: bool) -> None:
        if not keep_alive:
            self._close()
            return
        self._resume_reading()
        self._advance()
        if self._runner is None and not self._is_closing:
            self._wait_for_request()

    def _write(self, response: Response, request: Request | None, *, keep_alive: bool) -> None:
        body = response.body
        status = response.status
        parts = [_status_line(status)]
        for name, value in response.headers:
            parts.append(b"%b: %b\r\n" % (name, value))
        has_no_body = status in (204, 304)
        if has_no_body:
            body = b""
        else:
            parts.append(b"content-length: %d\r\n" % len(body))
        parts.append(_date_line())
        if not keep_alive:
            parts.append(b"connection: close\r\n")
        elif request is not None and request.http_version == "1.0":
            parts.append(b"connection: keep-alive\r\n")
        parts.append(b"\r\n")
        if request is None or request.method != "HEAD":
            parts.append(body)
        assert self._transport is not None
        self._transport.write(b"".join(parts))

    async def _write_stream(self, response: Response, request: Request | None, keep_alive: bool) -> None:
        assert self._transport is not None
        assert response.stream is not None
        is_chunked = request is not None and request.http_version != "1.0"
        head = [_status_line(response.status)]
        head.extend(b"%b: %b\r\n" % header for header in response.headers)
        head.append(_date_line())
        head.append(b"transfer-encoding: chunked\r\n" if is_chunked else b"")
        head.append(b"\r\n" if keep_alive and is_chunked else b"connection: close\r\n\r\n")
        self._transport.write(b"".join(head))
        async for part in response.stream:
            if part:
                self._transport.write(b"%x\r\n%b\r\n" % (len(part), part) if is_chunked else part)
            if self._is_write_paused:
                self._writable = Pending()
                await self._writable
                self._writable = None
        if is_chunked:
            self._transport.write(b"0\r\n\r\n")

    def _streamed(self, keep_alive: bool, error: BaseException | None) -> None:
        self._runner = None
        if self._is_closing or self._transport is None:
            return
        if error is not None:
            # The end is missing on purpose: a cut answer must not look like a whole one (semantics 24).
            self._transport.abort()
            return
        self._go_on(keep_alive)

    # Input

    def _broken(self, error: GatewayError) -> None:
        """Answer what was understood before, then the error, then close."""
        if self._refusal is None:
            self._refusal = error
        if self._body is not None:
            self._body.fail(error)
            self._body = None
        self._is_in_head = False
        self._pause_reading()

    def _watch_input(self) -> None:
        """Set the deadline that holds now. Heads and bodies have absolute ones: bytes that trickle in do not extend them."""
        if self._is_closing or self._refusal is not None:
            return
        if self._is_in_head:
            self._set_deadline(self._started_s + self._limits.header_timeout_s)
        elif self._body is not None:
            self._set_deadline(self._started_s + self._limits.header_timeout_s + self._limits.body_timeout_s)

    def _wait_for_request(self) -> None:
        if self._server.is_draining:
            self._set_deadline(self._loop.time() + LINGER_S)
        elif not self._is_in_head and not self._is_write_paused:
            self._deadline_s = self._loop.time() + self._limits.idle_timeout_s
            if self._deadline_s < self._armed_s:
                self._arm()

    def _pause_reading(self) -> None:
        if not self._is_reading_paused and self._transport is not None and not self._is_closing:
            self._is_reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._is_reading_paused and self._refusal is None and self._transport is not None and not self._is_closing:
            self._is_reading_paused = False
            self._transport.resume_reading()

    def _abandon(self) -> None:
        runner, self._runner = self._runner, None
        self._queue.clear()
        if runner is not None:
            runner.cancel()

    # Deadlines

    def _set_deadline(self, deadline_s: float) -> None:
        self._deadline_s = deadline_s
        if deadline_s < self._armed_s:
            self._arm()

    def _arm(self) -> None:
        self._armed_s = self._deadline_s
        self._server.wheel.add(self._deadline_s, self)

    def expire(self, now_s: float) -> None:
        """Close what took too long. A deadline that has moved since it was armed is armed again."""
        self._armed_s = _NEVER_S
        if now_s < self._deadline_s:
            if self._deadline_s != _NEVER_S:
                self._arm()
            return
        self._deadline_s = _NEVER_S
        if self._is_closing or self._transport is None:
            if self._transport is not None:
                self._transport.abort()
        elif self._is_in_head or self._body is not None:
            self._broken(_request_timeout())
            self._advance()
        elif self._is_write_paused:
            self._transport.abort()
        elif self._runner is None:
            self._is_closing = True
            self._transport.close()

    # The end

    def drain(self) -> None:
        """Close after the request that is being answered; a quiet connection closes a moment later.

        The moment is for a request that is already on its way: it is answered with `connection: close`.
        """
        if self._runner is None and not self._queue and not self._is_in_head and not self._is_closing:
            self._set_deadline(self._loop.time() + LINGER_S)

    def abort(self) -> None:
        """Close at once, whatever is going on."""
        if self._transport is not None:
            self._transport.abort()

    def _close(self) -> None:
        """Close after an answer. The other direction is read for a moment: a reset would destroy the answer on its way."""
        if self._is_closing or self._transport is None:
            return
        if self._body is None and self._refusal is None:
            self._is_closing = True
            self._transport.close()
            return
        self._is_reading_paused = False
        self._is_closing = True
        self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._set_deadline(self._loop.time() + LINGER_S)

    def _linger(self, size_bytes: int) -> None:
        self._lingered_bytes += size_bytes
        if self._lingered_bytes > MAX_LINGER_BYTES and self._transport is not None:
            self._transport.abort()


_NOTHING: Final[frozenset[bytes]] = frozenset()
_status_lines: dict[int, bytes] = {}
_date: tuple[int, bytes] = (0, b"")


def _status_line(status: int) -> bytes:
    line = _status_lines.get(status)
    if line is None:
        reason = REASON_PHRASE.get(status, "")
        # At most one entry for each three-digit number.
        line = _status_lines[status] = b"HTTP/1.1 %d %b\r\n" % (status, reason.encode())
    return line


def _date_line() -> bytes:
    global _date
    now = int(time())
    if _date[0] != now:
        _date = (now, b"date: %b\r\n" % format_date_time(now).encode())
    return _date[1]


def _is_received(request: Request) -> bool:
    return isinstance(request.body, IncomingBody) and request.body.is_complete


def _parse_error(error: Exception) -> GatewayError:
    text = str(error) or "it cannot be parsed"
    return bad_request(f"this is not a valid HTTP/1.1 request: {text}", "INVALID_HTTP", close=True)


def _uri_too_long(limits: EdgeLimits) -> GatewayError:
    return GatewayError(
        Code.INVALID_ARGUMENT,
        f"the request target is longer than {limits.max_uri_bytes} bytes",
        reason="URI_TOO_LONG",
        source=Source.CLIENT,
        http=414,
        close=True,
    )


def _head_too_large(limits: EdgeLimits) -> GatewayError:
    return GatewayError(
        Code.INVALID_ARGUMENT,
        f"the header is larger than {limits.max_header_bytes} bytes or has more than {limits.max_header_count} fields",
        reason="HEADER_TOO_LARGE",
        source=Source.CLIENT,
        http=431,
        close=True,
    )


def _version_not_supported() -> GatewayError:
    return GatewayError(
        Code.UNIMPLEMENTED,
        "the only versions spoken here are HTTP/1.1 and HTTP/1.0",
        reason="HTTP_VERSION_NOT_SUPPORTED",
        source=Source.CLIENT,
        http=505,
        close=True,
    )


def _request_timeout() -> GatewayError:
    return GatewayError(
        Code.DEADLINE_EXCEEDED,
        "the request did not arrive in time",
        reason="REQUEST_TIMEOUT",
        source=Source.CLIENT,
        http=408,
        close=True,
    )
