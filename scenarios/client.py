"""HTTP/1.1 clients for many requests at once: strict about framing, and never repeating a request."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import deque
from typing import cast
from urllib.parse import urlencode

import httptools

from scenarios.oracle import Outcome, Question

BODY_LIMIT_S = 60.0
"""Longest wait for an answer. Nothing may take so long: whoever reaches it counts as lost."""


class ClientConnection(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    def __init__(self) -> None:
        self.is_reusable = False
        """Whether the last answer left the connection open."""
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[str] | None = None
        self._status = 0
        self._content_type = b""
        self._body = bytearray()

    @property
    def received_bytes(self) -> int:
        """Bytes of the present answer's body so far."""
        return len(self._body)

    def pause_reading(self) -> None:
        """Take nothing more from the socket."""
        assert self._transport is not None
        self._transport.pause_reading()

    async def ask(self, request: bytes) -> Outcome:
        """Send a request and return its whole answer, or why none came; the times are the caller's to fill in."""
        assert self._transport is not None
        self.is_reusable = False
        self._status, self._content_type = 0, b""
        self._body.clear()
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            async with asyncio.timeout(BODY_LIMIT_S):
                reason = await self._answer
        except TimeoutError:
            reason = f"no answer within {BODY_LIMIT_S:.0f} s"
            self.abort()
        finally:
            self._answer = None
        if reason:
            return Outcome(status=0, body=bytes(self._body), reason=reason)
        return Outcome(status=self._status, content_type=self._content_type, body=bytes(self._body))

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(f"not HTTP: {error}")
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_reusable = False
        self._end(f"connection ended: {exc!r}" if exc is not None else "connection ended")

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"content-type":
            self._content_type = value

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._status = self._parser.get_status_code()
        self.is_reusable = self._parser.should_keep_alive()
        self._end("")

    def _end(self, reason: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(reason)


class ClientPool:
    """As many connections to one port as there are requests at once. Close it when done."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: deque[ClientConnection] = deque()
        self._all: set[ClientConnection] = set()

    async def ask(self, request: bytes) -> Outcome:
        """Send a request on a connection that waits, or on a new one."""
        connection = self._waiting()
        if connection is None:
            try:
                connection = await connect(self._port)
            except OSError as error:
                return Outcome(status=0, reason=f"cannot connect: {error}")
            self._all.add(connection)
        outcome = await connection.ask(request)
        if connection.is_reusable:
            self._idle.append(connection)
        else:
            self._all.discard(connection)
        return outcome

    def _waiting(self) -> ClientConnection | None:
        """Return a connection that is open and idle."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_reusable:
                return connection
            self._all.discard(connection)
        return None

    def close(self) -> None:
        """Close every connection."""
        for connection in self._all:
            connection.abort()
        self._all.clear()
        self._idle.clear()


async def connect(port: int) -> ClientConnection:
    """Open a connection to a port of loopback."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(ClientConnection, "127.0.0.1", port, family=socket.AF_INET)
    return connection


def request_bytes(question: Question, prefix: str) -> bytes:
    """Return the whole HTTP request for a question to the echo service that is served under `/{prefix}/v1`."""
    fields = [b"host: gateway"]
    if question.timeout_header:
        fields.append(b"x-request-timeout: " + question.timeout_header)
    behaviour = {"responseSizeBytes": question.size_bytes, "sleepMs": question.sleep_ms}
    if question.is_idempotent:
        values = {"seed": question.seed, **{f"behaviour.{key}": value for key, value in behaviour.items()}}
        line = f"GET /{prefix}/v1/echo/{question.id}?{urlencode(values)} HTTP/1.1".encode()
        body = b""
    else:
        line = f"POST /{prefix}/v1/echo HTTP/1.1".encode()
        body = json.dumps({"id": question.id, "seed": question.seed, "behaviour": behaviour}).encode()
        fields += [b"content-type: application/json", b"content-length: %d" % len(body)]
    return b"\r\n".join([line, *fields, b"", body])
