"""When services are asked, what is kept when they do not answer, and what is told. The clock jumps."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from api_gateway.discovery import reflection
from api_gateway.discovery import watcher as watcher_module
from api_gateway.discovery.watcher import TableChange, Watcher
from api_gateway.model.errors import unavailable
from api_gateway.schema import Schema, build_schema
from api_gateway.telemetry.log import configure_logging
from tests.support.descriptors import compile_protos
from tests.support.fake_reflection import FakeBackend
from tests.support.virtual_time import run_in_virtual_time
from tests.unit.telemetry.capture import Capture

DOWN = unavailable("the service cannot be reached", "UPSTREAM_UNAVAILABLE")
INTERVAL_S = 300.0


def files(*methods: str) -> list[bytes]:
    rpcs = "".join(f"rpc {method}(M) returns (M);" for method in methods)
    return compile_protos({"x.proto": f'syntax = "proto3"; package p; message M {{}} service S {{ {rpcs} }}'})


ONE, TWO = files("GetOne"), files("GetOne", "GetTwo")


class Builder:
    """Implements `TableBuilder`: names a route for each method."""

    def __init__(self) -> None:
        self.tables: list[list[str]] = []

    async def rebuild(self, schemas: Mapping[str, Schema]) -> TableChange:
        names = [f"{key} {method.name}" for key in sorted(schemas) for method in schemas[key].methods()]
        before = self.tables[-1] if self.tables else []
        self.tables.append(names)
        return TableChange(
            added=tuple(name for name in names if name not in before),
            removed=tuple(name for name in before if name not in names),
        )


class Listener:
    """Implements `DiscoveryListener`: keeps what it hears, with the time."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.times_s: list[float] = []

    def refreshed(self, service: str, result: str) -> None:
        self.heard.append((service, result))
        self.times_s.append(asyncio.get_running_loop().time())


class Scene:
    """A watcher with two backends."""

    def __init__(self) -> None:
        self.users, self.orders = FakeBackend(ONE), FakeBackend(ONE)
        self.builder, self.listener = Builder(), Listener()
        self.watcher = Watcher(
            {"users": self.users, "orders": self.orders},
            self.builder,
            self.listener,
            refresh_interval_s=INTERVAL_S,
            clock=asyncio.get_running_loop().time,
        )

    def asked(self, service: str) -> int:
        """Return how often a service was asked."""
        return sum(name == service for name, _ in self.listener.heard)


class AtOnce(ThreadPoolExecutor):
    """Runs what is meant for a thread at once: the clock must not jump while a thread works."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


def play(scenario: Callable[[Scene], Awaitable[None]]) -> None:
    """Run a scenario in virtual time; at the end no task may be left."""

    async def run() -> None:
        asyncio.get_running_loop().set_default_executor(AtOnce())
        scene = Scene()
        try:
            await scenario(scene)
        finally:
            await scene.watcher.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_in_virtual_time(run())


def test_every_service_is_read_at_the_start() -> None:
    async def scenario(scene: Scene) -> None:
        scene.watcher.start()
        assert await scene.watcher.wait_for_first_round(60.0)
        assert scene.watcher.is_complete
        assert sorted(scene.listener.heard) == [("orders", "changed"), ("users", "changed")]
        assert scene.builder.tables[-1] == ["orders GetOne", "users GetOne"]
        assert all(status.error == "" and status.last_success_s > 0 for status in scene.watcher.statuses.values())

    play(scenario)


def test_semantics_44_a_service_that_is_down_does_not_hold_the_others() -> None:
    async def scenario(scene: Scene) -> None:
        scene.users.failure = DOWN
        scene.watcher.start()
        assert await scene.watcher.wait_for_first_round(60.0)
        assert scene.builder.tables == [["orders GetOne"]]
        status = scene.watcher.statuses["users"]
        assert (status.is_discovered, status.error) == (False, "the service cannot be reached")
        assert not scene.watcher.is_complete

    play(scenario)


def test_semantics_44_it_is_asked_again_with_backoff_until_it_comes_up() -> None:
    async def scenario(scene: Scene) -> None:
        scene.users.failure = DOWN
        scene.watcher.start()
        await asyncio.sleep(100)
        times = [
            at_s
            for (name, _), at_s in zip(scene.listener.heard, scene.listener.times_s, strict=True)
            if name == "users"
        ]
        waits = [later - earlier for earlier, later in itertools.pairwise(times)]
        expected = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
        assert waits[:7] == pytest.approx(expected, rel=watcher_module.JITTER + 0.1, abs=0.3)
        scene.users.failure = None
        await asyncio.sleep(watcher_module.MAX_BACKOFF_S * 1.2)
        assert scene.watcher.is_complete
        assert scene.watcher.statuses["users"].error == ""

    play(scenario)


def test_semantics_43_services_are_asked_again_on_the_interval_with_jitter() -> None:
    async def scenario(scene: Scene) -> None:
        scene.watcher.start()
        await asyncio.sleep(INTERVAL_S * 0.85)
        assert scene.asked("users") == 1
        await asyncio.sleep(INTERVAL_S * 0.3)
        assert scene.asked("users") == 2
        assert scene.listener.heard[-1][1] == "unchanged"
        assert len(scene.builder.tables) == 2, "one table for each service; what is unchanged builds none"

    play(scenario)


def test_what_is_known_is_not_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """B6: after every lost connection it is asked for again."""
    built: list[object] = []

    def counted(files: list[bytes], services: list[str]) -> Schema:
        built.append(services)
        return build_schema(files, services)

    monkeypatch.setattr(reflection, "build_schema", counted)

    async def scenario(scene: Scene) -> None:
        for _ in range(3):
            await scene.watcher.refresh(["users"])
        assert [result for _, result in scene.listener.heard] == ["changed", "unchanged", "unchanged"]
        assert len(built) == 1

    play(scenario)


def test_semantics_43_workers_do_not_ask_all_at_once() -> None:
    async def scenario(scene: Scene) -> None:
        scene.watcher.start()
        await asyncio.sleep(INTERVAL_S * 20)
        times_s = [
            at_s
            for (name, _), at_s in zip(scene.listener.heard, scene.listener.times_s, strict=True)
            if name == "users"
        ]
        waits = [(later - earlier) / INTERVAL_S for earlier, later in itertools.pairwise(times_s)]
        # Nineteen waits within a quarter of the range: once in 10^10 runs.
        assert max(waits) - min(waits) > watcher_module.JITTER / 2
        assert 1 - watcher_module.JITTER <= min(waits) <= max(waits) <= 1 + watcher_module.JITTER + 0.01

    play(scenario)


def test_semantics_43_a_failed_refresh_keeps_what_was_known() -> None:
    async def scenario(scene: Scene) -> None:
        scene.watcher.start()
        await scene.watcher.wait_for_first_round(60.0)
        known = scene.watcher.statuses["users"].last_success_s
        scene.users.failure = DOWN
        change, failed = await scene.watcher.refresh(["users"])
        assert (change, failed) == (TableChange(), {"users": "the service cannot be reached"})
        status = scene.watcher.statuses["users"]
        assert (status.is_discovered, status.last_success_s) == (True, known)
        assert scene.builder.tables[-1] == ["orders GetOne", "users GetOne"]

    play(scenario)


def test_services_without_a_descriptor_are_named_in_the_log() -> None:
    """G66: once for each schema, with the others served."""

    async def scenario(scene: Scene) -> None:
        scene.users = FakeBackend(ONE, services=["p.S", "p.Missing"])
        scene.watcher._channels = {"users": scene.users}
        for _ in range(2):
            await scene.watcher.refresh(["users"])
        assert scene.builder.tables == [["users GetOne"]]

    with Capture() as capture:
        configure_logging(capture.writer)
        play(scenario)
        told = [line["fields"] for line in capture.lines]
    warnings = [line for line in told if line["message"] == "services without a descriptor"]
    assert [(line["service"], line["services"]) for line in warnings] == [("users", ["p.Missing"])]


def test_refresh_on_demand_tells_what_changed() -> None:
    async def scenario(scene: Scene) -> None:
        scene.watcher.start()
        await scene.watcher.wait_for_first_round(60.0)
        scene.users.offer(TWO)
        assert await scene.watcher.refresh() == (TableChange(added=("users GetTwo",)), {})
        scene.users.offer(ONE)
        assert await scene.watcher.refresh() == (TableChange(removed=("users GetTwo",)), {})
        assert await scene.watcher.refresh() == (TableChange(), {})

    play(scenario)


def test_semantics_43_a_lost_connection_has_the_service_asked_soon() -> None:
    async def scenario(scene: Scene) -> None:
        scene.watcher.start()
        await scene.watcher.wait_for_first_round(60.0)
        scene.users.offer(TWO)
        scene.watcher.trigger("users")
        scene.watcher.trigger("somebody else")
        await asyncio.sleep(watcher_module.RECONNECT_DELAY_S * 4)
        assert (scene.asked("users"), scene.asked("orders")) == (2, 1)
        assert scene.builder.tables[-1] == ["orders GetOne", "users GetOne", "users GetTwo"]

    play(scenario)


def test_first_round_may_take_too_long() -> None:
    async def scenario(scene: Scene) -> None:
        assert not await scene.watcher.wait_for_first_round(5.0), "nobody was asked yet"
        assert not scene.watcher.is_complete

    play(scenario)


def test_questions_to_one_service_do_not_overlap() -> None:
    async def scenario(scene: Scene) -> None:
        await asyncio.gather(*(scene.watcher.refresh(["users"]) for _ in range(5)))
        assert scene.asked("users") == 5
        assert [result for _, result in scene.listener.heard] == ["changed", *["unchanged"] * 4]

    play(scenario)
