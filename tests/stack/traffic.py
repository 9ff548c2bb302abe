"""Mixed traffic through a gateway in front of the example services: good, wrong, forbidden, too much, and an outage."""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from tests.support.gateway import Client

PAUSE_S = 0.02


class Traffic:
    """Threads that ask until they are stopped. Trouble with connections is part of it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._is_over = threading.Event()
        self._token = ""
        self._threads = [
            threading.Thread(target=self._run, args=(number, act), daemon=True)
            for number, act in enumerate((self._read, self._read, self._write, self._err))
        ]

    def start(self) -> None:
        """Begin, and log in."""
        self.log_in()
        for thread in self._threads:
            thread.start()

    def log_in(self, name: str = "ada") -> None:
        """Get a token, for the requests from now on."""
        answer = self._ask("POST", "/api/login", {"username": name, "password": f"{name}-demo"})
        assert answer == 200, answer

    def begin_outage(self, seconds: int) -> None:
        """Let the user service fail for a while."""
        assert self._ask("POST", "/api/outage", {"seconds": seconds}) == 200

    def stop(self) -> None:
        """End it."""
        self._is_over.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self, method: str, path: str, body: object = None, **headers: str) -> int:
        with Client(self._port) as client:
            answer = client.ask(method, path, body, headers=headers)
        if path == "/api/login" and answer.status == 200:
            self._token = answer.json()["token"]
        return answer.status

    def _run(self, number: int, act: Callable[[Client, random.Random], None]) -> None:
        dice = random.Random(number)
        while not self._is_over.is_set():
            with suppress(OSError, http.client.HTTPException), Client(self._port) as client:
                while not self._is_over.wait(PAUSE_S) and not client.is_closed:
                    act(client, dice)

    @property
    def _authorized(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._token}"}

    def _read(self, client: Client, dice: random.Random) -> None:
        trace = f"00-{dice.getrandbits(128):032x}-{dice.getrandbits(64):016x}-01"
        client.ask("GET", f"/api/users/{dice.randint(1, 4)}", headers={**self._authorized, "traceparent": trace})
        client.ask("GET", "/api/users?page_size=2", headers=self._authorized)

    def _write(self, client: Client, dice: random.Random) -> None:
        name = f"user{time.monotonic_ns()}"
        user = {"name": name, "email": f"{name}@example.org"}
        client.ask("POST", "/api/users", user, headers=self._authorized)

    def _err(self, client: Client, dice: random.Random) -> None:
        client.ask("GET", "/api/users/1")
        client.ask("GET", "/api/users/1", headers={"authorization": "Bearer no-such-token"})
        client.ask("GET", f"/nowhere/{dice.random()}", headers=self._authorized)
        client.ask("POST", "/api/users", {"unknown": 1}, headers=self._authorized)
        # The route has a limit of its own, ten a minute.
        client.ask("POST", "/api/login", {"username": "ada", "password": "wrong"})
