"""The listening socket of `run`: bound, taken over, or refused with words that help."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping
from typing import Any, Final

from ..edge.server import listen
from ..edge.worker import inherited_listener

_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
"""Where a listener on every address is reached from this machine."""
_FIRST_FREE_PORT: Final = 1024


class ListenError(Exception):
    """Nobody can listen there. The text says why and what to do."""


def open_listener(host: str, port: int, environ: Mapping[str, str]) -> socket.socket:
    """Return the listener that a predecessor left us, else a new one. Raises ListenError."""
    inherited = inherited_listener(environ)
    if inherited is not None:
        return inherited
    try:
        return listen(host, port)
    except OSError as error:
        reason = error.strerror or str(error)
        advice = _advice(error, host, port)
        raise ListenError(f"cannot listen on {address_text(host, port)}: {reason}; {advice}") from error


def _advice(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"another program has port {port}: stop it, or choose another port with --port or server.port"
    if error.errno in (errno.EACCES, errno.EPERM) and port < _FIRST_FREE_PORT:
        return "ports below 1024 need a privilege: choose another one with --port or server.port"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"{host} is no address of this machine: choose one with --host or server.host, 0.0.0.0 for all"
    return "choose another address with --host and --port, or server.host and server.port"


def address_text(host: str, port: int) -> str:
    """Return `host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def local_url(address: tuple[Any, ...]) -> str:
    """Return the URL by which programs on this machine reach a listener with this socket address."""
    host, port = address[:2]
    return f"http://{address_text(_LOOPBACK.get(host, host), port)}"
