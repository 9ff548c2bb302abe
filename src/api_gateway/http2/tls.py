"""TLS for HTTP/2: contexts, and the check that both sides agreed on it."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

FileStamp = tuple[tuple[int, int, int] | None, ...]
"""What tells that files were replaced or written to: inode, time and size of each; None for one that is not there."""


class TlsError(Exception):
    """A connection that was encrypted but must not be used; the text says why."""


def client_context(ca_path: Path | None, cert_path: Path | None, key_path: Path | None) -> ssl.SSLContext:
    """Return a context that verifies the server's name and chain and offers `h2` only (TLS 1.2 and newer).

    Raises TlsError that names the file which cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    try:
        if ca_path is None:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        else:
            # Only the named CAs: a backend's private CA must not be replaceable by any public one.
            context.load_verify_locations(cafile=ca_path)
        if cert_path is not None:
            # Without a password OpenSSL would ask the terminal for one, and the loop would wait for the answer.
            context.load_cert_chain(cert_path, key_path, password="")
    except (OSError, ssl.SSLError) as error:
        names = ", ".join(str(path) for path in (ca_path, cert_path, key_path) if path is not None)
        raise TlsError(f"cannot use the TLS files {names}: {error}") from error
    return context


def require_h2(transport: asyncio.BaseTransport) -> None:
    """Raise TlsError unless ALPN selected `h2` (reliability G60)."""
    selected = transport.get_extra_info("ssl_object").selected_alpn_protocol()
    if selected != "h2":
        raise TlsError(f"the server did not agree on HTTP/2 by ALPN (it selected {selected or 'nothing'})")


class ClientContexts:
    """The context for one service's connections, made anew when its files have changed."""

    def __init__(self, ca_path: Path | None, cert_path: Path | None, key_path: Path | None) -> None:
        self._paths = (ca_path, cert_path, key_path)
        self._context: ssl.SSLContext | None = None
        self._stamp: FileStamp = ()

    def stamp(self) -> FileStamp:
        """Look at the files."""
        return tuple(_stamp(path) for path in self._paths if path is not None)

    def context(self) -> ssl.SSLContext:
        """Return the context of what the files say now. Raises TlsError."""
        stamp = self.stamp()
        if self._context is None or stamp != self._stamp:
            # To read the system's authorities takes 20 ms, in which the worker does nothing else.
            self._context = client_context(*self._paths)
            self._stamp = stamp
        return self._context


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
