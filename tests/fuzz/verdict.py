"""One case against the real channel, and what must hold after it.

- Every call ended exactly once, by its deadline and a tick of the deadline wheel, with a GatewayError or with messages.
- No exception reached the loop.
- No task, stream, queued call, deadline, timer or connection is left.
- Where the answer was unchanged, the calls ended as recorded.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any

from api_gateway.deadlines import TICK_S, DeadlineWheel
from api_gateway.grpc.channel import Channel
from api_gateway.grpc.connectivity import ChannelOptions
from api_gateway.grpc.retries import RetryPolicy
from api_gateway.grpc.target import parse_targets
from api_gateway.model.errors import GatewayError
from tests.fuzz.conversations import CallPlan, Talk
from tests.fuzz.plays import Case
from tests.support.channels import Recorder

PATIENCE_S = 30.0
"""How long after its deadline a call is waited for before it counts as hanging."""
CLOCK_SLACK_S = 1e-6
MAX_MESSAGE_BYTES = 65_536
COMPRESSED_FROM_BYTES = 50
KEEPALIVE_S = 0.02
SECOND_ENDPOINT = "http://127.0.0.2:1"
SHORT_LIFE_S = 0.03
OPTIONS = ChannelOptions(
    pool_size=2,
    connect_timeout_s=1.0,
    max_message_bytes=MAX_MESSAGE_BYTES,
    keepalive_timeout_s=KEEPALIVE_S,
    retry=RetryPolicy(max_attempts=3, initial_backoff_s=0.01),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a case came to."""

    faults: tuple[str, ...]
    """What did not hold; empty for a good case."""
    overrun_s: float
    """Largest time by which a call outlived its deadline."""
    codes: tuple[int, ...]


async def judge(case: Case, *, endpoint: str = "http://127.0.0.1:1", allowed_overrun_s: float = TICK_S) -> Verdict:
    """Play a case on the running loop. Connections end at `endpoint`."""
    loop = asyncio.get_running_loop()
    faults: list[str] = []
    loop.set_exception_handler(lambda _, context: faults.append(f"reached the loop: {_shown(context)}"))
    wheel, seen = DeadlineWheel(loop), Recorder()
    endpoints = [endpoint, SECOND_ENDPOINT] if case.has_two_endpoints else [endpoint]
    channel = Channel("fuzzed", parse_targets(endpoints), _options(case), loop=loop, wheel=wheel, observer=seen)
    deadline_s = loop.time() + case.timeout_s
    talks = [Talk(plan, channel, deadline_s, is_idempotent=case.is_idempotent) for plan in _plans(case)]
    faults += await _finished(talks, deadline_s)
    await channel.aclose()
    # What was closed is told so in the loop's next turns.
    for _ in range(3):
        await asyncio.sleep(0)
    left = (len(wheel), channel.open_streams, channel.queued_calls, (seen.connections or [0])[-1])
    if any(left):
        faults.append(f"left behind: {left} deadlines, streams, queued calls, connections")
    wheel.close()
    faults += [f"left behind: {task}" for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    overrun_s = max(talk.ended_s for talk in talks) - deadline_s
    if overrun_s > allowed_overrun_s + CLOCK_SLACK_S:
        faults.append(f"a call outlived its deadline by {overrun_s:.3f} s")
    outcomes = tuple(talk.outcome for talk in talks)
    if case.is_unchanged and outcomes != case.recording.outcomes:
        faults.append(f"the recorded answers were not understood: {outcomes} instead of {case.recording.outcomes}")
    return Verdict(faults=tuple(faults), overrun_s=overrun_s, codes=tuple(outcome.code for outcome in outcomes))


async def _finished(talks: list[Talk], deadline_s: float) -> list[str]:
    try:
        async with asyncio.timeout_at(deadline_s + PATIENCE_S):
            results = await asyncio.gather(*(talk.run() for talk in talks), return_exceptions=True)
    except TimeoutError:
        return [f"a call hangs: {talk.plan.path.decode()}" for talk in talks if not talk.end_count]
    faults = [f"raised: {result!r}" for result in results if result is not None]
    for talk in talks:
        if talk.end_count != 1:
            faults.append(f"{talk.plan.path.decode()} ended {talk.end_count} times")
        if talk.error is not None and not isinstance(talk.error, GatewayError) and not talk.call.cancelled():
            faults.append(f"{talk.plan.path.decode()} ended with {talk.error!r}")
        if any(len(message) > MAX_MESSAGE_BYTES for message in talk.messages):
            faults.append(f"{talk.plan.path.decode()} got a message over the limit")
    return faults


def _options(case: Case) -> ChannelOptions:
    return replace(
        OPTIONS,
        compressed_from_bytes=COMPRESSED_FROM_BYTES if case.compresses else None,
        keepalive_interval_s=KEEPALIVE_S if case.has_keepalive else 0.0,
        keepalive_without_calls=True,
        max_connection_age_s=SHORT_LIFE_S if case.has_short_lives else 0.0,
        health_service="" if case.watches_health else None,
    )


def _plans(case: Case) -> list[CallPlan]:
    plans = list(case.recording.plans)
    if case.has_cancels:
        plans = [plan if plan.is_unary else replace(plan, cancels_after=index % 3) for index, plan in enumerate(plans)]
    return plans


def _shown(context: dict[str, Any]) -> str:
    error = context.get("exception")
    return f"{context.get('message')} {error!r}"
