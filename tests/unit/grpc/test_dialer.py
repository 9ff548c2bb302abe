"""How transports are opened. TLS itself is in `tests/wire/test_grpc_tls.py`."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import ngh2
import pytest

from api_gateway.grpc.connectivity import ChannelOptions
from api_gateway.grpc.dialer import Dialer
from api_gateway.grpc.resolver import Address
from api_gateway.grpc.target import Target, parse_target
from api_gateway.http2.connection import Connection
from tests.support.memory_link import ManualLoop, RecordingOwner
from tests.support.scripted_peer import ScriptedPeer


def dialer(target: Target, **options: float) -> Dialer:
    return Dialer(target, ChannelOptions(**options), loop=asyncio.get_running_loop())  # type: ignore[arg-type]  # floats


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has TCP_USER_TIMEOUT")
@pytest.mark.parametrize(("interval_s", "expected_ms"), [(10.0, 7_000), (0.0, 0)], ids=["keepalive", "none"])
async def test_the_kernel_gives_up_unacknowledged_data_with_keepalive(interval_s: float, expected_ms: int) -> None:
    """G52: TCP_USER_TIMEOUT is the keepalive timeout where keepalive is on."""
    async with ScriptedPeer() as peer:
        connection = Connection(ngh2.Role.CLIENT, RecordingOwner(ManualLoop()), loop=asyncio.get_running_loop())
        opened = dialer(parse_target(peer.endpoint), keepalive_interval_s=interval_s, keepalive_timeout_s=7.0)
        await opened.open(Address("127.0.0.1", peer.port), connection)
        assert connection.transport is not None
        handle = connection.transport.get_extra_info("socket")
        assert handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == expected_ms
        connection.close("done")


async def test_the_stamp_tells_of_changed_files(tmp_path: Path) -> None:
    """Content, replacement, removal: each shows; without TLS there is nothing to see."""
    certificate, key, ca = (tmp_path / name for name in ("certificate.pem", "key.pem", "ca.pem"))
    for path in (certificate, key, ca):
        path.write_text("one")
    opened = dialer(parse_target("https://a:1", ca_path=ca, client_cert_path=certificate, client_key_path=key))
    stamps = [opened.stamp()]
    assert opened.stamp() == stamps[0]
    key.write_text("longer")
    stamps.append(opened.stamp())
    (tmp_path / "new.pem").write_text("one")
    (tmp_path / "new.pem").rename(ca)
    stamps.append(opened.stamp())
    certificate.unlink()
    stamps.append(opened.stamp())
    assert len(set(stamps)) == 4
    plain = dialer(parse_target("http://a:1"))
    assert (plain.stamp(), plain.is_tls, opened.is_tls) == ((), False, True)
