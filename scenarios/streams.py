"""Server streams whose backend dies in their middle (B4)."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from scenarios.backends import echo_backend, kill
from scenarios.client import ClientConnection, connect
from scenarios.oracle import Outcome
from scenarios.patience import until
from scenarios.stage import Stage
from tests.support.echo_behaviour import payload_of
from tests.support.gateway import serving

STREAMS: Final = 50
MESSAGES: Final = 1_000
PAYLOAD_BYTES: Final = 64
BEGUN_BYTES: Final = 20_000
"""About a hundred messages: from here on a stream counts as under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnd:
    """How one stream ended for its client."""

    messages: int
    """Right ones, in their order, from the first."""
    is_error_shown: bool
    """A last line with an error."""
    is_cut: bool
    """The connection ended inside the body, which no client takes for a whole answer."""
    has_wrong: bool
    """A message that is not the next one of this stream."""

    @property
    def is_short_as_if_whole(self) -> bool:
        """A clean end before the last message: the one thing that must not be."""
        return not self.is_error_shown and not self.is_cut and self.messages < MESSAGES


def read_end(seed: int, outcome: Outcome) -> StreamEnd:
    """Return how a stream of NDJSON ended."""
    lines = outcome.body.split(b"\n")
    # What follows the last line end is the beginning of a line, or nothing.
    documents = [json.loads(line) for line in lines[:-1]]
    is_error_shown = bool(documents) and "error" in documents[-1]
    if is_error_shown:
        documents.pop()
    payload = base64.b64encode(payload_of(seed, PAYLOAD_BYTES)).decode()
    right = [is_message(document, number, seed, payload) for number, document in enumerate(documents)]
    return StreamEnd(
        messages=right.index(False) if False in right else len(right),
        is_error_shown=is_error_shown,
        is_cut=not outcome.status,
        has_wrong=False in right or (bool(lines[-1]) and bool(outcome.status)),
    )


def is_message(document: Any, number: int, seed: int, payload: str) -> bool:
    """Whether this is the message of that number of a stream. ProtoJSON leaves out what is 0."""
    return (
        document.get("index", 0) == number
        and int(document.get("seed", 0)) == seed
        and document.get("payload") == payload
        and document.get("id") == f"stream-{seed}"
    )


async def killed_in_streams(stage: Stage) -> None:
    """B4: kill -9 the backend while fifty streams of a thousand messages are under way."""
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(echo_backend(stage))
        config = serving(backend.endpoint, service={"timeout_ms": 30_000})
        gateway = await stack.enter_async_context(stage.gateway(config))
        clients = [await connect(gateway.port) for _ in range(STREAMS)]
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(client.ask(_request(seed))) for seed, client in enumerate(clients, start=1)]
            await _under_way(clients)
            await kill(backend)
        for client in clients:
            client.abort()
    ends = [read_end(seed, task.result()) for seed, task in enumerate(waiting, start=1)]
    marks = stage.marks
    marks.note("right messages received", sum(end.messages for end in ends))
    marks.equals("streams with a wrong message", sum(end.has_wrong for end in ends), 0)
    marks.equals(
        "streams with an end their client knows for an error", sum(e.is_error_shown or e.is_cut for e in ends), STREAMS
    )
    marks.note("of them with a last line that tells the error", sum(end.is_error_shown for end in ends))
    marks.equals("streams that ended short as if whole", sum(end.is_short_as_if_whole for end in ends), 0)


async def _under_way(clients: list[ClientConnection]) -> None:
    await until(lambda: min(client.received_bytes for client in clients) >= BEGUN_BYTES, "all streams are under way")


def _request(seed: int) -> bytes:
    query = f"id=stream-{seed}&seed={seed}&behaviour.messageCount={MESSAGES}"
    behaviour = f"behaviour.responseSizeBytes={PAYLOAD_BYTES}&behaviour.sleepMs=2"
    return f"GET /echo/v1/stream?{query}&{behaviour} HTTP/1.1\r\nhost: gateway\r\n\r\n".encode()
