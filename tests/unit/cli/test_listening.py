"""Listening, and what is said when that fails."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

import pytest

from api_gateway.cli import listening
from api_gateway.cli.listening import ListenError, address_text, local_url, open_listeners
from api_gateway.config.settings import Settings


def settings_of(host: str, port: int, admin_port: int | None = None) -> Settings:
    return Settings.model_validate(
        {
            "services": {"users": {"endpoint": "http://localhost:50051"}},
            "server": {"host": host, "port": port},
            "admin": {"port": admin_port},
        }
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_any_free_port_will_do(host: str) -> None:
    (listener,) = open_listeners(settings_of(host, 0), {})
    with listener:
        assert listener.getsockname()[1] > 0


def test_operators_have_a_listener_of_their_own() -> None:
    """H21: on loopback unless they choose otherwise."""
    clients, operators = open_listeners(settings_of("0.0.0.0", 0, admin_port=0), {})
    with clients, operators:
        assert (clients.getsockname()[0], operators.getsockname()[0]) == ("0.0.0.0", "127.0.0.1")


@pytest.mark.parametrize(
    ("inherited", "wanted"), [pytest.param(1, 2, id="one more"), pytest.param(2, 1, id="one less")]
)
def test_predecessors_listeners_are_taken_over(inherited: int, wanted: int) -> None:
    """A successor (SIGUSR2) reads the file anew; what it needs besides is opened, what it does not is closed."""
    theirs = [socket.create_server(("127.0.0.1", 0)) for _ in range(inherited)]
    addresses = [each.getsockname() for each in theirs]
    fds = [each.detach() for each in theirs]
    environ = {"GUNICORN_PID": str(os.getppid()), "GUNICORN_FD": ",".join(map(str, fds))}
    ours = open_listeners(settings_of("no.such.host.invalid", 1, 0 if wanted == 2 else None), environ)
    kept = min(inherited, wanted)
    assert len(ours) == wanted
    assert [each.getsockname() for each in ours[:kept]] == addresses[:kept]
    for each in ours:
        each.close()
    for fd in fds:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            ListenError, match=rf"^cannot listen on 127\.0\.0\.1:{port}: .*another program has port {port}"
        ):
            open_listeners(settings_of("127.0.0.1", port), {})
        with pytest.raises(ListenError, match=r"choose another port with admin\.port$"):
            open_listeners(settings_of("127.0.0.1", 0, admin_port=port), {})


@pytest.mark.parametrize(
    ("error", "port", "advice"),
    [
        pytest.param(PermissionError(errno.EACCES, "Permission denied"), 80, "below 1024", id="privileged port"),
        pytest.param(PermissionError(errno.EACCES, "Permission denied"), 8080, "and --port", id="forbidden"),
        pytest.param(OSError(errno.EADDRNOTAVAIL, "no"), 8080, "no address of this machine", id="not ours"),
        pytest.param(socket.gaierror(-2, "unknown"), 8080, "no address of this machine", id="unknown name"),
    ],
)
def test_advice_fits_the_failure(error: OSError, port: int, advice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> socket.socket:
        raise error

    monkeypatch.setattr(listening, "listen", refuse)
    with pytest.raises(ListenError, match=advice):
        open_listeners(settings_of("host", port), {})


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
