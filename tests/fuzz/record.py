"""Write `recordings.json` anew: `python -m tests.fuzz.record`. Wanted after a change to the conversations."""

from __future__ import annotations

import asyncio
import signal
import sys

from tests.fuzz.conversations import CONVERSATIONS, Talk
from tests.fuzz.recordings import Recording, frames_of, save
from tests.support.backends import LIBRARIES, Backend, start_backend
from tests.support.channels import channel_to
from tests.support.fault_proxy import Direction, FaultProxy

TIMEOUT_S = 2.0


def main() -> int:
    """Record every conversation with every library."""
    recordings = []
    for library in LIBRARIES:
        for conversation in CONVERSATIONS:
            with start_backend(library) as backend:
                recording = asyncio.run(record(backend, conversation))
            recordings.append(recording)
            codes = [outcome.code for outcome in recording.outcomes]
            print(f"{recording.name}: {sum(map(len, recording.frames))} bytes, codes {codes}")
    save(recordings)
    return 0


async def record(backend: Backend, conversation: str) -> Recording:
    """Record one conversation."""
    loop = asyncio.get_running_loop()
    async with (
        FaultProxy(backend.port, keeps_bytes=True) as proxy,
        channel_to(proxy.endpoint) as channel,
        asyncio.TaskGroup() as tasks,
    ):
        talks = [Talk(plan, channel.channel, loop.time() + TIMEOUT_S) for plan in CONVERSATIONS[conversation]]
        for talk in talks:
            tasks.create_task(talk.run())
        if conversation == "going away":
            await proxy.wait_until(lambda: bool(talks[0].end_count and talks[-1].messages))
            backend.process.send_signal(signal.SIGTERM)
    return Recording(
        library=backend.library,
        conversation=conversation,
        frames=frames_of(bytes(proxy.kept[Direction.TO_CLIENT])),
        outcomes=tuple(talk.outcome for talk in talks),
    )


if __name__ == "__main__":
    sys.exit(main())
