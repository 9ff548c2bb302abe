"""Several addresses of one service: spread, moved, dead ones among them (B2, B19, G35, G59; issue 3)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from api_gateway.grpc.connectivity import ChannelOptions, State
from api_gateway.grpc.target import Target, parse_targets
from api_gateway.model.status import Code
from tests.support.answering_peer import AnsweringPeer
from tests.support.channels import TestedChannel, channel_to, code_of, error_of, finished
from tests.support.h2_frames import Setting
from tests.support.scripted_peer import Manners, ScriptedPeer
from tests.support.virtual_time import run_in_virtual_time

NAME = Target(host="users.test", port=50051)


class Names:
    """A name server for one name."""

    def __init__(self, *peers: ScriptedPeer) -> None:
        self.ports = [peer.port for peer in peers]
        self.problem: Exception | None = None
        self.count = 0

    async def look_up(self, host: str, port: int) -> Sequence[tuple[str, int]]:
        """Answer with the peers' ports, which stand in for different hosts."""
        self.count += 1
        if self.problem is not None:
            raise self.problem
        return [("127.0.0.1", port) for port in self.ports]


@asynccontextmanager
async def backends(count: int) -> AsyncIterator[list[AnsweringPeer]]:
    """Run so many backends that answer."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(AnsweringPeer()) for _ in range(count)]


def all_of(*peers: ScriptedPeer) -> Target:
    return parse_targets([peer.endpoint for peer in peers])


@asynccontextmanager
async def dead_endpoint() -> AsyncIterator[str]:
    """An address where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


async def call(channel: TestedChannel, message: bytes) -> None:
    reply = await channel.unary(message)
    assert reply.message == message


async def ready(channel: TestedChannel, count: int) -> None:
    """Wait until so many addresses take calls."""

    def is_ready() -> bool:
        return list(channel.channel.address_states.values()).count(State.READY) == count

    await channel.seen.wait_until(is_ready)


async def test_calls_are_spread_over_all_addresses() -> None:
    """Each address gets one connection, and an even share of the calls."""
    async with backends(3) as peers, channel_to(all_of(*peers)) as channel:
        channel.channel.connect()
        await ready(channel, 3)
        for number in range(90):
            await call(channel, b"%d" % number)
        assert [len(peer.connections) for peer in peers] == [1, 1, 1]
        assert [len(peer.executed) for peer in peers] == [30, 30, 30]


async def test_a_busy_address_gets_fewer_calls() -> None:
    """The less busy of two connections is picked: an address that does not answer is left alone."""
    async with backends(2) as peers, channel_to(all_of(*peers)) as channel:
        channel.channel.connect()
        await ready(channel, 2)
        peers[0].is_holding = True
        held = [channel.unary(b"held"), channel.unary(b"held")]
        await peers[0].connections[0].requests_seen(1)
        before = len(peers[0].executed)
        for number in range(50):
            await call(channel, b"%d" % number)
        assert len(peers[0].executed) == before
        peers[0].release()
        for each in held:
            await finished(each)


async def test_the_pool_grows_where_there_are_fewest_connections() -> None:
    """One connection to each address first, then more in turn, up to the pool's size."""
    manners = Manners(settings={Setting.MAX_CONCURRENT_STREAMS: 1})
    async with AnsweringPeer(manners) as one, AnsweringPeer(manners) as two:
        one.is_holding = two.is_holding = True
        async with channel_to(all_of(one, two), ChannelOptions(pool_size=4)) as channel:
            calls = [channel.unary(b"%d" % number) for number in range(10)]
            await channel.seen.wait_until(lambda: channel.seen.ready_count == 4)
            assert [len(peer.connections) for peer in (one, two)] == [2, 2]
            one.release()
            two.release()
            for each in calls:
                await finished(each)
            assert [len(peer.connections) for peer in (one, two)] == [2, 2]


def test_a_dead_address_costs_no_call_and_one_line() -> None:
    """One of two refuses: no error, no wait, and its failure is told once, however often it is tried again."""

    async def scenario() -> None:
        async with (
            backends(1) as (peer,),
            dead_endpoint() as dead,
            channel_to(parse_targets([dead, peer.endpoint])) as channel,
        ):
            for number in range(20):
                await call(channel, b"%d" % number)
                await asyncio.sleep(10)
            assert len(channel.seen.failed) == 1
            assert channel.channel.state is State.READY
            states = sorted(state.value for state in channel.channel.address_states.values())
            assert states == ["ready", "transient_failure"]

    run_in_virtual_time(scenario())


def test_an_address_that_comes_back_is_used_again() -> None:
    """B2: killed, the other one serves alone; started again, it takes its share without anybody asking."""

    async def scenario() -> None:
        async with backends(2) as peers, channel_to(all_of(*peers)) as channel:
            channel.channel.connect()
            await ready(channel, 2)
            peers[0].kill()
            await ready(channel, 1)
            for number in range(20):
                await call(channel, b"%d" % number)
            await asyncio.sleep(30)
            await peers[0].listen()
            await ready(channel, 2)
            for number in range(20):
                await call(channel, b"%d" % number)
            assert len(peers[0].executed) == 10

    run_in_virtual_time(scenario())


def test_calls_fail_only_when_every_address_has_failed() -> None:
    """G58: while one address may still answer, calls wait."""

    async def scenario() -> None:
        async with ScriptedPeer(Manners().silent()) as silent, dead_endpoint() as dead:
            options = ChannelOptions(connect_timeout_s=5)
            async with channel_to(parse_targets([dead, silent.endpoint]), options) as channel:
                started_s = channel.loop.time()
                assert await code_of(channel.unary()) == Code.UNAVAILABLE
                assert 5 <= channel.loop.time() - started_s < 5.5

    run_in_virtual_time(scenario())


# Names


def test_a_service_that_moves_loses_no_call() -> None:
    """B19: other addresses than before: the new ones are connected to, the old ones drain, every call is answered."""

    async def scenario() -> None:
        async with backends(3) as (old, kept, new):
            names = Names(old, kept)
            options = ChannelOptions(resolve_interval_s=30)
            async with channel_to(NAME, options, lookup=names.look_up) as channel:
                channel.channel.connect()
                await ready(channel, 2)
                old.is_holding = True
                held = [channel.unary(b"held"), channel.unary(b"held")]
                await old.connections[0].requests_seen(1)
                names.ports = [kept.port, new.port]
                await channel.seen.wait_until(lambda: bool(channel.seen.moves))
                assert channel.seen.moves == [([f"127.0.0.1:{new.port}"], [f"127.0.0.1:{old.port}"])]
                await ready(channel, 2)
                for number in range(20):
                    await call(channel, b"%d" % number)
                assert len(new.executed) == 10
                old.release()
                for each in held:
                    await finished(each)
                await old.connections[0].closed()
                assert names.count == 2

    run_in_virtual_time(scenario())


def test_nothing_is_taken_away_before_something_else_works() -> None:
    """B19: a set of addresses of which none answers leaves the old ones in use; those that come back are kept."""

    async def scenario() -> None:
        async with backends(2) as (old, new):
            names = Names(old)
            async with channel_to(NAME, ChannelOptions(resolve_interval_s=30), lookup=names.look_up) as channel:
                await call(channel, b"before")
                new.stop_listening()
                names.ports = [new.port]
                await channel.seen.wait_until(lambda: len(channel.seen.failed) == 1)
                for number in range(5):
                    await call(channel, b"%d" % number)
                    await asyncio.sleep(60)
                names.ports = [old.port]
                await channel.seen.wait_until(lambda: len(channel.seen.moves) == 2)
                await call(channel, b"after")
                assert len(old.connections) == 1
                names.ports = [new.port]
                await new.listen()
                await channel.seen.wait_until(lambda: channel.seen.ready_count == 2)
                await old.connections[0].closed()
                await call(channel, b"moved")
                assert new.executed != []

    run_in_virtual_time(scenario())


@pytest.mark.parametrize("problem", [None, OSError("no such name")], ids=["empty", "fails"])
def test_a_resolver_that_knows_nothing_any_more_changes_nothing(problem: Exception | None) -> None:
    """B19, G59: told once, calls go on; the next good answer is taken."""

    async def scenario() -> None:
        async with backends(2) as (old, new):
            names = Names(old)
            async with channel_to(NAME, ChannelOptions(resolve_interval_s=30), lookup=names.look_up) as channel:
                await call(channel, b"before")
                names.ports, names.problem = [], problem
                await asyncio.sleep(300)
                assert names.count >= 9
                await call(channel, b"meanwhile")
                assert len(channel.seen.warnings) == 1
                assert "the last known addresses stay in use" in channel.seen.warnings[0]
                names.ports, names.problem = [new.port], None
                await channel.seen.wait_until(lambda: channel.seen.ready_count == 2)
                await call(channel, b"after")
                assert len(new.executed) == 1

    run_in_virtual_time(scenario())


def test_a_lost_connection_has_the_name_looked_up() -> None:
    """A backend that went away may have come up elsewhere: no need to wait for the interval."""

    async def scenario() -> None:
        async with backends(2) as (old, new):
            names = Names(old)
            async with channel_to(NAME, lookup=names.look_up) as channel:
                await call(channel, b"before")
                await asyncio.sleep(10)
                names.ports = [new.port]
                old.kill()
                await channel.seen.wait_until(lambda: bool(channel.seen.lost))
                started_s = channel.loop.time()
                await call(channel, b"after")
                assert channel.loop.time() - started_s < 3
                assert len(new.executed) == 1

    run_in_virtual_time(scenario())


def test_a_name_that_nobody_knows() -> None:
    """G59: UNAVAILABLE at once, then when it is known, calls that wait for it go through."""

    async def scenario() -> None:
        async with backends(1) as (peer,):
            names = Names(peer)
            names.problem = OSError("no such name")
            async with channel_to(NAME, lookup=names.look_up) as channel:
                states = [channel.channel.state]
                error = await error_of(channel.unary())
                assert (error.code, error.log_reason) == (Code.UNAVAILABLE, "users.test: no such name")
                states.append(channel.channel.state)
                assert states == [State.IDLE, State.TRANSIENT_FAILURE]
                assert await code_of(channel.unary()) == Code.UNAVAILABLE
                assert names.count == 1
                patient = channel.unary(b"patient", waits_for_ready=True)
                await asyncio.sleep(3)
                names.problem = None
                assert (await patient).message == b"patient"

    run_in_virtual_time(scenario())


async def test_localhost_with_one_family_only() -> None:
    """A backend on 127.0.0.1 is found by the name `localhost`, whatever else the name means here."""
    async with backends(1) as (peer,), channel_to(f"http://localhost:{peer.port}") as channel:
        for number in range(10):
            await call(channel, b"%d" % number)
        assert channel.channel.state is State.READY
        assert len(channel.seen.failed) <= 1
