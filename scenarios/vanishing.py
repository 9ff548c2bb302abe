"""Clients that vanish in the middle of a call (B17)."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from typing import Final

from scenarios.client import connect, request_bytes
from scenarios.load import questions
from scenarios.oracle import PLAIN, Question, quantile
from scenarios.patience import until
from scenarios.peer import PREFIX, EchoPeer, EchoPeerConnection, PeerCall
from scenarios.stage import Stage
from tests.support.gateway import serving
from tests.support.h2_frames import Error, Frame, Kind
from tests.support.scripted_peer import PeerConnection

CLIENTS: Final = 500
RATE_PER_S: Final = 200.0
STAYS_S: Final = (0.02, 0.2)
"""How long a client stays after its call has reached the backend."""
CANCEL_S: Final = 0.1


class CancelConnection(EchoPeerConnection):
    """Writes down when each call was reset."""

    def _take(self, frame: Frame) -> None:
        super()._take(frame)
        if frame.kind == Kind.RST_STREAM:
            peer = self._peer
            assert isinstance(peer, CancelPeer)
            peer.reset(self.requests[frame.stream_id].stream_id, self)


class CancelPeer(EchoPeer):
    """Never answers, and writes down which calls came and which were cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived: dict[str, PeerCall] = {}
        self.reset_s: dict[str, float] = {}
        """When the reset of a call came."""

    def hold(self, call: PeerCall) -> None:
        """Let a call wait."""
        self.arrived[call.message.id] = call

    def reset(self, stream_id: int, connection: PeerConnection) -> None:
        """A stream was reset."""
        for request_id, call in self.arrived.items():
            if call.connection is connection and call.stream_id == stream_id:
                self.reset_s[request_id] = asyncio.get_running_loop().time()

    def _new_connection(self) -> PeerConnection:
        return CancelConnection(self.manners, self._made, self)


async def vanishing_clients(stage: Stage) -> None:
    """B17: five hundred clients close their connection while their call is under way."""
    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(CancelPeer())
        gateway = await stack.enter_async_context(stage.gateway(serving(peer.endpoint), prefixes=(PREFIX,)))
        peer.on_call = peer.hold
        left_s: dict[str, float] = {}
        async with asyncio.TaskGroup() as tasks:
            for question in questions(stage.number(CLIENTS, at_least=50), PLAIN):
                tasks.create_task(_vanish(gateway.port, peer, question, left_s))
                await asyncio.sleep(1 / RATE_PER_S)
        await until(lambda: len(peer.reset_s) == len(left_s), "every call is cancelled", timeout_s=10)
    took_s = [peer.reset_s[each] - moment for each, moment in left_s.items()]
    codes = {peer.arrived[each].request.reset_code for each in left_s}
    marks = stage.marks
    marks.note("clients that vanished", len(left_s))
    in_time = sum(each < CANCEL_S for each in took_s) / len(took_s) * 100
    marks.at_least("cancelled at the backend within 100 ms", in_time, 99, " %")
    marks.note("half of them within", f"{quantile(took_s, 0.5) * 1000:.1f} ms")
    marks.note("the slowest after", f"{max(took_s) * 1000:.1f} ms")
    marks.holds("reset with", sorted(map(str, codes)), "CANCEL (8)", is_met=codes == {Error.CANCEL})
    open_calls = sum(call.is_open and call.message.id not in left_s for call in peer.arrived.values())
    marks.equals("streams left open", open_calls, 0)


async def _vanish(port: int, peer: CancelPeer, question: Question, left_s: dict[str, float]) -> None:
    """Ask, wait for the call to arrive, and go a moment later."""
    connection = await connect(port)
    asking = asyncio.get_running_loop().create_task(connection.ask(request_bytes(question, PREFIX)))
    await until(lambda: question.id in peer.arrived, "the call reaches the backend")
    await asyncio.sleep(random.Random(question.seed).uniform(*STAYS_S))
    left_s[question.id] = asyncio.get_running_loop().time()
    connection.abort()
    await asking
