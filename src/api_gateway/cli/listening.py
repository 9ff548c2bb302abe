"""The listening sockets of `run`: bound, taken over, or refused with words that help."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ..config.settings import Settings
from ..edge.server import listen
from ..edge.worker import inherited_listeners

_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
"""Where a listener on every address is reached from this machine."""
_FIRST_FREE_PORT: Final = 1024


class _Keys(NamedTuple):
    """What chooses an address, for people."""

    host: str
    port: str


_CLIENTS: Final = _Keys("--host or server.host", "--port or server.port")
_OPERATORS: Final = _Keys("admin.host", "admin.port")


class ListenError(Exception):
    """Nobody can listen there. The text says why and what to do."""


def open_listeners(settings: Settings, environ: Mapping[str, str]) -> list[socket.socket]:
    """Return the listener for clients and, with an `admin.port`, behind it the one for operators.

    Those that a predecessor left us are taken over. Raises ListenError.
    """
    wanted = [(settings.server.host, settings.server.port, _CLIENTS)]
    if settings.admin.port is not None:
        wanted.append((settings.admin.host, settings.admin.port, _OPERATORS))
    listeners = inherited_listeners(environ)
    for unwanted in listeners[len(wanted) :]:
        unwanted.close()
    del listeners[len(wanted) :]
    try:
        for host, port, keys in wanted[len(listeners) :]:
            listeners.append(_open(host, port, keys))
    except ListenError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _open(host: str, port: int, keys: _Keys) -> socket.socket:
    try:
        return listen(host, port)
    except OSError as error:
        reason = error.strerror or str(error)
        advice = _advice(error, host, port, keys)
        raise ListenError(f"cannot listen on {address_text(host, port)}: {reason}; {advice}") from error


def _advice(error: OSError, host: str, port: int, keys: _Keys) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"another program has port {port}: stop it, or choose another port with {keys.port}"
    if error.errno in (errno.EACCES, errno.EPERM) and port < _FIRST_FREE_PORT:
        return f"ports below 1024 need a privilege: choose another one with {keys.port}"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"{host} is no address of this machine: choose one with {keys.host}, 0.0.0.0 for all"
    return f"choose another address with {keys.host} and {keys.port}"


def address_text(host: str, port: int) -> str:
    """Return `host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def local_url(address: tuple[Any, ...]) -> str:
    """Return the URL by which programs on this machine reach a listener with this socket address."""
    host, port = address[:2]
    return f"http://{address_text(_LOOPBACK.get(host, host), port)}"
