"""The bounded GET against real servers on loopback: hostile ones, slow ones, TLS with and without trust."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from api_gateway.policy import jwks_fetch
from api_gateway.policy.jwks_fetch import FetchError, JwksLocation, fetch
from tests.support.virtual_time import run_in_virtual_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
BODY = b'{"keys":[]}'
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@asynccontextmanager
async def server(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that reads one request head, then does what the test wants."""
    requests: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            await serve(reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    try:
        yield listening.sockets[0].getsockname()[1], requests
    finally:
        listening.close()
        await listening.wait_closed()


def answer(*parts: bytes) -> Serve:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return serve


async def get(serve: Serve) -> bytes:
    async with server(serve) as (port, _):
        return await fetch(JwksLocation.parse(f"http://127.0.0.1:{port}/keys?a=b"), None)


@pytest.mark.parametrize(
    "serve",
    [
        pytest.param(answer(OK + b"Content-Length: 11\r\n\r\n" + BODY), id="length"),
        pytest.param(answer(OK + b"Content-Length: 11\r\n\r\n", BODY[:5], BODY[5:]), id="in_parts"),
        pytest.param(answer(OK + b"Transfer-Encoding: chunked\r\n\r\nb\r\n" + BODY + b"\r\n0\r\n\r\n"), id="chunked"),
        pytest.param(answer(OK + b"\r\n" + BODY), id="until_the_end"),
        pytest.param(
            answer(*[bytes((byte,)) for byte in OK + b"Content-Length: 11\r\n\r\n" + BODY]), id="byte_by_byte"
        ),
        pytest.param(answer(OK + b"Content-Encoding: identity\r\nContent-Length: 11\r\n\r\n" + BODY), id="identity"),
    ],
)
async def test_good_answers(serve: Serve) -> None:
    """J45: the body of a 200, however it is framed."""
    assert await get(serve) == BODY


async def test_request_is_plain() -> None:
    """One GET, nothing about us that is not needed."""
    async with server(answer(OK + b"Content-Length: 11\r\n\r\n" + BODY)) as (port, requests):
        await fetch(JwksLocation.parse(f"http://localhost:{port}/keys?a=b"), None)
    assert requests == [
        b"GET /keys?a=b HTTP/1.1\r\nHost: localhost:%d\r\nAccept: application/json\r\n"
        b"User-Agent: api-gateway\r\nConnection: close\r\n\r\n" % port
    ]


@pytest.mark.parametrize(
    ("serve", "fault"),
    [
        pytest.param(answer(b"HTTP/1.1 500 Oops\r\nContent-Length: 11\r\n\r\n" + BODY), "status 500", id="status_500"),
        pytest.param(answer(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"), "status 404", id="status_404"),
        pytest.param(answer(b"HTTP/1.1 204 No\r\n\r\n"), "status 204", id="status_204"),
        pytest.param(answer(OK + b"Content-Length: 12\r\n\r\n" + BODY), "cut", id="cut_body"),
        pytest.param(answer(OK + b"Transfer-Encoding: chunked\r\n\r\nb\r\n" + BODY), "cut", id="cut_chunks"),
        pytest.param(answer(OK), "cut", id="cut_head"),
        pytest.param(answer(), "cut", id="nothing"),
        pytest.param(answer(b"SSH-2.0-OpenSSH\r\n"), "not an HTTP answer", id="not_http"),
        pytest.param(
            answer(OK + b"Content-Encoding: gzip\r\nContent-Length: 11\r\n\r\n" + BODY), "compressed", id="compressed"
        ),
        pytest.param(answer(OK + b"Content-Length: 1048577\r\n\r\n", b"x" * 1_048_577), "too large", id="1_MiB_and_1"),
        pytest.param(answer(OK + b"\r\n", *[b"x" * 65_536] * 40), "too large", id="endless"),
        pytest.param(
            answer(OK, *[b"X-Filler: " + b"y" * 8_000 + b"\r\n"] * 200), "too large|not an HTTP", id="long_head"
        ),
        pytest.param(
            answer(OK + b"Transfer-Encoding: chunked\r\n\r\n", *[b"10000\r\n" + b"x" * 65_536 + b"\r\n"] * 40),
            "too large",
            id="endless_chunks",
        ),
    ],
)
async def test_bad_answers(serve: Serve, fault: str) -> None:
    """J46: one error for all of them, and no more than the bound is read."""
    with pytest.raises(FetchError, match=fault):
        await get(serve)


@pytest.mark.parametrize(
    "target",
    [b"http://169.254.169.254/latest/meta-data", b"http://127.0.0.1/keys", b"/elsewhere", b"https://issuer.example/"],
)
@pytest.mark.parametrize("status", [b"301", b"302", b"303", b"307", b"308"])
async def test_redirects_are_refused(status: bytes, target: bytes) -> None:
    """J45: none is followed, wherever it points: the server sees one request."""
    serve = answer(b"HTTP/1.1 " + status + b" Moved\r\nLocation: " + target + b"\r\nContent-Length: 0\r\n\r\n")
    async with server(serve) as (port, requests):
        with pytest.raises(FetchError, match="redirects are not followed"):
            await fetch(JwksLocation.parse(f"http://127.0.0.1:{port}/"), None)
        assert len(requests) == 1


async def test_slow_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """J46: trickling does not extend the time; the bound is absolute."""
    monkeypatch.setattr(jwks_fetch, "TIMEOUT_S", 0.05)

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + b"\r\n")
        for _ in range(10_000):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.001)

    with pytest.raises(FetchError, match="no complete answer"):
        await get(trickle)


def test_two_seconds_are_all_there_is() -> None:
    """J46: for the connection and the answer together."""

    async def scenario() -> float:
        loop, never = asyncio.get_running_loop(), asyncio.Event()
        started_s = loop.time()

        async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await never.wait()

        with pytest.raises(FetchError, match="no complete answer"):
            await get(wait)
        never.set()
        return loop.time() - started_s

    assert run_in_virtual_time(scenario()) == pytest.approx(2.0, abs=0.5)


async def test_nobody_listens() -> None:
    """J48: a refused connection is an error like others."""
    async with server(answer()) as (port, _):
        pass
    with pytest.raises(FetchError, match="connection failed"):
        await fetch(JwksLocation.parse(f"http://127.0.0.1:{port}/"), None)


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/",
        "https://169.254.169.254/",
        "https://10.1.2.3/",
        "https://[::ffff:169.254.169.254]/",
        "https://[fe80::1]/",
        "https://0.0.0.0/",
        "http://192.168.0.1/",
        "gopher://127.0.0.1/",
        "https:///keys",
        "https://issuer.example/a b",
        "https://issuer.example/\r\nX: y",
        "https://issüer.example/",
    ],
)
def test_addresses_that_may_not_be_asked(url: str) -> None:
    """J45: literals, link-local, plain HTTP beyond this machine, anything that could split the request."""
    with pytest.raises(ValueError, match="expected"):
        JwksLocation.parse(url)


@pytest.mark.parametrize(
    ("url", "authority", "target"),
    [
        ("https://issuer.example", "issuer.example", "/"),
        ("https://issuer.example:443/a/b?c=d", "issuer.example", "/a/b?c=d"),
        ("https://issuer.example:8443/a", "issuer.example:8443", "/a"),
        ("http://localhost/a", "localhost", "/a"),
        ("http://[::1]:8080/a", "[::1]:8080", "/a"),
    ],
)
def test_locations(url: str, authority: str, target: str) -> None:
    """What goes into the request."""
    location = JwksLocation.parse(url)
    assert (location.authority, location.target) == (authority, target)


@pytest.mark.parametrize(
    ("addresses", "host"),
    [
        pytest.param(["169.254.169.254"], "issuer.example", id="link_local"),
        pytest.param(["fe80::1%lo"], "issuer.example", id="link_local_v6"),
        pytest.param(["224.0.0.1"], "issuer.example", id="multicast"),
        pytest.param(["0.0.0.0"], "issuer.example", id="unspecified"),
        pytest.param(["10.0.0.1"], "localhost", id="localhost_that_is_elsewhere"),
    ],
)
async def test_names_of_addresses_that_may_not_be_asked(
    addresses: list[str], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """J45: what a name resolves to is checked before anything is sent."""

    async def resolve(*_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(2, 1, 6, "", (address, 443)) for address in addresses]

    async def connect(*_: object, **__: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    monkeypatch.setattr(asyncio, "open_connection", connect)
    scheme = "http" if host == "localhost" else "https"
    with pytest.raises(FetchError, match="no address that may be asked"):
        await fetch(JwksLocation.parse(f"{scheme}://{host}/keys"), None)


# TLS


def make_certificate(folder: Path, name: str) -> tuple[Path, ssl.SSLContext]:
    """Return a self-signed certificate for a name, and a server context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    try:
        alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_path, key_path = folder / f"{name}.pem", folder / f"{name}.key"
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_path, key_path)
    return certificate_path, context


@pytest.mark.parametrize(
    ("certified", "is_trusted", "is_good"),
    [
        pytest.param("localhost", True, True, id="trusted"),
        pytest.param("localhost", False, False, id="unknown_ca"),
        pytest.param("other.example", True, False, id="other_name"),
    ],
)
async def test_tls_is_verified(certified: str, is_trusted: bool, is_good: bool, tmp_path: Path) -> None:
    """J45: chain and name; a failed handshake sends no request."""
    path, context = make_certificate(tmp_path, certified)
    trust = ssl.create_default_context(cafile=str(path) if is_trusted else None)
    async with server(answer(OK + b"Content-Length: 11\r\n\r\n" + BODY), context) as (port, requests):
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        location = JwksLocation.parse(f"https://localhost:{port}/keys")
        if is_good:
            assert await fetch(location, trust) == BODY
        else:
            with pytest.raises(FetchError, match="CERTIFICATE_VERIFY_FAILED"):
                await fetch(location, trust)
            assert requests == []
