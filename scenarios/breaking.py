"""The circuit breaker of two workers under failures that come and go (B20)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from scenarios.client import connect, request_bytes
from scenarios.load import Load, LoadShape, ask_many, questions, steady
from scenarios.oracle import PLAIN, Tally, Verdict, quantile, reason_of
from scenarios.patience import until
from scenarios.peer import PREFIX, EchoPeer, PeerCall
from scenarios.stage import Stage, WatchedGateway
from tests.support.gateway import serving

FLAPS: Final = 20
BREAKER: Final = {"failure_threshold": 5, "success_threshold": 2, "timeout_seconds": 1.5}
OPEN_S: Final = 1.5
SEEN_S: Final = 1.0
"""All workers must see a change within this."""
LOCAL_MS: Final = 5.0
"""A refusal by the breaker must not take longer."""
PROBE_S: Final = 0.05
RATE_PER_S: Final = 300.0
CLIENT_ERRORS: Final = {"3": 400, "5": 404}
"""gRPC statuses that are the client's fault, and what the client is told."""
MISTAKES: Final = 100
_UNAVAILABLE: Final = b"14"


class Flapping:
    """A backend that is well or ill, and knows when it was called."""

    def __init__(self, peer: EchoPeer) -> None:
        self.calls_s: list[float] = []
        """When it was called, since it fell ill the last time."""
        self.overlaps = 0
        """Calls that came while a trial was under way."""
        self._peer = peer
        self._random = random.Random(20)
        self._trials = 0
        self._is_in_trial = False

    def fall_ill(self) -> None:
        """Fail every second call, at random."""
        self.calls_s.clear()
        self._peer.on_call = self._fail_half

    def recover(self, trials: int) -> None:
        """Be well; answer so many calls slowly and look whether others come meanwhile: they are the trials."""
        self._trials = trials
        self._peer.on_call = self._be_tried

    def _fail_half(self, call: PeerCall) -> None:
        self.calls_s.append(asyncio.get_running_loop().time())
        if self._random.random() < 0.5:
            call.connection.send(call.connection.trailers_only(call.stream_id, status=_UNAVAILABLE))
        else:
            self._peer.execute(call)

    def _be_tried(self, call: PeerCall) -> None:
        self.calls_s.append(asyncio.get_running_loop().time())
        self.overlaps += self._is_in_trial
        self._is_in_trial = True
        asyncio.get_running_loop().call_later(PROBE_S, self._end_trial, call)

    def _end_trial(self, call: PeerCall) -> None:
        self._is_in_trial = False
        self._trials -= 1
        if self._trials <= 0:
            self._peer.on_call = self._peer.execute
        self._peer.execute(call)


async def flapping(stage: Stage) -> None:
    """B20: half of all calls fail, it opens, is tried, closes; twenty times. Clients' mistakes do nothing to it."""
    flaps = stage.number(FLAPS, at_least=2)
    async with AsyncExitStack() as stack:
        peer = await stack.enter_async_context(EchoPeer())
        config = serving(peer.endpoint, service={"circuit_breaker": BREAKER})
        gateway = await stack.enter_async_context(stage.gateway(config, prefixes=(PREFIX,)))
        backend = Flapping(peer)
        shape = LoadShape(rate_per_s=RATE_PER_S, prefix=PREFIX, template=PLAIN)
        async with steady(gateway.port, shape) as load:
            last_s = [await _flap(load, backend) for _ in range(flaps)]
        await _mistakes(stage, gateway, peer)
        opened = await gateway.metric(
            "api_gateway_circuit_breaker_state_changes_total", {"service": "echo", "from": "closed", "to": "open"}
        )
    stage.judge(load.tally)
    marks = stage.marks
    marks.equals("times it opened, once for all workers", opened, flaps)
    marks.at_most("last call by any worker after it had opened", max(last_s), SEEN_S, " s")
    marks.equals("calls beside a trial", backend.overlaps, 0)
    refused_ms = [each.took_s * 1000 for each in load.tally.errors if reason_of(each.body) == "CIRCUIT_OPEN"]
    marks.note("refusals by the breaker", len(refused_ms))
    # Beyond the middle a client on the same cores measures the kernel's scheduler.
    marks.at_most("half of them within", quantile(refused_ms, 0.5), LOCAL_MS, " ms")
    marks.note("99 % of them within", f"{quantile(refused_ms, 0.99):.1f} ms")


async def _flap(load: Load, backend: Flapping) -> float:
    """Have the breaker open and close once; return how long after the opening the backend was called last."""
    loop = asyncio.get_running_loop()
    tally = load.tally
    refused = tally.reasons["CIRCUIT_OPEN"]
    backend.fall_ill()
    await until(lambda: tally.reasons["CIRCUIT_OPEN"] > refused, "it opens")
    opened_s = loop.time()
    # The first trial comes when the open time is over, counted from a little before we saw it.
    await asyncio.sleep(OPEN_S - 0.1)
    last_s = max((moment for moment in backend.calls_s if moment > opened_s), default=opened_s) - opened_s
    trials = BREAKER["success_threshold"]
    backend.recover(int(trials))
    well = len(tally.ok_times_s)
    await until(lambda: len(tally.ok_times_s) > well + RATE_PER_S / 10, "it closes")
    return last_s


async def _mistakes(stage: Stage, gateway: WatchedGateway, peer: EchoPeer) -> None:
    """Mark that errors of clients, and clients that go away, leave it closed."""
    for status, http in CLIENT_ERRORS.items():
        peer.on_call = _ends_with(status.encode())
        tally = await ask_many(gateway.port, questions(MISTAKES, PLAIN), PREFIX, Tally(expected={http}))
        stage.marks.equals(f"{http} to clients", tally.statuses[http], MISTAKES)
    arrived: list[PeerCall] = []
    peer.on_call = arrived.append
    clients = [await connect(gateway.port) for _ in range(MISTAKES)]
    async with asyncio.TaskGroup() as tasks:
        for client, question in zip(clients, questions(MISTAKES, PLAIN), strict=True):
            tasks.create_task(client.ask(request_bytes(question, PREFIX)))
        await until(lambda: len(arrived) == MISTAKES, "all calls arrive")
        for client in clients:
            client.abort()
    await until(lambda: not any(call.is_open for call in arrived), "all calls are cancelled")
    peer.on_call = peer.execute
    state = (await gateway.health("echo"))["circuit_breaker"]
    stage.marks.holds("breaker after 200 client errors and 100 cancels", state, "closed", is_met=state == "closed")
    well = await ask_many(gateway.port, questions(MISTAKES, PLAIN), PREFIX)
    stage.marks.equals("right answers after them", well.count(Verdict.OK), MISTAKES)


def _ends_with(status: bytes) -> Callable[[PeerCall], None]:
    def end(call: PeerCall) -> None:
        call.connection.send(call.connection.trailers_only(call.stream_id, status=status))

    return end
