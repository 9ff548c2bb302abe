"""TLS and mTLS to backends (G60): what is not right is UNAVAILABLE with a reason in the log, and never plaintext."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from api_gateway.grpc import dialer
from api_gateway.grpc.connectivity import ChannelOptions
from api_gateway.grpc.target import Target, parse_target
from api_gateway.model.status import Code
from tests.support.authority import Authority
from tests.support.channels import channel_to, error_of, finished
from tests.support.scripted_peer import PATIENCE_S, Manners, ScriptedPeer

DOMAIN = "backend.test"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def target(peer: ScriptedPeer, authority: Authority, domain: str = DOMAIN) -> Target:
    return parse_target(peer.endpoint, tls_domain=domain, ca_path=authority.ca)


async def reason_of(target: Target) -> str:
    """Return what the log is told of a call that must fail because of TLS."""
    async with channel_to(target) as channel:
        error = await error_of(channel.unary())
        assert (error.code, error.reason, error.http) == (Code.UNAVAILABLE, "UPSTREAM_UNAVAILABLE", 503)
        assert channel.seen.ready_count == 0
        assert channel.seen.failed[0][0] == error.log_reason
        return error.log_reason


async def test_a_call_over_tls(authority: Authority) -> None:
    """G2, G60: verified against the domain, which is SNI and :authority too; the scheme is https; TLS 1.2 at least."""
    names: list[str | None] = []
    context = authority.issue(DOMAIN).server_context()
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    async with ScriptedPeer(tls=context) as peer, channel_to(target(peer, authority)) as channel:
        call = channel.unary()
        connection = await peer.accept()
        request = await connection.request()
        connection.reply(request.stream_id)
        await finished(call)
        assert names == [DOMAIN]
        assert (request.field(b":scheme"), request.field(b":authority")) == (
            b"https",
            f"{DOMAIN}:{peer.port}".encode(),
        )
        tls = connection.tls
        assert (tls.selected_alpn_protocol(), tls.version()) == ("h2", "TLSv1.3")


async def test_an_address_as_domain(authority: Authority) -> None:
    """Without a domain the certificate must hold the host of the endpoint."""
    context = authority.issue("127.0.0.1").server_context()
    async with ScriptedPeer(tls=context) as peer:
        plain = parse_target(peer.endpoint, ca_path=authority.ca)
        async with channel_to(plain) as channel:
            call = channel.unary()
            connection = await peer.accept()
            connection.reply((await connection.request()).stream_id)
            await finished(call)


async def test_wrong_name(authority: Authority) -> None:
    """G60."""
    async with ScriptedPeer(tls=authority.issue("other.test").server_context()) as peer:
        assert "Hostname mismatch" in await reason_of(target(peer, authority))


@pytest.mark.parametrize(("days", "text"), [((-2, -1), "expired"), ((1, 2), "not yet valid")], ids=["old", "new"])
async def test_out_of_date(authority: Authority, days: tuple[float, float], text: str) -> None:
    """G60."""
    async with ScriptedPeer(tls=authority.issue(DOMAIN, days=days).server_context()) as peer:
        assert text in await reason_of(target(peer, authority))


async def test_unknown_authority(authority: Authority, tmp_path: Path) -> None:
    """G60: another private authority."""
    other = Authority(tmp_path, "other authority")
    async with ScriptedPeer(tls=other.issue(DOMAIN).server_context()) as peer:
        assert "unable to get local issuer certificate" in await reason_of(target(peer, authority))


async def test_the_systems_authorities_without_a_file(authority: Authority) -> None:
    """G60: a private authority nobody named is not trusted."""
    async with ScriptedPeer(tls=authority.issue(DOMAIN).server_context()) as peer:
        assert "unable to get local issuer certificate" in await reason_of(
            parse_target(peer.endpoint, tls_domain=DOMAIN)
        )


@pytest.mark.parametrize("alpn", [(), ("http/1.1",)], ids=["none", "another"])
@pytest.mark.parametrize("is_quick", [True, False], ids=["with the handshake", "later"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_alpn_is_required(
    authority: Authority, alpn: tuple[str, ...], is_quick: bool, version: ssl.TLSVersion
) -> None:
    """G60: a peer that speaks HTTP/2 and did not agree on it gets no call, however quick its SETTINGS are.

    With TLS 1.2 the server speaks last in the handshake, so they may come with its end.
    """
    manners = Manners() if is_quick else Manners().silent()
    context = authority.issue(DOMAIN).server_context(alpn=alpn)
    context.maximum_version = version
    async with ScriptedPeer(manners, tls=context) as peer:
        reason = await reason_of(target(peer, authority))
        assert "did not agree on HTTP/2 by ALPN" in reason
        assert all(connection.requests == {} for connection in peer.connections)


async def test_alpn_is_looked_at_again_when_settings_come(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G60: they may come before whoever opens the connection had a chance to look."""
    monkeypatch.setattr(dialer, "require_h2", lambda transport: None)
    async with ScriptedPeer(tls=authority.issue(DOMAIN).server_context(alpn=())) as peer:
        assert "did not agree on HTTP/2 by ALPN" in await reason_of(target(peer, authority))


async def test_old_tls(authority: Authority) -> None:
    """TLS 1.2 at least."""
    context = authority.issue(DOMAIN).server_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with ScriptedPeer(tls=context) as peer, channel_to(target(peer, authority)) as channel:
        channel.channel.connect()
        connection = await peer.accept()
        await connection.in_step()
        assert connection.tls.version() == "TLSv1.2"


@pytest.mark.parametrize("domain", [".backend.test", "a" * 64 + ".test"], ids=["dot", "long"])
async def test_a_domain_that_no_certificate_can_have(authority: Authority, domain: str) -> None:
    """G59: UNAVAILABLE with a reason, whatever Python makes of it; nothing is opened that nobody would close."""
    async with ScriptedPeer(tls=authority.issue(DOMAIN).server_context()) as peer:
        assert await reason_of(target(peer, authority, domain))
        assert peer.connections == []


async def test_nothing_but_h2_is_offered(authority: Authority) -> None:
    """G60: a server that would rather speak HTTP/1.1 has no choice."""
    context = authority.issue(DOMAIN).server_context(alpn=("http/1.1", "h2"))
    async with ScriptedPeer(tls=context) as peer, channel_to(target(peer, authority)) as channel:
        channel.channel.connect()
        connection = await peer.accept()
        await connection.in_step()
        assert connection.tls.selected_alpn_protocol() == "h2"


# Client certificates


async def test_a_client_certificate(authority: Authority, tmp_path: Path) -> None:
    """G60: mTLS."""
    clients = Authority(tmp_path, "client authority")
    client = clients.issue("gateway.test")
    context = authority.issue(DOMAIN).server_context(client_ca=clients.ca)
    async with ScriptedPeer(tls=context) as peer:
        with_certificate = parse_target(
            peer.endpoint,
            tls_domain=DOMAIN,
            ca_path=authority.ca,
            client_cert_path=client.certificate,
            client_key_path=client.key,
        )
        async with channel_to(with_certificate) as channel:
            call = channel.unary()
            connection = await peer.accept()
            connection.reply((await connection.request()).stream_id)
            await finished(call)
            shown = connection.tls.getpeercert()
            assert shown is not None
            assert shown["subject"] == ((("commonName", "gateway.test"),),)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("which", ["none", "of another authority"])
async def test_a_missing_client_certificate(
    authority: Authority, tmp_path: Path, version: ssl.TLSVersion, which: str
) -> None:
    """G60: refused by the server; with TLS 1.3 that shows only after our side of the handshake."""
    clients, others = Authority(tmp_path, "client authority"), Authority(tmp_path, "other authority")
    context = authority.issue(DOMAIN).server_context(client_ca=clients.ca)
    context.maximum_version = version
    client = None if which == "none" else others.issue("gateway.test")
    async with ScriptedPeer(tls=context) as peer:
        reason = await reason_of(
            parse_target(
                peer.endpoint,
                tls_domain=DOMAIN,
                ca_path=authority.ca,
                client_cert_path=client.certificate if client else None,
                client_key_path=client.key if client else None,
            )
        )
        assert "the server may demand a client certificate" in reason


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_that_says_what_it_misses(authority: Authority, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """G60: the server's alert reaches the log. (asyncio's own server, above, hangs up without one.)"""
    context = authority.issue(DOMAIN).server_context(client_ca=Authority(tmp_path, "client authority").ca)
    context.maximum_version = version
    with socket.create_server(("127.0.0.1", 0)) as listening:
        refused = asyncio.get_running_loop().run_in_executor(None, refuse_one_client, listening, context)
        endpoint = f"https://127.0.0.1:{listening.getsockname()[1]}"
        reason = await reason_of(parse_target(endpoint, tls_domain=DOMAIN, ca_path=authority.ca))
        assert "alert" in reason.lower()
        assert "PEER_DID_NOT_RETURN_A_CERTIFICATE" in await refused


def refuse_one_client(listening: socket.socket, context: ssl.SSLContext) -> str:
    """Shake hands with one client, blocking as OpenSSL itself does; return why that failed."""
    connection, _ = listening.accept()
    connection.settimeout(PATIENCE_S)
    with context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as session:
        try:
            session.do_handshake()
        except ssl.SSLError as error:
            # The client must read the alert before it sees a reset for what it had sent already.
            session.shutdown(socket.SHUT_WR)
            while session.recv(4_096):
                pass
            return str(error)
    return ""


# Files


async def test_files_that_cannot_be_used(authority: Authority, tmp_path: Path) -> None:
    """G60: UNAVAILABLE, and the log names the file."""
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    identity = authority.issue(DOMAIN)
    encrypted = authority.issue(DOMAIN, password=b"secret")
    tries: list[tuple[Path, Path, Path]] = [
        (tmp_path / "missing.pem", identity.certificate, identity.key),
        (broken, identity.certificate, identity.key),
        (authority.ca, broken, identity.key),
        (authority.ca, identity.certificate, tmp_path / "missing.pem"),
        (authority.ca, identity.certificate, authority.issue(DOMAIN).key),
        (authority.ca, encrypted.certificate, encrypted.key),
    ]
    async with ScriptedPeer(tls=identity.server_context()) as peer:
        for ca, certificate, key in tries:
            reason = await reason_of(
                parse_target(
                    peer.endpoint,
                    tls_domain=DOMAIN,
                    ca_path=ca,
                    client_cert_path=certificate,
                    client_key_path=key,
                )
            )
            assert "cannot use the TLS files" in reason
            assert all(str(path) in reason for path in (ca, certificate, key))
    assert peer.connections == []


async def test_files_are_read_again_for_each_connection(authority: Authority, tmp_path: Path) -> None:
    """Issue 3: an authority that changed on disk is the one the next connection trusts."""
    other = Authority(tmp_path, "other authority")
    async with (
        ScriptedPeer(tls=other.issue(DOMAIN).server_context()) as peer,
        channel_to(target(peer, authority)) as channel,
    ):
        await error_of(channel.unary())
        authority.ca.write_bytes(other.ca.read_bytes())
        call = channel.unary(waits_for_ready=True)
        connection = await peer.accept()
        connection.reply((await connection.request()).stream_id)
        await finished(call)


async def test_connections_are_replaced_when_their_files_change(authority: Authority, tmp_path: Path) -> None:
    """Issue 3: the old client certificate is given up without losing a call, once the new one works; not before."""
    clients = Authority(tmp_path, "client authority")
    old, new = clients.issue("old.test"), clients.issue("new.test")
    context = authority.issue(DOMAIN).server_context(client_ca=clients.ca)
    async with ScriptedPeer(tls=context) as peer:
        ours = parse_target(
            peer.endpoint,
            tls_domain=DOMAIN,
            ca_path=authority.ca,
            client_cert_path=old.certificate,
            client_key_path=old.key,
        )
        async with channel_to(ours, ChannelOptions(resolve_interval_s=0.05)) as channel:
            running = channel.unary()
            first = await peer.accept()
            request = await first.request()
            # Half of a rotation: certificate and key do not belong together. The old connection stays.
            old.certificate.write_bytes(new.certificate.read_bytes())
            await channel.seen.failures(1)
            assert "cannot use the TLS files" in channel.seen.failed[0][0]
            during = channel.unary()
            first.reply((await first.request()).stream_id)
            await finished(during)
            old.key.write_bytes(new.key.read_bytes())
            second = await peer.accept()
            await channel.seen.wait_until(lambda: bool(channel.seen.replacements))
            after = channel.unary()
            second.reply((await second.request()).stream_id)
            await finished(after)
            assert "its TLS files have changed" in channel.seen.replacements[0]
            shown = second.tls.getpeercert()
            assert shown is not None
            assert shown["subject"] == ((("commonName", "new.test"),),)
            first.reply(request.stream_id)
            await finished(running)
            await first.closed()
            assert len(peer.connections) == 2


# Never plaintext


async def test_a_plaintext_server_gets_no_plaintext() -> None:
    """G60: all it sees is a ClientHello, however often."""
    seen: list[bytes] = []

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(100))
        writer.close()

    async with await asyncio.start_server(keep, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        reason = await reason_of(parse_target(f"https://127.0.0.1:{port}"))
        assert reason
    assert [data[:3] for data in seen] == [b"\x16\x03\x01"]
    assert not any(b"PRI" in data or b"POST" in data for data in seen)


async def test_a_tls_server_that_is_called_in_plaintext(authority: Authority) -> None:
    """The other way round: a clear end, no hang."""
    async with ScriptedPeer(tls=authority.issue(DOMAIN).server_context()) as peer:
        plain = parse_target(f"http://127.0.0.1:{peer.port}")
        assert await reason_of(plain)
    assert peer.connections == []


async def test_a_handshake_that_never_ends(authority: Authority) -> None:
    """G53, G60: half a handshake is no connection; the connect timeout holds."""
    loop = asyncio.get_running_loop()
    accepted: asyncio.Future[None] = loop.create_future()
    closed: asyncio.Future[None] = loop.create_future()

    async def stay_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set_result(None)
        await reader.read()
        closed.set_result(None)
        writer.close()

    async with await asyncio.start_server(stay_silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with channel_to(parse_target(f"https://127.0.0.1:{port}", ca_path=authority.ca)) as channel:
            call = channel.unary(timeout_s=0.05)
            await accepted
            assert (await error_of(call)).code == Code.DEADLINE_EXCEEDED
        async with asyncio.timeout(PATIENCE_S):
            await closed
