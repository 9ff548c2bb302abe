"""A real log writer onto a real file, and exchanges to be recorded."""

from __future__ import annotations

import os
import tempfile
from types import TracebackType
from typing import Any

import orjson

from api_gateway.model.exchange import Exchange
from api_gateway.model.message import Request
from api_gateway.telemetry.log_writer import LogWriter


class Capture:
    """Writes lines into a temporary file without a thread, so that each is there when the call returns."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by our own __exit__
        self.writer = LogWriter(self._file.fileno(), is_threaded=False)

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.writer.close()
        self._file.close()

    @property
    def data(self) -> bytes:
        """Everything written so far."""
        size = os.fstat(self._file.fileno()).st_size
        return os.pread(self._file.fileno(), size, 0)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """All lines so far; each must be JSON."""
        return [orjson.loads(line) for line in self.data.splitlines()]


def finished(*, method: str = "GET", path: str = "/api/users/123", **facts: Any) -> Exchange:
    """Make a finished exchange; `facts` are its attributes."""
    request = Request(
        method=method,
        path=path,
        query="token=never-logged",
        headers={},
        repeated=frozenset(),
        body=None,
        peer="192.0.2.7",
        started_s=0.0,
    )
    exchange = Exchange(request)
    exchange.status = 200
    exchange.request_id = "request-1"
    for name, value in facts.items():
        setattr(exchange, name, value)
    return exchange
