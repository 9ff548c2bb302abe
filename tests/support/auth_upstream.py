"""Typed fakes for the two services that authorization asks, and a request to authorize."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from api_gateway.model.errors import GatewayError, Source
from api_gateway.model.exchange import Exchange
from api_gateway.model.message import HeaderList, Request
from api_gateway.model.status import Code
from api_gateway.model.trace import Trace


@dataclass
class FakeReply:
    """A unary answer."""

    message: bytes
    headers: HeaderList = field(default_factory=list)
    trailers: HeaderList = field(default_factory=list)


@dataclass
class FakeUpstream:
    """Answers every call with `answer`, or raises it; `gate` holds the answers back until it is set."""

    answer: bytes | Exception = b""
    gate: asyncio.Event | None = None
    calls: list[tuple[bytes, bytes]] = field(default_factory=list)
    deadlines: list[float] = field(default_factory=list)
    metadata: list[HeaderList] = field(default_factory=list)
    traces: list[Trace | None] = field(default_factory=list)

    def unary(
        self, path: bytes, message: bytes, *, deadline_s: float, metadata: HeaderList, trace: Trace | None = None
    ) -> Awaitable[FakeReply]:
        """Call it."""
        self.calls.append((path, message))
        self.deadlines.append(deadline_s)
        self.metadata.append(metadata)
        self.traces.append(trace)
        return self._reply()

    async def _reply(self) -> FakeReply:
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return FakeReply(self.answer)


def upstream_error(code: Code, reason: str = "") -> GatewayError:
    """Return the error of a call that failed; without a reason the backend itself said so."""
    return GatewayError(code, "from upstream", source=Source.UPSTREAM, reason=reason)


def exchange(
    authorization: bytes | None = None,
    *,
    deadline_s: float = 0.0,
    headers: dict[bytes, bytes] | None = None,
    repeated: frozenset[bytes] = frozenset(),
    query: str = "",
) -> Exchange:
    """Return a request with an Authorization header."""
    fields = dict(headers or {})
    if authorization is not None:
        fields[b"authorization"] = authorization
    made = Exchange(
        Request(
            method="GET",
            path="/api/users/1",
            query=query,
            headers=fields,
            repeated=repeated,
            body=None,
            peer="127.0.0.1",
            started_s=0.0,
        )
    )
    made.deadline_s = deadline_s
    return made


async def settle(pending: Awaitable[None] | None) -> bool:
    """Wait for a decision; return whether it was made at once."""
    if pending is None:
        return True
    await pending
    return False


async def turns(condition: Callable[[], bool]) -> None:
    """Let the loop turn until a condition holds; fail after many turns."""
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("the condition never held")
