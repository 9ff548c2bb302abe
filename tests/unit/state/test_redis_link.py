"""A connection that is there or is not, against a scripted server. tests/faults/test_state_redis.py has a real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.exceptions import ResponseError

from api_gateway.state.redis_link import LinkError, RedisLink
from tests.support.virtual_time import run_in_virtual_time

PATIENCE_S = 30.0
AT_ONCE_S = 0.05


class Server:
    """Answers each PING with PONG, and what is between with `replies`, in RESP (the protocol of Redis)."""

    def __init__(self, replies: dict[bytes, bytes] | None = None) -> None:
        self.replies = {b"PING": b"+PONG\r\n", **(replies or {})}
        self.commands: list[list[bytes]] = []
        self.url = ""
        self.handlers: list[asyncio.Task[None] | None] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.handlers.append(asyncio.current_task())
        try:
            while command := await self._read_command(reader):
                self.commands.append(command)
                writer.write(self.replies.get(command[0], b"+OK\r\n"))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _read_command(self, reader: asyncio.StreamReader) -> list[bytes]:
        head = await reader.readline()
        words = []
        for _ in range(int(head[1:] or b"0")):
            size = int((await reader.readline())[1:])
            words.append((await reader.readexactly(size + 2))[:-2])
        return words


@asynccontextmanager
async def serving(replies: dict[bytes, bytes] | None = None) -> AsyncIterator[Server]:
    server = Server(replies)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}/0"
    async with listening:
        yield server
    async with asyncio.timeout(PATIENCE_S):
        # Ends when every connection was closed, which is the link's business.
        await asyncio.gather(*(handler for handler in server.handlers if handler is not None))


async def test_commands_go_out_together_and_replies_come_in_their_order() -> None:
    async with serving({b"GET": b"$3\r\nabc\r\n", b"INCR": b":7\r\n", b"EVALSHA": b"-NOSCRIPT no\r\n"}) as server:
        link = RedisLink(server.url, timeout_s=PATIENCE_S)
        await link.connect()
        replies = await link.exchange([("GET", "k"), ("EVALSHA", "x"), ("INCR", b"\xff", 1)])
        assert [replies[0], replies[2]] == [b"abc", 7]
        assert isinstance(replies[1], ResponseError), "one refused command does not hold the others"
        assert server.commands[-3:] == [[b"GET", b"k"], [b"EVALSHA", b"x"], [b"INCR", b"\xff", b"1"]]
        await link.close()


async def test_nobody_listens() -> None:
    link = RedisLink("redis://127.0.0.1:1/0", timeout_s=PATIENCE_S)
    with pytest.raises(LinkError, match="cannot connect"):
        await link.connect()


async def test_a_server_that_refuses_the_ping_is_no_server() -> None:
    async with serving({b"PING": b"-ERR not me\r\n"}) as server:
        with pytest.raises(LinkError, match="PING was refused"):
            await RedisLink(server.url, timeout_s=PATIENCE_S).connect()


@pytest.mark.parametrize(
    "refusal",
    [
        *(f"{code} no" for code in ("READONLY", "OOM", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "NOAUTH")),
        *(f"{code} no" for code in ("WRONGPASS", "NOPERM", "BUSY", "CLUSTERDOWN", "CROSSSLOT", "TRYAGAIN", "NEWCODE")),
        "MOVED 3999 127.0.0.1:6381",
        "ASK 3999 127.0.0.1:6381",
        "MOVED",
        "ERR max number of clients reached",
        "ERR Error running script (call to f_1): @user_script:31: @user_script: 31: -READONLY no",
    ],
)
async def test_a_server_that_works_for_nobody_is_out_of_order(refusal: str) -> None:
    """D10: the connection is given up, for a better server may be behind the name by now."""
    async with serving({b"EVALSHA": f"-{refusal}\r\n".encode()}) as server:
        link = RedisLink(server.url, timeout_s=PATIENCE_S)
        await link.connect()
        with pytest.raises(LinkError) as caught:
            await link.exchange([("EVALSHA", "x"), ("GET", "k")])
        assert refusal.startswith(("ERR", "MOVED", "ASK")) or refusal in str(caught.value)
        # What the probe says counts too, whatever it says.
        with pytest.raises(LinkError):
            await link.connect(("EVALSHA", "x"))


@pytest.mark.parametrize("refusal", ["ERR no", "WRONGTYPE no", "NOSCRIPT no", "ERR @user_script: 9: -WRONGTYPE no"])
async def test_a_refusal_of_one_command_is_its_own(refusal: str) -> None:
    async with serving({b"EVALSHA": f"-{refusal}\r\n".encode(), b"GET": b":1\r\n"}) as server:
        link = RedisLink(server.url, timeout_s=PATIENCE_S)
        await link.connect()
        refused, found = await link.exchange([("EVALSHA", "x"), ("GET", "k")])
        assert isinstance(refused, ResponseError)
        assert found == 1
        with pytest.raises(LinkError, match="EVALSHA was refused"):
            await link.connect(("EVALSHA", "x"))


async def test_a_reply_too_late_closes_the_connection() -> None:
    async with serving({b"GET": b""}) as server:
        link = RedisLink(server.url, timeout_s=PATIENCE_S)
        await link.connect()
        link._timeout_s = AT_ONCE_S
        with pytest.raises(LinkError):
            await link.exchange([("GET", "k")])
        server.replies[b"GET"] = b":1\r\n"
        link._timeout_s = PATIENCE_S
        await link.connect()
        assert await link.exchange([("GET", "k")]) == [1], "the late reply of the old connection is not taken for ours"
        await link.close()


@pytest.mark.parametrize("junk", [b"?junk\r\n", b":x\r\n", b"$x\r\n", b"*x\r\n", b"-MOVED x\r\n", b"*1\r\n" * 3000])
async def test_junk_is_an_error_of_the_link(junk: bytes) -> None:
    """D10: whatever redis-py makes of it: ValueError, RecursionError and all."""
    async with serving({b"GET": junk}) as server:
        link = RedisLink(server.url, timeout_s=PATIENCE_S)
        await link.connect()
        with pytest.raises(LinkError):
            await link.exchange([("GET", "k")])
        await link.close()


async def test_a_cancelled_exchange_closes_the_connection() -> None:
    """D10: a reply that nobody read must not be taken for the next command's."""
    async with serving({b"GET": b""}) as server:
        link = RedisLink(server.url, timeout_s=PATIENCE_S)
        await link.connect()
        running = asyncio.get_running_loop().create_task(link.exchange([("GET", "k")]))
        while [b"GET", b"k"] not in server.commands:  # noqa: ASYNC110 - the server is a few turns of the loop away
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert not link._connection.is_connected


@pytest.mark.parametrize("url", ["http://127.0.0.1", "redis://127.0.0.1:port"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        RedisLink(url, timeout_s=1.0)


def test_an_attempt_to_connect_ends_after_two_seconds() -> None:
    """D10: a server that takes connections and says nothing, not even to the greeting of the client library."""

    async def scenario() -> float:
        loop = asyncio.get_running_loop()
        async with serving({b"CLIENT": b"", b"PING": b""}) as server:
            link = RedisLink(server.url, timeout_s=0.05)
            started_s = loop.time()
            async with asyncio.timeout(3_600):
                with pytest.raises(LinkError):
                    await link.connect()
            return loop.time() - started_s

    assert run_in_virtual_time(scenario()) <= 3.0
