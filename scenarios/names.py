"""A name whose addresses change (B19).

The one scenario that does not run a gateway as a process: names would have to change in the system's resolver, which
needs a name server or the rights of root. It runs the gateway's channel with a resolver of its own; all else is real.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from api_gateway.grpc.connectivity import ChannelOptions
from api_gateway.model.errors import GatewayError
from api_gateway.model.status import Code
from scenarios.patience import until
from scenarios.stage import Stage
from tests.support.answering_peer import AnsweringPeer
from tests.support.channels import TestedChannel, channel_to

RESOLVE_INTERVAL_S: Final = 2.0
RATE_PER_S: Final = 300.0
DEADLINE_S: Final = 5.0


@dataclass(slots=True)
class Names:
    """A resolver: the addresses there are, none when empty."""

    addresses: list[tuple[str, int]] = field(default_factory=list)
    lookups: int = 0

    async def look_up(self, host: str, port: int) -> Sequence[tuple[str, int]]:
        """Answer like a name server."""
        self.lookups += 1
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return list(self.addresses)


async def changing_name(stage: Stage) -> None:
    """B19: the resolver says one address, then nothing, then two other ones."""
    names = Names()
    async with AsyncExitStack() as stack:
        old, *new = [await stack.enter_async_context(AnsweringPeer()) for _ in range(3)]
        names.addresses = [("127.0.0.1", old.port)]
        options = ChannelOptions(resolve_interval_s=RESOLVE_INTERVAL_S)
        channel = await stack.enter_async_context(channel_to("http://backend.test:1", options, lookup=names.look_up))
        codes: Counter[str] = Counter()
        async with asyncio.TaskGroup() as tasks:
            load = tasks.create_task(_call(channel, codes))
            await _after_lookups(names, 2)
            names.addresses = []
            await _after_lookups(names, 1)
            before_empty = len(old.executed)
            await _after_lookups(names, 1)
            while_empty = len(old.executed) - before_empty
            names.addresses = [("127.0.0.1", peer.port) for peer in new]
            await _after_lookups(names, 1)
            await until(lambda: all(each.is_closed for each in old.connections), "the old connection has drained")
            at_drain = len(old.executed)
            await asyncio.sleep(stage.seconds(2))
            load.cancel()
        # Leaving `channel_to` raises if a stream, a queued call, a deadline, a task or a connection is left.
    marks = stage.marks
    marks.holds("right answers", codes["OK"], "> 0", is_met=codes["OK"] > 0)
    marks.holds("by status", dict(codes), "OK only, never NOT_FOUND", is_met=set(codes) == {"OK"})
    marks.holds("served by the old address while the name was empty", while_empty, "> 0", is_met=while_empty > 0)
    marks.equals("served by the old address after its connection drained", len(old.executed) - at_drain, 0)
    shares = [len(peer.executed) for peer in new]
    marks.holds("served by the new addresses", shares, "each > 0", is_met=min(shares) > 0)
    marks.note("lookups", names.lookups)
    executed = Counter(body for peer in (old, *new) for body in peer.executed)
    marks.equals("executed more than once", sum(count > 1 for count in executed.values()), 0)


async def _after_lookups(names: Names, count: int) -> None:
    wanted = names.lookups + count
    await until(lambda: names.lookups >= wanted, "the name is looked up again")


async def _call(channel: TestedChannel, codes: Counter[str]) -> None:
    """Call again and again, until cancelled; each message is different and must come back."""
    async with asyncio.TaskGroup() as tasks:
        number = 0
        while True:
            number += 1
            tasks.create_task(_one_call(channel, b"%d" % number, codes))
            await asyncio.sleep(1 / RATE_PER_S)


async def _one_call(channel: TestedChannel, message: bytes, codes: Counter[str]) -> None:
    try:
        reply = await channel.unary(message, timeout_s=DEADLINE_S)
    except GatewayError as error:
        codes[Code(error.code).name] += 1
    else:
        codes["OK" if reply.message == message else "WRONG"] += 1
