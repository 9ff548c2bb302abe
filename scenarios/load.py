"""Open load: requests are sent when they are due, however long earlier ones take, and each one is judged."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from scenarios.client import ClientPool, request_bytes
from scenarios.oracle import PLAIN, Outcome, Question, Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadShape:
    """What is asked, and how often."""

    rate_per_s: float
    prefix: str = "echo"
    """Which service: see `request_bytes`."""
    template: Question = PLAIN
    """What all questions have in common; each gets an id and a seed of its own."""


@dataclass(slots=True)
class Load:
    """A running load. Leave its context, or `stop` it, and wait for what is on its way."""

    port: int
    shape: LoadShape
    tally: Tally
    ids: list[str] = field(default_factory=list)
    """Ids of all requests sent, in order."""
    _is_over: bool = False
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        """Send until stopped, then wait for every outcome."""
        loop = asyncio.get_running_loop()
        pool = ClientPool(self.port)
        # Seeds need not be secret, only different.
        seeds = random.Random(self.port)
        try:
            due_s = loop.time()
            while not self._is_over:
                question = replace(self.shape.template, id=str(uuid.uuid4()), seed=seeds.getrandbits(63))
                self.ids.append(question.id)
                task = loop.create_task(self._ask(pool, question, due_s))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                due_s += 1 / self.shape.rate_per_s
                await asyncio.sleep(max(0.0, due_s - loop.time()))
            while self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            pool.close()

    def stop(self) -> None:
        """Send nothing more."""
        self._is_over = True

    async def _ask(self, pool: ClientPool, question: Question, due_s: float) -> None:
        outcome = await pool.ask(request_bytes(question, self.shape.prefix))
        took_s = asyncio.get_running_loop().time() - due_s
        self.tally.add(question, replace(outcome, due_s=due_s, took_s=took_s))


@asynccontextmanager
async def steady(port: int, shape: LoadShape, tally: Tally | None = None) -> AsyncIterator[Load]:
    """Send load while the context lasts; at its end every request has its verdict."""
    load = Load(port=port, shape=shape, tally=tally or Tally())
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load.run())
        try:
            yield load
        finally:
            load.stop()


async def ask_once(port: int, question: Question, prefix: str = "echo") -> Outcome:
    """Ask on a connection of its own."""
    pool = ClientPool(port)
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    try:
        outcome = await pool.ask(request_bytes(question, prefix))
    finally:
        pool.close()
    return replace(outcome, due_s=started_s, took_s=loop.time() - started_s)


async def ask_many(port: int, questions: list[Question], prefix: str = "echo", tally: Tally | None = None) -> Tally:
    """Ask all at once and judge every answer."""
    found = tally or Tally()
    outcomes = await asyncio.gather(*(ask_once(port, question, prefix) for question in questions))
    for question, outcome in zip(questions, outcomes, strict=True):
        found.add(question, outcome)
    return found


def questions(count: int, template: Question) -> list[Question]:
    """Return questions with ids and seeds of their own."""
    return [replace(template, id=str(uuid.uuid4()), seed=number + 1) for number in range(count)]
