"""Backends to which no connection can be made: a full backlog (B11), and SETTINGS that never come (B12)."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any, Final

from api_gateway.grpc.connectivity import DEFAULT_RECONNECT_GRACE_S
from scenarios.backends import echo_backend
from scenarios.load import LoadShape, steady
from scenarios.neighbour import beside, neighbour
from scenarios.oracle import PLAIN
from scenarios.patience import until
from scenarios.peer import PREFIX, EchoPeer, EchoPeerConnection
from scenarios.refusing import NEVER_OPENS
from scenarios.stage import Stage
from tests.support.scripted_peer import Manners, PeerConnection

CONNECT_TIMEOUT_S: Final = 1.0
SERVICE: Final = {
    "connect_timeout_ms": int(CONNECT_TIMEOUT_S * 1000),
    "circuit_breaker": NEVER_OPENS,
}
RATE_PER_S: Final = 50.0
TOLERANCE_S: Final = 0.15
"""How much earlier than asked for timers of two processes may seem to ring."""
LAST_CHANCE_S: Final = 1.1
"""How long before the end of the grace period one attempt may come out of its turn."""


async def full_backlog(stage: Stage) -> None:
    """B11: the listen backlog is full, so that SYNs vanish."""
    async with AsyncExitStack() as stack:
        backend = await stack.enter_async_context(echo_backend(stage))
        peer = await stack.enter_async_context(EchoPeer())
        config = beside(backend, peer, **SERVICE)
        gateway = await stack.enter_async_context(stage.gateway(config, prefixes=("echo", PREFIX)))
        async with neighbour(stage, gateway) as healthy:
            peer.stop_listening()
            with black_hole(peer.port):
                before = len(gateway.events("connection failed"))
                peer.abort_all()
                shape = LoadShape(rate_per_s=RATE_PER_S, prefix=PREFIX, template=PLAIN)
                async with steady(gateway.port, shape) as load:
                    await asyncio.sleep(stage.seconds(10, at_least_s=6))
                failed = gateway.events("connection failed")[before:]
    tally = load.tally
    marks = stage.marks
    _mark_reasons(stage, failed)
    marks.holds("requests to it", tally.asked, "> 0", is_met=tally.asked > 0)
    # What was on its way when the connection ended is 503 too.
    marks.equals("answers 503", tally.statuses[503], tally.asked)
    marks.equals("LATE", tally.late, 0)
    healthy.mark(stage)


@contextmanager
def black_hole(port: int) -> Iterator[None]:
    """Listen on a port with a backlog that is full: further SYNs get no answer."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(0)
        fillers = [_filler(port) for _ in range(3)]
        try:
            yield
        finally:
            for each in fillers:
                each.close()


def _filler(port: int) -> socket.socket:
    filler = socket.socket()
    filler.setblocking(False)
    filler.connect_ex(("127.0.0.1", port))
    return filler


class Silent(EchoPeer):
    """A peer that, once told to, accepts connections and says nothing on them."""

    def __init__(self) -> None:
        super().__init__()
        self.fell_silent_s = 0.0
        self.accepted_s: list[float] = []
        """When it accepted, since it fell silent."""
        self.silent: list[PeerConnection] = []

    def fall_silent(self) -> None:
        """End what there is, and say nothing on what comes."""
        self.manners = Manners().silent()
        self.fell_silent_s = asyncio.get_running_loop().time()
        self.abort_all()

    def _made(self, connection: PeerConnection) -> None:
        super()._made(connection)
        if self.manners.settings is None:
            self.accepted_s.append(asyncio.get_running_loop().time())
            self.silent.append(connection)


async def no_settings(stage: Stage) -> None:
    """B12: connections are accepted and no SETTINGS come. One worker: attempts of two would mix."""
    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(Silent())
        config = {"services": {"peer": {"endpoint": peer.endpoint, **SERVICE}}}
        gateway = await stack.enter_async_context(stage.gateway(config, workers=1, prefixes=(PREFIX,)))
        before = len(gateway.events("connection failed"))
        peer.fall_silent()
        shape = LoadShape(rate_per_s=RATE_PER_S, prefix=PREFIX, template=PLAIN)
        async with steady(gateway.port, shape) as load:
            await asyncio.sleep(stage.seconds(14, at_least_s=6))
        failed = gateway.events("connection failed")[before:]
        peer.manners = Manners()
        async with steady(gateway.port, shape) as after:
            await until(lambda: bool(after.tally.ok_times_s), "it answers again", timeout_s=30)
    marks, tally = stage.marks, load.tally
    _mark_reasons(stage, failed)
    carried = sum(len(connection.requests) for connection in peer.silent)
    marks.equals("calls put on such a connection", carried, 0)
    marks.equals("answers 503", tally.statuses[503], tally.asked)
    marks.equals("LATE", tally.late, 0)
    _mark_backoff(stage, peer)
    assert all(isinstance(each, EchoPeerConnection) for each in peer.silent)


def _mark_reasons(stage: Stage, failed: list[dict[str, Any]]) -> None:
    """Mark that every attempt failed by the timeout, and for no other reason."""
    wanted = f"no connection within {CONNECT_TIMEOUT_S:g} s"
    # Before it stands the address.
    reasons = {event["fields"]["reason"].rpartition(": ")[2] for event in failed}
    stage.marks.holds("why attempts failed", ", ".join(sorted(reasons)), wanted, is_met=reasons == {wanted})


def _mark_backoff(stage: Stage, peer: Silent) -> None:
    """Mark that attempts come further and further apart: 1 s, times 1.6, each +-20 %, from start to start.

    But one is due before calls stop waiting, so that a backend that restarts meanwhile costs them no error.
    """
    gaps = [after - before for before, after in itertools.pairwise(peer.accepted_s)]
    least = [max(CONNECT_TIMEOUT_S, 0.8 * 1.6**number) - TOLERANCE_S for number in range(len(gaps))]
    grace_end_s = peer.fell_silent_s + DEFAULT_RECONNECT_GRACE_S + TOLERANCE_S
    early = [at_s for at_s, gap, bound in zip(peer.accepted_s[1:], gaps, least, strict=True) if gap < bound]
    is_met = len(gaps) >= 3 and (
        not early or (len(early) == 1 and grace_end_s - LAST_CHANCE_S - 2 * TOLERANCE_S <= early[0] <= grace_end_s)
    )
    shown = ", ".join(f"{gap:.1f}" for gap in gaps)
    wanted = "1.0, 1.6, 2.6, 4.1 each -20 %; one sooner before calls stop waiting"
    stage.marks.holds("seconds between attempts", shown, wanted, is_met=is_met)
