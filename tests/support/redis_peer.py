"""A server that speaks as much of Redis's protocol as the gateway needs, and says what a test wants to hear.

For what a real server cannot be brought to say at will (tests/support/redis_server.py is the real one).
"""

from __future__ import annotations

import socketserver
import threading
import time
from io import BufferedIOBase
from pathlib import Path
from typing import Self

COUNTED = b"*2\r\n:9\r\n:30000000\r\n"
"""The reply to a request that passes: nine are left, and the window ends in 30 s."""
_SCRIPTS = (b"EVAL", b"EVALSHA")
_TRICKLE_S = 0.05


class RedisPeer:
    """Answers every script with `reply`, and whatever else with OK. Use it as a context manager.

    With `ends`, the connection is cut behind the reply; with `trickles`, a reply comes a byte at a time.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / "peer.sock"
        self.url = f"unix://{path}"
        self.calls = 0
        """Requests that were brought here to be counted; what a gateway does to see whether we are well is not."""
        self.behave(COUNTED)
        peer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                try:
                    while command := _read_command(self.rfile):
                        if not peer.answer(command, self):
                            return
                except (OSError, ValueError):
                    pass

        class Listener(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        self._listener = Listener(str(path), Handler)
        self._thread = threading.Thread(
            target=self._listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def behave(
        self, reply: bytes, *, to_calls: bytes | None = None, ends: bool = False, trickles: bool = False
    ) -> None:
        """Say this from now on, to requests that are to be counted `to_calls` if it is given."""
        self._reply, self._ends, self._trickles = reply, ends, trickles
        self._reply_to_calls = to_calls

    def answer(self, command: list[bytes], handler: socketserver.StreamRequestHandler) -> bool:
        """Answer one command; return whether the connection goes on."""
        if command[0] not in _SCRIPTS:
            handler.wfile.write(b"$-1\r\n" if command[0] == b"GET" else b"+OK\r\n")
            return True
        is_call = command[0] == b"EVALSHA"
        self.calls += is_call
        reply = self._reply_to_calls if is_call and self._reply_to_calls is not None else self._reply
        if self._trickles:
            for at in range(len(reply)):
                handler.wfile.write(reply[at : at + 1])
                time.sleep(_TRICKLE_S)
        else:
            handler.wfile.write(reply)
        return not self._ends

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()


def _read_command(reader: BufferedIOBase) -> list[bytes]:
    """Return the words of one command, none at the end."""
    words = []
    for _ in range(int(reader.readline()[1:] or b"0")):
        size = int(reader.readline()[1:])
        words.append(reader.read(size + 2)[:-2])
    return words
