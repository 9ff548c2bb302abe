"""A real Redis server on a Unix socket, alone in its directory, which can be stopped, paused and started again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Self

import redis

START_TIMEOUT_S = 30.0


def is_installed() -> bool:
    """Whether there is a server to run."""
    return shutil.which("redis-server") is not None


class RedisServer:
    """One server process. Use it as a context manager."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.path = directory / "redis.sock"
        self.url = f"unix://{self.path}"
        self.options = options
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._is_quick = threading.Event()
        self._slowing: threading.Thread | None = None

    def start(self) -> None:
        """Start it empty, and wait until it answers."""
        self.path.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [
                "redis-server",
                "--port",
                "0",
                "--unixsocket",
                self.path,
                "--save",
                "",
                "--appendonly",
                "no",
                *self.options,
            ],
            cwd=self._directory,
            stdout=subprocess.DEVNULL,
        )
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError("redis-server did not start")
            time.sleep(0.01)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(self.path))
                probe.sendall(b"PING\r\n")
                return probe.recv(1) != b""
            except OSError:
                return False

    def command(self, *words: str) -> str:
        """Run one command and return its reply as redis-cli prints it."""
        done = subprocess.run(
            ["redis-cli", "-s", self.path, *words], capture_output=True, text=True, check=True, timeout=START_TIMEOUT_S
        )
        return done.stdout.strip()

    def set(self, key: bytes, value: bytes) -> None:
        """Put a plain string under a key of any bytes."""
        with redis.Redis(unix_socket_path=str(self.path)) as client:
            client.set(key, value)

    def delete(self, key: bytes) -> None:
        """Remove a key of any bytes."""
        with redis.Redis(unix_socket_path=str(self.path)) as client:
            client.delete(key)

    def slow_down(self) -> None:
        """Let each command take up to half a second, until `speed_up`."""
        self._is_quick.clear()
        self._slowing = threading.Thread(target=self._slow)
        self._slowing.start()

    def speed_up(self) -> None:
        """Undo `slow_down`."""
        self._is_quick.set()
        if self._slowing is not None:
            self._slowing.join()

    def _slow(self) -> None:
        # The pause holds back our own connection, too, so each round waits for the one before.
        with redis.Redis(unix_socket_path=str(self.path)) as client:
            while not self._is_quick.is_set():
                client.execute_command("CLIENT", "PAUSE", 500, "ALL")

    def pause(self) -> None:
        """Let it neither answer nor close, as a hung machine would."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once. Does nothing if it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
