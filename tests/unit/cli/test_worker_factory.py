"""Settings that change while processes come and go."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api_gateway.app import Shared
from api_gateway.cli.screen import Screen
from api_gateway.cli.worker_factory import GatewayFactory, ServingPlan
from api_gateway.config.loader import LoadedSettings
from api_gateway.config.problem import ConfigError, Problem
from api_gateway.config.settings import Settings
from api_gateway.edge.process import Signals
from api_gateway.state.local import LocalStoreFile
from api_gateway.telemetry.log import configure_logging
from api_gateway.telemetry.log_writer import LogWriter
from api_gateway.telemetry.metric_files import MetricFile, prepare_metrics_directory, read_totals

Log = Callable[[], list[dict[str, Any]]]


def settings_of(**sections: Any) -> Settings:
    return Settings.model_validate({"services": {"users": {"endpoint": "http://localhost:50051"}}, **sections})


class Scene:
    """A factory whose configuration file is `settings`, or a mistake."""

    def __init__(self, directory: Path, writer: LogWriter) -> None:
        self.settings: Settings | None = settings_of(server={"workers": 2, "drain_timeout_ms": 1500})
        state = directory / "state"
        state.mkdir()
        assert self.settings is not None
        self.state = LocalStoreFile(state, max_memory_bytes=2 * 1024 * 1024)
        self.shared = Shared(
            settings=self.settings,
            state=self.state,
            metrics_directory=directory,
            writer=writer,
        )
        self.listener = socket.create_server(("127.0.0.1", 0))

    def load(self) -> LoadedSettings:
        if self.settings is None:
            raise ConfigError([Problem(message="wrong")])
        return LoadedSettings(self.settings, "a file")

    def factory(self, *, can_reload: bool = True) -> GatewayFactory:
        plan = ServingPlan(
            settings=self.shared.settings, origin="a file", load=self.load if can_reload else None, on_serving=None
        )
        return GatewayFactory(Screen(), self.shared, plan, [self.listener])


@pytest.fixture
def log_and_scene(tmp_path: Path) -> Iterator[tuple[Log, Scene]]:
    """A scene, and the events so far."""
    reader, fd = os.pipe()
    os.set_blocking(reader, False)
    writer = LogWriter(fd, is_threaded=False)
    configure_logging(writer)

    def read() -> list[dict[str, Any]]:
        try:
            data = os.read(reader, 65_536)
        except BlockingIOError:
            return []
        return [json.loads(line)["fields"] for line in data.splitlines()]

    scene = Scene(tmp_path, writer)
    yield read, scene
    scene.listener.close()
    scene.state.close()
    os.close(reader)
    os.close(fd)


def test_the_arbiter_is_told_how_many_and_how_long(log_and_scene: tuple[Log, Scene]) -> None:
    _, scene = log_and_scene
    factory = scene.factory()
    assert (factory.workers, factory.stop_timeout_s) == (2, 1.5)


def test_a_worker_that_ended_leaves_its_counts_and_no_gauges(log_and_scene: tuple[Log, Scene]) -> None:
    """At once, not with the next worker: there may be none (SIGTTOU)."""
    _, scene = log_and_scene
    directory = scene.shared.metrics_directory
    prepare_metrics_directory(directory)
    ended = MetricFile(directory / "worker-4000000.metrics")
    ended.add(b'c["gateway_rate_limit_exceeded_total","/r"]', (2.0,))
    ended.add(b's["api_gateway_workers"]', (1.0,))
    ended.close()
    scene.factory().ended(4_000_000)
    assert {key.rstrip(): values for key, values in read_totals(directory).items()} == {
        b'c["gateway_rate_limit_exceeded_total","/r"]': (2.0,)
    }


def test_a_reload_puts_new_settings_in_force(log_and_scene: tuple[Log, Scene]) -> None:
    log, scene = log_and_scene
    factory = scene.factory()
    scene.settings = settings_of(server={"workers": 3, "shutdown_delay_ms": 500})
    assert factory.reload()
    assert (factory.workers, factory.stop_timeout_s) == (3, 30.5)
    assert log() == [{"message": "configuration reloaded", "pid": os.getpid(), "origin": "a file"}]


def test_a_mistake_keeps_the_old_settings(log_and_scene: tuple[Log, Scene]) -> None:
    log, scene = log_and_scene
    factory = scene.factory()
    scene.settings = None
    assert not factory.reload()
    assert factory.workers == 2
    assert log() == [{"message": "configuration not reloaded", "pid": os.getpid(), "problem": "wrong"}]


def test_settings_that_need_a_restart_are_named(log_and_scene: tuple[Log, Scene]) -> None:
    log, scene = log_and_scene
    factory = scene.factory()
    scene.settings = settings_of(
        server={"host": "::1", "port": 1},
        rate_limit={"enabled": True, "max_memory": "1MiB"},
        admin={"host": "::1", "port": 2},
    )
    assert factory.reload()
    named = [event["setting"] for event in log() if event["message"] == "a changed setting needs a restart"]
    assert named == ["server.host", "server.port", "admin.host", "admin.port", "rate_limit.max_memory"]


def test_without_a_file_there_is_nothing_to_read_again(log_and_scene: tuple[Log, Scene]) -> None:
    log, scene = log_and_scene
    assert scene.factory(can_reload=False).reload()
    assert log() == []


async def test_one_process_alone_refuses_what_it_cannot_do(log_and_scene: tuple[Log, Scene]) -> None:
    log, scene = log_and_scene
    signals = listen_alone(scene.factory())
    refused: list[str] = []
    async with asyncio.timeout(30):
        for number in (signal.SIGHUP, signal.SIGUSR2):
            os.kill(os.getpid(), number)
            while number.name not in refused:
                await asyncio.sleep(0)
                refused += [event["signal"] for event in log()]
    assert refused == ["SIGHUP", "SIGUSR2"]
    assert not signals.first.is_set()


async def test_a_demo_goes_with_its_terminal(log_and_scene: tuple[Log, Scene]) -> None:
    _, scene = log_and_scene
    signals = listen_alone(scene.factory(can_reload=False))
    os.kill(os.getpid(), signal.SIGHUP)
    async with asyncio.timeout(30):
        await signals.first.wait()


def listen_alone(factory: GatewayFactory) -> Signals:
    loop = asyncio.get_running_loop()
    signals = Signals(loop)
    factory.attend_alone(loop, signals)
    return signals
