"""HTTP/1.1 from the client's side, byte by byte: nothing is added, repaired or hidden as a client library would."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

TIMEOUT_S = 30.0
"""Long enough for a busy machine; a test that is about time names its own."""

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) ([ -~]*)")
_FIELD = re.compile(rb"([a-z0-9!#$%&'*+.^_`|~-]+): ?([\x20-\x7e\x80-\xff\t]*)")
_CHUNK_SIZE = re.compile(rb"[0-9a-f]{1,8}")


class MalformedAnswerError(Exception):
    """The server's bytes are not HTTP/1.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One response, as it was on the wire."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    is_whole: bool = True
    """False when its end is the end of the connection, and nothing tells whether it is complete."""

    def header(self, name: bytes) -> bytes | None:
        """Return the value of a header that comes at most once."""
        values = [value for each, value in self.headers if each == name]
        assert len(values) <= 1, f"{name!r} came {len(values)} times"
        return values[0] if values else None

    @property
    def is_last(self) -> bool:
        """Whether the server says that it closes the connection."""
        return self.header(b"connection") == b"close"

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        """Return the reason of an error that the gateway made."""
        details = self.json()["error"]["details"]
        return str(details[0]["reason"])


def parse_answer(data: bytes, *, is_head: bool = False, is_ended: bool = False) -> tuple[Answer, bytes] | None:
    """Return the first answer in `data` and what follows it; None when it is not complete.

    `is_head`: it answers a HEAD request. `is_ended`: nothing more will come. Raises MalformedAnswerError.
    """
    head, separator, rest = data.partition(b"\r\n\r\n")
    if not separator:
        return None
    status, headers = _parse_head(head)
    fields = dict(headers)
    length, encoding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
    if length is not None and encoding is not None:
        raise MalformedAnswerError("both content-length and transfer-encoding")
    if is_head or status in (204, 304) or status < 200:
        if status in (204, 304) and not is_head and (length or encoding):
            raise MalformedAnswerError(f"a {status} with a body")
        return Answer(status=status, headers=headers, body=b""), rest
    if encoding is not None:
        parsed = _parse_chunks(rest)
        return None if parsed is None else (Answer(status=status, headers=headers, body=parsed[0]), parsed[1])
    if length is not None:
        size = int(length)
        if len(rest) < size:
            return None
        return Answer(status=status, headers=headers, body=rest[:size]), rest[size:]
    if not is_ended:
        return None
    return Answer(status=status, headers=headers, body=rest, is_whole=False), b""


def parse_answers(data: bytes) -> list[Answer]:
    """Return all answers in `data`, which must end with the last of them. None may be to a HEAD request."""
    answers = []
    while data:
        parsed = parse_answer(data)
        if parsed is None:
            raise MalformedAnswerError(f"incomplete: {data[:200]!r}")
        answers.append(parsed[0])
        data = parsed[1]
    return answers


def _parse_head(head: bytes) -> tuple[int, tuple[tuple[bytes, bytes], ...]]:
    status_line, *lines = head.split(b"\r\n")
    match = _STATUS_LINE.fullmatch(status_line)
    if match is None:
        raise MalformedAnswerError(f"status line {status_line!r}")
    headers = []
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise MalformedAnswerError(f"field {line!r}")
        headers.append((field[1], field[2]))
    return int(match[1]), tuple(headers)


def _parse_chunks(data: bytes) -> tuple[bytes, bytes] | None:
    body = b""
    while True:
        line, separator, data = data.partition(b"\r\n")
        if not separator:
            return None
        if _CHUNK_SIZE.fullmatch(line) is None:
            raise MalformedAnswerError(f"chunk size {line!r}")
        size = int(line, 16)
        if len(data) < size + 2:
            return None
        if data[size : size + 2] != b"\r\n":
            raise MalformedAnswerError("a chunk without its end")
        body += data[:size]
        data = data[size + 2 :]
        if size == 0:
            return body, data


class RawClient:
    """One connection to a server, as an asynchronous context manager. Every wait ends after `TIMEOUT_S`."""

    def __init__(self, address: tuple[str, int], *, receive_buffer_bytes: int | None = None, source: str = "") -> None:
        self._socket = socket.socket()
        if receive_buffer_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if source:
            self._socket.bind((source, 0))
        self._socket.setblocking(False)
        self._address = address
        self._received = b""
        self.is_ended = False
        """Whether the server has closed its direction."""

    @property
    def port(self) -> int:
        """Our port."""
        return int(self._socket.getsockname()[1])

    async def __aenter__(self) -> Self:
        await asyncio.get_running_loop().sock_connect(self._socket, self._address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def connect_and_send(self, data: bytes) -> None:
        """Connect and send a little before the loop takes a turn: a server in this loop finds both at once.

        For servers that give their clients hardly any time, however long this process is held up. Call `close` then.
        """
        self._socket.setblocking(True)
        self._socket.connect(self._address)
        self._socket.sendall(data)
        self._socket.setblocking(False)

    async def send(self, *segments: bytes) -> None:
        """Send segments, each in a turn of the loop of its own."""
        async with asyncio.timeout(TIMEOUT_S):
            for segment in segments:
                await asyncio.get_running_loop().sock_sendall(self._socket, segment)
                await asyncio.sleep(0)

    async def send_until_blocked(self, data: bytes, *, limit_bytes: int, quiet_s: float = 0.3) -> int:
        """Send `data` again and again until the server takes no more for a moment; return how many bytes it took."""
        sent = 0
        while sent < limit_bytes:
            try:
                # Goes on where the kernel stopped: what is sent may have frames.
                sent += self._socket.send(memoryview(data)[sent % len(data) :])
            except BlockingIOError:
                try:
                    async with asyncio.timeout(quiet_s):
                        await self._wait_writable()
                except TimeoutError:
                    break
            except (ConnectionResetError, BrokenPipeError):
                break
            await asyncio.sleep(0)
        return sent

    async def _wait_writable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_writer(self._socket.fileno(), ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_writer(self._socket.fileno())

    async def answer(self, *, is_head: bool = False) -> Answer:
        """Read one answer, 100 Continue included. Raises MalformedAnswerError, also when it is cut off."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                parsed = parse_answer(self._received, is_head=is_head, is_ended=self.is_ended)
                if parsed is not None:
                    self._received = parsed[1]
                    return parsed[0]
                if self.is_ended:
                    raise MalformedAnswerError(f"the connection ended in {self._received[:200]!r}")
                await self._read()

    async def ask(self, data: bytes, *, is_head: bool = False) -> Answer:
        """Send a request and read its answer."""
        await self.send(data)
        return await self.answer(is_head=is_head)

    async def rest(self, *, timeout_s: float = TIMEOUT_S) -> bytes:
        """Read until the server closes; return what came. Raises TimeoutError when it does not."""
        async with asyncio.timeout(timeout_s):
            while not self.is_ended:
                await self._read()
        rest, self._received = self._received, b""
        return rest

    async def read_at_least(self, size_bytes: int) -> bytes:
        """Read raw bytes until there are so many; return and forget them."""
        async with asyncio.timeout(TIMEOUT_S):
            while len(self._received) < size_bytes:
                assert not self.is_ended, "the connection ended early"
                await self._read()
        taken, self._received = self._received, b""
        return taken

    async def _read(self) -> None:
        try:
            data = await asyncio.get_running_loop().sock_recv(self._socket, 65_536)
        except ConnectionResetError:
            data = b""
        self._received += data
        self.is_ended = not data

    def end_sending(self) -> None:
        """Close our direction."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close at once with a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        """Close."""
        self._socket.close()


def get(target: str = "/echo", *lines: str) -> bytes:
    """Return a GET request with additional header lines."""
    return request("GET", target, *lines)


def post(body: bytes, target: str = "/echo", *lines: str) -> bytes:
    """Return a POST request with a body of known length."""
    return request("POST", target, f"Content-Length: {len(body)}", *lines) + body


def post_chunked(*chunks: bytes, target: str = "/echo") -> bytes:
    """Return a POST request with a chunked body."""
    encoded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return request("POST", target, "Transfer-Encoding: chunked") + encoded


def request(method: str, target: str, *lines: str, version: str = "HTTP/1.1") -> bytes:
    """Return a request head."""
    head = [f"{method} {target} {version}", "Host: gateway.test", *lines]
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin-1")
