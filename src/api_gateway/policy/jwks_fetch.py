"""One bounded HTTP GET for a key set: HTTP/1.1 over verified TLS, no redirects, everything limited (J45, J46)."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import httptools

TIMEOUT_S: Final = 2.0
"""Longest time for everything: name, connection, TLS, answer."""
MAX_BODY_BYTES: Final = 1024 * 1024
MAX_HEAD_BYTES: Final = 64 * 1024
_READ_BYTES: Final = 64 * 1024


class FetchError(Exception):
    """A key set could not be fetched; the text says why."""


@dataclass(frozen=True, slots=True)
class JwksLocation:
    """Where a key set is published."""

    host: str
    port: int
    target: str
    is_tls: bool
    is_loopback: bool

    @staticmethod
    def parse(url: str) -> JwksLocation:
        """Take a URL apart. Raises ValueError for plain HTTP and IP addresses, unless the host is a loopback one."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme not in ("http", "https") or not host or not url.isascii() or any(c <= " " for c in url):
            raise ValueError("expected an http or https address")
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            address = None
        is_loopback = host == "localhost" if address is None else address.is_loopback
        if not is_loopback and (address is not None or parts.scheme == "http"):
            raise ValueError("expected https and a host name")
        is_tls = parts.scheme == "https"
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return JwksLocation(host, parts.port or (443 if is_tls else 80), target, is_tls, is_loopback)

    @property
    def authority(self) -> str:
        """The value of `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.is_tls else 80) else f"{host}:{self.port}"


async def fetch(location: JwksLocation, context: ssl.SSLContext | None) -> bytes:
    """Return the body of a 200 answer. `context` is used when the location wants TLS.

    Must run in a task. Raises FetchError, within `TIMEOUT_S` at the latest.
    """
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await _connect(location, context)
            try:
                return await _exchange(location, reader, writer)
            finally:
                writer.transport.abort()
    except TimeoutError as error:
        raise FetchError(f"no complete answer within {TIMEOUT_S:g} s") from error
    except (OSError, ssl.SSLError) as error:
        raise FetchError(f"connection failed: {error}") from error


async def _connect(
    location: JwksLocation, context: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first address that answers. Addresses are checked before anything is sent to them."""
    found = await asyncio.get_running_loop().getaddrinfo(location.host, location.port, type=1)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    allowed = [address for address in addresses if _is_allowed(address, is_loopback=location.is_loopback)]
    if not allowed:
        raise FetchError(f"{location.host} has no address that may be asked")
    tls = context if location.is_tls else None
    error: OSError | None = None
    for address in allowed:
        try:
            return await asyncio.open_connection(
                address, location.port, ssl=tls, server_hostname=location.host if tls else None, limit=_READ_BYTES
            )
        except OSError as failed:
            error = failed
    raise FetchError(f"connection failed: {error}") from error


def _is_allowed(text: str, *, is_loopback: bool) -> bool:
    """Refuse what no issuer of keys lives on: link-local (cloud metadata services), multicast, unspecified."""
    address = ipaddress.ip_address(text.split("%", 1)[0])
    if is_loopback:
        return address.is_loopback
    return not (address.is_link_local or address.is_multicast or address.is_unspecified)


async def _exchange(location: JwksLocation, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(
        f"GET {location.target} HTTP/1.1\r\nHost: {location.authority}\r\nAccept: application/json\r\n"
        "User-Agent: api-gateway\r\nConnection: close\r\n\r\n".encode("ascii")
    )
    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    received_bytes = 0
    while not answer.is_complete:
        data = await reader.read(_READ_BYTES)
        if not data:
            return answer.end()
        received_bytes += len(data)
        if received_bytes > MAX_BODY_BYTES + MAX_HEAD_BYTES:
            raise FetchError("the answer is too large")
        try:
            parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise answer.failure or FetchError(f"not an HTTP answer: {error}") from error
        if answer.has_head:
            _check_status(parser.get_status_code())
    return bytes(answer.body)


def _check_status(status: int) -> None:
    if 300 <= status < 400:
        raise FetchError(f"redirects are not followed (status {status})")
    if status != 200:
        raise FetchError(f"status {status}")


@dataclass(slots=True)
class _Answer:
    """What the parser reports."""

    body: bytearray = field(default_factory=bytearray)
    has_head: bool = False
    has_length: bool = False
    is_complete: bool = False
    failure: FetchError | None = None

    def on_header(self, name: bytes, value: bytes) -> None:
        lowered = name.lower()
        if lowered in (b"content-length", b"transfer-encoding"):
            self.has_length = True
        elif lowered == b"content-encoding" and value.lower() != b"identity":
            self.failure = FetchError("the answer is compressed, which was not asked for")
            raise self.failure

    def on_headers_complete(self) -> None:
        self.has_head = True

    def on_body(self, data: bytes) -> None:
        if len(self.body) + len(data) > MAX_BODY_BYTES:
            self.failure = FetchError("the answer is too large")
            raise self.failure
        self.body += data

    def on_message_complete(self) -> None:
        self.is_complete = True

    def end(self) -> bytes:
        """Return the body of an answer that the end of the connection ends."""
        if not self.has_head or self.has_length:
            raise FetchError("the answer was cut")
        return bytes(self.body)
