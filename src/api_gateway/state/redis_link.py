"""One connection to Redis or Valkey: it is there or it is not, and every exchange ends within its time.

Reconnecting, and what an outage means, are the caller's decisions (`cluster.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

Command = tuple[str | bytes | int, ...]

CONNECT_TIMEOUT_S: Final = 2.0
"""Longest attempt to connect, TLS and login included. No request waits for it."""


class LinkError(Exception):
    """The connection is unusable: refused, broken, logged out, or too slow."""


class RedisLink:
    """A connection for one task. After a LinkError it is closed, and `connect` opens it anew."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        """Read the address (`redis://`, `rediss://`, `unix://`); no I/O. Raises ValueError."""
        self._timeout_s = timeout_s
        pool = ConnectionPool.from_url(
            url,
            protocol=2,
            # Time is bounded here, around whole exchanges; a bound on each read would let a slow server add them up.
            socket_timeout=None,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        connection = pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py has no types for it
        self._connection: AbstractConnection = connection

    async def connect(self) -> None:
        """Connect, log in, and see that the server answers in time. Raises LinkError."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._connection.connect()  # type: ignore[no-untyped-call]  # redis-py has no types for it
        except (RedisError, OSError, TimeoutError) as error:
            await self.close()
            raise LinkError(f"cannot connect: {_describe(error)}") from error
        (reply,) = await self.exchange([("PING",)])
        if isinstance(reply, ResponseError):
            await self.close()
            raise LinkError(f"PING was refused: {_describe(reply)}")

    async def exchange(self, commands: Sequence[Command]) -> list[object]:
        """Send all commands at once and return their replies in order; a refused command's is a ResponseError.

        Raises LinkError when the last reply is not there within `timeout_s`, or the connection breaks; how many of the
        commands were executed is then unknown. A cancelled exchange closes the connection.
        """
        connection = self._connection
        try:
            async with asyncio.timeout(self._timeout_s):
                await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
                return [await self._read_reply() for _ in commands]
        except (RedisError, OSError, TimeoutError) as error:
            await self.close()
            raise LinkError(_describe(error)) from error
        except BaseException:
            # Replies nobody has read would be taken for those of the next exchange.
            await self.close()
            raise

    async def _read_reply(self) -> object:
        try:
            reply: object = await self._connection.read_response(disable_decoding=True)
        except ResponseError as refused:
            return refused
        return reply

    async def close(self) -> None:
        """Close the connection at once. Does nothing if it is closed."""
        await self._connection.disconnect(nowait=True)


def _describe(error: Exception) -> str:
    return str(error) or type(error).__name__
