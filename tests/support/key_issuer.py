"""Somebody who publishes key sets over HTTP, on loopback, and not only good ones."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
import threading
import time
from collections import Counter
from http import HTTPStatus
from typing import Self

_TRICKLE_S = 0.05


class KeyIssuer:
    """Answers `GET /...` with what `publish` said of that path. Use it as a context manager."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.fetches: Counter[str] = Counter()
        """Requests by path."""
        self._published: dict[str, tuple[bytes, bool]] = {}
        self._is_over = threading.Event()
        issuer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                # A client that does not trust us breaks off the handshake, and one that is tired of us the answer.
                with contextlib.suppress(OSError):
                    sock = self.request if tls is None else tls.wrap_socket(self.request, server_side=True)
                    with sock:
                        issuer.answer(sock)

        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self._listener = Listener(("127.0.0.1", 0), Handler)
        self.port: int = self._listener.server_address[1]
        self._thread = threading.Thread(
            target=self._listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def publish(self, path: str, body: bytes, *, status: int = 200, header: str = "", trickles: bool = False) -> None:
        """Say this from now on; `header` is a line more, and with `trickles` it comes a byte at a time."""
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"content-length: {len(body)}", header]
        head = "\r\n".join(line for line in lines if line) + "\r\nconnection: close\r\n\r\n"
        self._published[path] = (head.encode() + body, trickles)

    def answer(self, sock: socket.socket) -> None:
        """Answer one request; one for a path that nobody published is never answered."""
        with sock.makefile("rb") as reader:
            words = reader.readline().split()
            # To the end of the head: what is left unread when we close would destroy the answer on its way.
            while reader.readline().strip():
                pass
        if len(words) != 3:
            return
        path = words[1].decode()
        self.fetches[path] += 1
        found = self._published.get(path)
        if found is None:
            self._is_over.wait()
            return
        answer, trickles = found
        if not trickles:
            sock.sendall(answer)
            return
        for at in range(len(answer)):
            sock.sendall(answer[at : at + 1])
            time.sleep(_TRICKLE_S)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()
