"""Names become addresses, and stay what they were while nobody answers (B19, G59)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from api_gateway.grpc.connectivity import MAX_ADDRESSES, ChannelOptions
from api_gateway.grpc.resolver import MIN_INTERVAL_S, Address, Resolver
from api_gateway.grpc.target import parse_targets
from tests.support.virtual_time import run_in_virtual_time

Answer = Sequence[tuple[str, int]] | Exception


class NameServer:
    """Answers what it is told to; keeps when it was asked for what."""

    def __init__(self, **answers: Answer) -> None:
        self.answers: dict[str, Answer] = dict(answers)
        self.asked: list[tuple[str, float]] = []

    async def look_up(self, host: str, port: int) -> Sequence[tuple[str, int]]:
        """Answer after a moment."""
        self.asked.append((host, asyncio.get_running_loop().time()))
        await asyncio.sleep(0.01)
        answer = self.answers[host]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Asker:
    """Implements `ResolverOwner` around one resolver."""

    def __init__(self, names: NameServer | None, *endpoints: str, options: ChannelOptions | None = None) -> None:
        self.answers: list[list[str]] = []
        self.problems: list[tuple[str, float | None]] = []
        self.is_waiting = True
        self.resolver = Resolver(
            parse_targets(endpoints),
            options or ChannelOptions(),
            self,
            loop=asyncio.get_running_loop(),
            lookup=names.look_up if names is not None else None,
        )

    def resolved(self, addresses: list[Address]) -> None:
        """Keep them."""
        self.answers.append([str(address) for address in addresses])

    def resolve_failed(self, reason: str, retry_in_s: float | None) -> None:
        """Keep it."""
        self.problems.append((reason, retry_in_s))

    def needs_addresses(self) -> bool:
        """Whether to go on after a failure."""
        return self.is_waiting

    async def settled(self) -> None:
        """Wait until no lookup is under way."""
        task = self.resolver._task
        if task is not None:
            await task


async def test_addresses_are_told_at_once_and_never_looked_up() -> None:
    """Literals, IPv4 and IPv6, each once."""
    names = NameServer()
    asker = Asker(names, "http://127.0.0.1:1", "http://[::1]:2", "http://127.0.0.1:1")
    asker.resolver.resolve()
    asker.resolver.resolve()
    asker.resolver.resolve_again()
    assert asker.answers == [["127.0.0.1:1", "[::1]:2"]]
    assert (asker.resolver.is_static, names.asked) == (True, [])
    await asker.resolver.aclose()


async def test_the_systems_resolver() -> None:
    """Every address of `localhost`, as getaddrinfo has it."""
    asker = Asker(None, "http://localhost:50051")
    asker.resolver.resolve()
    assert asker.resolver.is_looking_up
    await asker.settled()
    found = socket.getaddrinfo("localhost", 50051, type=socket.SOCK_STREAM)
    expected = [f"[{address[0]}]:50051" if ":" in str(address[0]) else f"{address[0]}:50051" for *_, address in found]
    assert asker.answers == [expected]
    await asker.resolver.aclose()


def test_an_answer_that_is_empty_or_none_changes_nothing() -> None:
    """B19, G59: the last good addresses of a name stay; those of another name are renewed all the same."""

    async def scenario() -> None:
        names = NameServer(a=[("10.0.0.1", 1)], b=[("10.0.1.1", 1)])
        asker = Asker(names, "http://a:1", "http://b:1")
        asker.resolver.resolve()
        await asker.settled()
        names.answers = {"a": [], "b": [("10.0.1.2", 1)]}
        await asyncio.sleep(MIN_INTERVAL_S)
        asker.resolver.resolve_again()
        await asker.settled()
        names.answers = {"a": OSError("no such name"), "b": UnicodeError("label too long")}
        await asyncio.sleep(MIN_INTERVAL_S)
        asker.resolver.resolve_again()
        await asker.settled()
        both = ["10.0.0.1:1", "10.0.1.2:1"]
        assert asker.answers == [["10.0.0.1:1", "10.0.1.1:1"], both, both]
        assert asker.problems == [
            ("a: the name has no address", None),
            ("a: no such name; b: label too long", None),
        ]
        await asker.resolver.aclose()

    run_in_virtual_time(scenario())


def test_a_name_that_is_not_known_yet_is_asked_for_with_backoff_while_somebody_waits() -> None:
    """G56, G59."""

    async def scenario() -> None:
        names = NameServer(a=OSError("no such name"))
        asker = Asker(names, "http://a:1")
        asker.resolver.resolve()
        await asyncio.sleep(3.5)
        assert len(asker.problems) == 3
        assert asker.resolver.is_failing
        assert asker.resolver.is_waiting
        waits_s = [wait_s for _, wait_s in asker.problems if wait_s is not None]
        assert 0.7 < waits_s[0] <= 1.2
        assert 1.2 < waits_s[1] <= 1.6 * 1.2
        asker.is_waiting = False
        await asyncio.sleep(100)
        count = len(names.asked)
        assert count <= 4
        asker.is_waiting = True
        names.answers["a"] = [("10.0.0.1", 1)]
        asker.resolver.resolve()
        await asker.settled()
        assert (asker.answers, len(names.asked)) == ([["10.0.0.1:1"]], count + 1)
        await asker.resolver.aclose()

    run_in_virtual_time(scenario())


def test_failing_connections_do_not_flood_the_name_server() -> None:
    """However often asked, not more often than every `MIN_INTERVAL_S`; and the last word is never lost."""

    async def scenario() -> None:
        names = NameServer(a=[("10.0.0.1", 1)])
        asker = Asker(names, "http://a:1")
        asker.resolver.resolve()
        await asker.settled()
        for _ in range(20):
            asker.resolver.resolve_again()
            await asyncio.sleep(0.5)
        assert 4 <= len(names.asked) <= 1 + 10 / MIN_INTERVAL_S
        await asker.resolver.aclose()

    run_in_virtual_time(scenario())


def test_a_resolver_that_does_not_answer() -> None:
    """G59: bounded, and said so."""

    async def look_up(host: str, port: int) -> Sequence[tuple[str, int]]:
        await asyncio.sleep(1_000)
        return []

    async def scenario() -> None:
        names = NameServer()
        names.look_up = look_up  # type: ignore[method-assign]  # one that never comes back
        asker = Asker(names, "http://a:1", options=ChannelOptions(connect_timeout_s=5))
        asker.resolver.resolve()
        await asker.settled()
        assert asker.problems[0][0] == "a: no answer of the resolver within 5 s"
        await asker.resolver.aclose()

    run_in_virtual_time(scenario())


def test_one_address_under_two_names_is_two_with_tls() -> None:
    """G60: a connection that was verified for one name is never used for the other; in plaintext they are the same."""

    async def scenario() -> None:
        names = NameServer(a=[("10.0.0.1", 1)], b=[("10.0.0.1", 1)])
        for scheme, server_names in (("https", ["a", "b"]), ("http", [""])):
            asker = Asker(names, f"{scheme}://a:1", f"{scheme}://b:1")
            asker.resolver.resolve()
            await asker.settled()
            assert [address.server_name for address in asker.resolver._chosen] == server_names
            await asker.resolver.aclose()

    run_in_virtual_time(scenario())


def test_of_a_large_set_some_are_used_and_kept() -> None:
    """At most `MAX_ADDRESSES`, at random; the next answer does not shuffle them."""

    async def scenario() -> None:
        everything = [(f"10.0.{number // 250}.{number % 250 + 1}", 1) for number in range(300)]
        names = NameServer(a=everything)
        asker = Asker(names, "http://a:1")
        asker.resolver.resolve()
        await asker.settled()
        chosen = asker.answers[0]
        assert len(set(chosen)) == MAX_ADDRESSES
        await asyncio.sleep(MIN_INTERVAL_S)
        names.answers["a"] = [address for address in everything if f"{address[0]}:1" != chosen[0]]
        asker.resolver.resolve_again()
        await asker.settled()
        assert len(set(asker.answers[1])) == MAX_ADDRESSES
        assert set(chosen) - set(asker.answers[1]) == {chosen[0]}
        await asker.resolver.aclose()

    run_in_virtual_time(scenario())


async def test_closing_ends_a_lookup() -> None:
    """Nothing is told afterwards."""
    names = NameServer(a=[("10.0.0.1", 1)])
    asker = Asker(names, "http://a:1")
    asker.resolver.resolve()
    await asyncio.sleep(0)
    await asker.resolver.aclose()
    asker.resolver.resolve()
    assert (asker.answers, asker.resolver.is_looking_up) == ([], False)
