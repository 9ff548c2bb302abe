"""Listening, and what is said when that fails."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

import pytest

from api_gateway.cli import listening
from api_gateway.cli.listening import ListenError, address_text, local_url, open_listener


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_any_free_port_will_do(host: str) -> None:
    with open_listener(host, 0, {}) as listener:
        assert listener.getsockname()[1] > 0


def test_a_predecessors_listener_is_taken_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        environ = {"GUNICORN_PID": str(os.getppid()), "GUNICORN_FD": str(theirs.detach())}
        with open_listener("no.such.host.invalid", 1, environ) as listener:
            assert listener.getsockname()[0] == "127.0.0.1"


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            ListenError, match=rf"^cannot listen on 127\.0\.0\.1:{port}: .*another program has port {port}"
        ):
            open_listener("127.0.0.1", port, {})


@pytest.mark.parametrize(
    ("error", "port", "advice"),
    [
        pytest.param(PermissionError(errno.EACCES, "Permission denied"), 80, "below 1024", id="privileged port"),
        pytest.param(PermissionError(errno.EACCES, "Permission denied"), 8080, "--host and --port", id="forbidden"),
        pytest.param(OSError(errno.EADDRNOTAVAIL, "no"), 8080, "no address of this machine", id="not ours"),
        pytest.param(socket.gaierror(-2, "unknown"), 8080, "no address of this machine", id="unknown name"),
    ],
)
def test_advice_fits_the_failure(error: OSError, port: int, advice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> socket.socket:
        raise error

    monkeypatch.setattr(listening, "listen", refuse)
    with pytest.raises(ListenError, match=advice):
        open_listener("host", port, {})


@pytest.mark.parametrize(
    ("address", "url"),
    [
        pytest.param(("127.0.0.1", 80), "http://127.0.0.1:80", id="loopback"),
        pytest.param(("0.0.0.0", 80), "http://127.0.0.1:80", id="every address"),
        pytest.param(("::", 80, 0, 0), "http://[::1]:80", id="every IPv6 address"),
        pytest.param(("192.0.2.7", 80), "http://192.0.2.7:80", id="one address"),
        pytest.param(("2001:db8::1", 80, 0, 0), "http://[2001:db8::1]:80", id="one IPv6 address"),
    ],
)
def test_urls_lead_to_the_listener(address: tuple[Any, ...], url: str) -> None:
    assert local_url(address) == url


def test_addresses_are_written_as_in_urls() -> None:
    assert (address_text("::", 1), address_text("0.0.0.0", 1)) == ("[::]:1", "0.0.0.0:1")
