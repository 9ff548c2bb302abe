"""The store of several machines: windows and the generation number in Redis or Valkey, breakers on each machine.

All calls made while one exchange with the server is under way travel together in the next one. A server that breaks
off, refuses the login, does not answer in time or says that it cannot work (a replica, out of memory, loading) is down:
from then on every call fails at once, so that requests never wait for it, while one task tries to count with it again.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from hashlib import sha1
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from redis.exceptions import NoScriptError, ResponseError

from .redis_link import Command, LinkError, RedisLink
from .store import BreakerRecord, MachineStore, StoreError
from .window import Verdict

if TYPE_CHECKING:
    from .store import Store

_HIT_SCRIPT: Final = b"""
-- One request of KEYS[1], at most ARGV[1] in a window of ARGV[2] microseconds: the arithmetic of window.py.
-- The server's clock decides, so the clocks of the gateways do not matter. Returns {remaining or -1, microseconds}.
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local number = math.floor(now / window)
local elapsed = now - number * window
local stored = redis.call('HMGET', KEYS[1], 'number', 'current', 'previous')
local counted_in, current, previous = tonumber(stored[1] or 0), tonumber(stored[2] or 0), tonumber(stored[3] or 0)
if counted_in < number then
  previous = counted_in == number - 1 and current or 0
  current = 0
elseif counted_in > number then
  number, elapsed = counted_in, 0
end
local left = window - elapsed
local room = limit - 0.5 - current
local remaining = room - previous * left / window
if remaining < 0 then
  local wait
  if room >= 0 then
    wait = math.max(0, left - window * room / previous)
  else
    wait = left + window * (1 - (limit - 0.5) / current)
  end
  return {-1, math.ceil(wait)}
end
redis.call('HSET', KEYS[1], 'number', number, 'current', current + 1, 'previous', previous)
redis.call('PEXPIRE', KEYS[1], math.ceil((left + window) / 1000))
return {math.floor(remaining), left}
"""
_HIT_SCRIPT_SHA: Final = sha1(_HIT_SCRIPT, usedforsecurity=False).hexdigest()

_KEY_PREFIX: Final = "api-gateway"
_GENERATION_KEY: Final = f"{_KEY_PREFIX}:generation"
_PROBE_LIMIT: Final = 1_000_000_000
"""Never reached, so that every probe writes: a replica and a full server still read."""
_POLL_S: Final = 1.0
"""How often the generation number is read, and a silent server noticed."""
_MAX_BATCH: Final = 500
_MAX_WAITING: Final = 10_000
"""Calls that may wait for the next exchange; one more fails at once."""
_MIN_BACKOFF_S: Final = 0.05
_MAX_BACKOFF_S: Final = 1.0


class _Call(NamedTuple):
    command: Command
    decode: Callable[[Any], Any]
    """Turns the server's reply into the result. What Redis replies has no static type."""
    result: asyncio.Future[Any]


class ClusterStore:
    """A worker's own handle on the shared server. Make it after the fork, and `start` it on the worker's loop."""

    def __init__(self, url: str, local: MachineStore, *, window_s: float, timeout_s: float) -> None:
        """Read the address; no I/O. `local` keeps what concerns this machine only. Raises ValueError."""
        self._link = RedisLink(url, timeout_s=timeout_s)
        self._local = local
        self._window_us = int(window_s * 1_000_000)
        # The window's length is part of the name: counts of another length could not be continued.
        self._key_prefix = f"{_KEY_PREFIX}:window:{window_s:g}:".encode()
        self._probe: Command = ("EVAL", _HIT_SCRIPT, 1, f"{_KEY_PREFIX}:probe", _PROBE_LIMIT, self._window_us)
        self._calls: list[_Call] = []
        self._has_calls = asyncio.Event()
        self._trouble = "not connected yet"
        self._generation: int | None = None
        self._generation_changes = 0
        self._poll_at_s = 0.0
        self._keeper: asyncio.Task[None] | None = None

    @property
    def trouble(self) -> str:
        """Why the server cannot be asked at the moment; empty while it can."""
        return self._trouble

    async def start(self) -> None:
        """Start the task that keeps the connection, and wait for the end of its first attempt, success or not."""
        first_attempt = asyncio.Event()
        self._keeper = asyncio.get_running_loop().create_task(self._keep(first_attempt), name="redis connection")
        await first_attempt.wait()

    def hit(self, key: bytes, limit: int, now_s: float) -> Awaitable[Verdict]:
        """Count one request of `key` unless it exceeds `limit` per window, by the server's clock.

        Raises StoreError, at once while the server is down.
        """
        command = ("EVALSHA", _HIT_SCRIPT_SHA, 1, self._key_prefix + key, limit, self._window_us)
        return self._ask(command, _decode_verdict)

    def read_breaker(self, service: str) -> BreakerRecord:
        """Return this machine's record of a service. Raises StoreError."""
        return self._local.read_breaker(service)

    def update_breaker(
        self, service: str, change: Callable[[BreakerRecord], BreakerRecord]
    ) -> tuple[BreakerRecord, BreakerRecord]:
        """Replace this machine's record by `change(record)`; return the old and the new one. Raises StoreError."""
        return self._local.update_breaker(service, change)

    def read_generation(self) -> int:
        """Return a number that grows with every bump, on whatever machine; at most a second old. Raises StoreError."""
        return self._local.read_generation() + self._generation_changes

    async def bump_generation(self) -> int:
        """Make the number larger on all machines.

        Raises StoreError while the server is down; the number is then larger on this machine only.
        """
        try:
            await self._ask(("INCR", _GENERATION_KEY), self._note_generation)
        except StoreError:
            self._local.bump_generation()
            raise
        return self.read_generation()

    async def close(self) -> None:
        """End the task, fail the calls that wait, and close the connection and the local store."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        await self._link.close()
        self._local.close()

    def _ask(self, command: Command, decode: Callable[[Any], Any]) -> asyncio.Future[Any]:
        if self._trouble:
            raise StoreError(self._trouble)
        if len(self._calls) >= _MAX_WAITING:
            raise StoreError("too many calls wait for the store")
        result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls.append(_Call(command, decode, result))
        self._has_calls.set()
        return result

    async def _keep(self, first_attempt: asyncio.Event) -> None:
        """Stay connected and exchange calls, for ever."""
        clock = asyncio.get_running_loop().time
        backoff_s = 0.0
        connected_s = math.inf
        try:
            while True:
                try:
                    await self._link.connect(self._probe)
                    connected_s = clock()
                    self._trouble = ""
                    first_attempt.set()
                    while True:
                        await self._exchange_next()
                except LinkError as error:
                    self._fail_all(str(error))
                # A server that passes the probe and fails on the next call must not be asked again without a pause.
                if clock() - connected_s > _MAX_BACKOFF_S:
                    backoff_s = 0.0
                connected_s = math.inf
                first_attempt.set()
                await asyncio.sleep(backoff_s * random.uniform(0.5, 1.0))  # noqa: S311  # spread, not secret
                backoff_s = min(max(2 * backoff_s, _MIN_BACKOFF_S), _MAX_BACKOFF_S)
        finally:
            first_attempt.set()
            self._fail_all("the store is closed")

    async def _exchange_next(self) -> None:
        """Wait for calls, at most until the next poll is due, and exchange them. Raises LinkError."""
        await self._wait_for_calls()
        batch = [call for call in self._calls[:_MAX_BATCH] if not call.result.done()]
        waiting = self._calls[_MAX_BATCH:]
        self._calls = waiting
        if not waiting:
            self._has_calls.clear()
        if batch:
            try:
                await self._exchange(batch)
            except BaseException:
                # Whoever learns that the exchange failed fails all calls, and these are still among them.
                self._calls = batch + self._calls
                raise

    async def _wait_for_calls(self) -> None:
        loop = asyncio.get_running_loop()
        left_s = self._poll_at_s - loop.time()
        if left_s > 0:
            try:
                async with asyncio.timeout(left_s):
                    await self._has_calls.wait()
            except TimeoutError:
                left_s = 0
        if left_s <= 0:
            self._poll_at_s = loop.time() + _POLL_S
            self._calls.append(_Call(("GET", _GENERATION_KEY), self._note_generation, loop.create_future()))

    async def _exchange(self, batch: list[_Call]) -> None:
        replies = await self._link.exchange([call.command for call in batch])
        unknown = [call for call, reply in zip(batch, replies, strict=True) if isinstance(reply, NoScriptError)]
        for call, reply in zip(batch, replies, strict=True):
            if not isinstance(reply, NoScriptError):
                _answer(call, reply)
        if unknown:
            # A server that was started or flushed does not know the script; the full text teaches it.
            commands = [("EVAL", _HIT_SCRIPT, *call.command[2:]) for call in unknown]
            for call, reply in zip(unknown, await self._link.exchange(commands), strict=True):
                _answer(call, reply)

    def _fail_all(self, trouble: str) -> None:
        self._trouble = trouble
        calls, self._calls = self._calls, []
        self._has_calls.clear()
        for call in calls:
            _fail(call, StoreError(trouble))

    def _note_generation(self, reply: int | bytes | None) -> int:
        generation = int(reply or 0)
        if self._generation not in (None, generation):
            self._generation_changes += 1
        self._generation = generation
        return generation


def _decode_verdict(reply: object) -> Verdict:
    match reply:
        case [int(remaining), int(microseconds)]:
            return remaining, microseconds / 1_000_000
    raise TypeError(f"two numbers were expected, not {type(reply).__name__}")


def _answer(call: _Call, reply: object) -> None:
    if call.result.done():
        return
    if isinstance(reply, ResponseError):
        _fail(call, StoreError(str(reply)))
        return
    try:
        call.result.set_result(call.decode(reply))
    except (TypeError, ValueError, OverflowError) as error:
        _fail(call, StoreError(f"unexpected reply: {error}"))


def _fail(call: _Call, error: StoreError) -> None:
    if not call.result.done():
        call.result.set_exception(error)
        # A caller that left meanwhile will never look at it; without this, asyncio would log each one.
        call.result.exception()


if TYPE_CHECKING:
    _guard: type[Store] = ClusterStore
