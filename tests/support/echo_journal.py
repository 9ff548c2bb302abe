"""What a backend executed, counted for each request id (reliability 4.1)."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.gen.echo_control_pb2 import (
    CANCELLED,
    COMPLETED,
    STARTED,
    GetJournalRequest,
    Journal,
    JournalEvent,
)

ALL = "*"
"""The id under which everything counts."""


@dataclass(slots=True)
class _Entry:
    methods: list[str] = field(default_factory=list)
    counts: dict[JournalEvent, int] = field(default_factory=lambda: defaultdict(int))


class EchoJournal:
    """Counts starts and ends. Belongs to one event loop.

    With a file, a line `EVENT id` is added to it for each: what was written is there even when this process is killed,
    and several backends may share it.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = -1 if file is None else os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._entries: dict[str, _Entry] = defaultdict(_Entry)
        self._waiters: list[tuple[GetJournalRequest, asyncio.Future[None]]] = []

    @contextmanager
    def execution(self, request_id: str, method: str) -> Iterator[None]:
        """Count one start, and one end: CANCELLED when the body was cancelled, else COMPLETED."""
        self._entries[ALL].methods.append(method)
        if request_id != ALL:
            self._entries[request_id].methods.append(method)
        self._count(request_id, STARTED)
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            self._count(request_id, CANCELLED)
            raise
        except Exception:
            self._count(request_id, COMPLETED)
            raise
        self._count(request_id, COMPLETED)

    def read(self, request_id: str) -> Journal:
        """Return the counts so far; all zero for an unknown id."""
        entry = self._entries.get(request_id, _Entry())
        return Journal(
            id=request_id,
            started=entry.counts[STARTED],
            completed=entry.counts[COMPLETED],
            cancelled=entry.counts[CANCELLED],
            methods=entry.methods,
        )

    async def wait(self, request: GetJournalRequest) -> Journal:
        """Return the counts once `request.wait_for` happened often enough."""
        if not self._is_satisfied(request):
            reached = asyncio.get_running_loop().create_future()
            waiter = (request, reached)
            self._waiters.append(waiter)
            try:
                await reached
            finally:
                self._waiters.remove(waiter)
        return self.read(request.id)

    def clear(self) -> None:
        """Forget all entries; waiters go on waiting."""
        self._entries.clear()

    def _is_satisfied(self, request: GetJournalRequest) -> bool:
        if not request.wait_for:
            return True
        entry = self._entries.get(request.id, _Entry())
        return entry.counts[request.wait_for] >= (request.at_least or 1)

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _count(self, request_id: str, event: JournalEvent) -> None:
        if self._file >= 0:
            os.write(self._file, f"{JournalEvent.Name(event)} {request_id}\n".encode())
        for key in {request_id, ALL}:
            self._entries[key].counts[event] += 1
        for request, reached in self._waiters:
            if not reached.done() and self._is_satisfied(request):
                reached.set_result(None)
