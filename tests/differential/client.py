"""Sends requests exactly as they are written, and reads what comes back, one connection after the other."""

from __future__ import annotations

import socket
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.support.raw_http import Answer, MalformedAnswerError, parse_answer

TIMEOUT_S = 30.0


class Asker:
    """A keep-alive connection to one gateway, opened anew after it was closed. Use it as a context manager."""

    def __init__(self, port: Callable[[], int]) -> None:
        """`port` is asked for at every new connection: a gateway that was started anew has another."""
        self._port = port
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def ask(self, wire: bytes, *, is_head: bool) -> Answer:
        """Send one request and return its answer. Raises MalformedAnswerError for none, and for one that is cut off."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port()), TIMEOUT_S)
        self._socket.sendall(wire)
        answer, rest = self._read(self._socket, is_head)
        if rest:
            raise MalformedAnswerError(f"more than one answer: {rest[:200]!r}")
        if answer.is_last or not answer.is_whole:
            self._close()
        return answer

    def _read(self, connection: socket.socket, is_head: bool) -> tuple[Answer, bytes]:
        received, is_ended = b"", False
        while True:
            parsed = parse_answer(received, is_head=is_head, is_ended=is_ended)
            if parsed is not None:
                return parsed
            if is_ended:
                self._close()
                raise MalformedAnswerError(f"the connection ended in {received[:200]!r}")
            try:
                data = connection.recv(65_536)
            except ConnectionResetError:
                data = b""
            received += data
            is_ended = not data

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
