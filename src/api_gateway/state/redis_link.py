"""One connection to Redis or Valkey: it is there or it is not, and every exchange ends within its time.

Reconnecting, and what an outage means, are the caller's decisions (`cluster.py`).
"""

from __future__ import annotations

import asyncio
import re
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

_OF_ONE_COMMAND: Final = frozenset({"ERR", "NOSCRIPT", "WRONGTYPE"})
"""Codes of errors that concern the command or its key; whoever says anything else would say so to others, too."""
_INNER_CODE: Final = re.compile(r": -([A-Z]+) ")
"""Redis 6 hides the code of what a script was refused: `ERR Error running script (...): ...: -READONLY You can't`."""


class LinkError(Exception):
    """The connection is unusable: refused, broken, logged out, too slow, or to a server that refuses to work."""


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

    async def connect(self, probe: Command = ("PING",)) -> None:
        """Connect, log in, and see that the server does in time what will be asked of it. Raises LinkError.

        A replica, a full server and one that is loading all answer PING; `probe` is better what requests will need.
        """
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._connection.connect()  # type: ignore[no-untyped-call]  # redis-py has no types for it
        except Exception as error:
            await self.close()
            raise LinkError(f"cannot connect: {_describe(error)}") from error
        (reply,) = await self.exchange([probe])
        if isinstance(reply, ResponseError):
            await self.close()
            raise LinkError(f"{probe[0]!s} was refused: {_describe(reply)}")

    async def exchange(self, commands: Sequence[Command]) -> list[object]:
        """Send all commands at once and return their replies in order; a refused command's is a ResponseError.

        Raises LinkError when the last reply is not there within `timeout_s`, the connection breaks, what comes is not
        Redis's protocol, or the server says that it does not work for anybody (READONLY, OOM, LOADING, NOAUTH ...);
        how many of the commands were executed is then unknown. A cancelled exchange closes the connection.
        """
        connection = self._connection
        try:
            async with asyncio.timeout(self._timeout_s):
                await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
                return [await self._read_reply() for _ in commands]
        except Exception as error:
            # Any exception at all: redis-py's parser raises ValueError and others for junk.
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
            if _code(refused) not in _OF_ONE_COMMAND:
                # A connection kept would stay with a replica for ever after a failover.
                raise
            return refused
        return reply

    async def close(self) -> None:
        """Close the connection at once. Does nothing if it is closed."""
        await self._connection.disconnect(nowait=True)


def _code(error: ResponseError) -> str:
    """Return the word by which Redis names an error; redis-py cuts it off the text of those it knows."""
    text = str(error)
    code: str = error.status_code or text.partition(" ")[0]
    inner = _INNER_CODE.search(text) if code == "ERR" else None
    return inner[1] if inner is not None else code


def _describe(error: Exception) -> str:
    text = str(error) or type(error).__name__
    code = error.status_code if isinstance(error, RedisError) else None
    return f"{code} {text}" if code else text
