"""docs/streaming.md is true: its lines for curl run as they stand, its scripts in a real browser."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.backends import Backend
from tests.support.browser import Pages, serving_pages
from tests.support.gateway import RunningGateway, serving, start_gateway
from tests.support.processes import ROOT

PAGE = (ROOT / "docs" / "streaming.md").read_text(encoding="utf-8")
CURL = [line for block in re.findall(r"^```bash\n(.*?)^```$", PAGE, re.M | re.S) for line in block.splitlines()]
SCRIPTS = re.findall(r"^```js\n(.*?)^```$", PAGE, re.M | re.S)
PATIENCE_S = 30.0
LISTENING = """
const token = "s3cr3t", shown = [];
console.log = (...values) => { shown.push(values.map((value) => value?.text ?? value?.error?.message ?? value)); };
"""


@pytest.fixture(scope="module")
def pages() -> Iterator[Pages]:
    with serving_pages() as pages:
        yield pages


@pytest.fixture(scope="module")
def gateway(grpcio_backend: Backend, pages: Pages) -> Iterator[RunningGateway]:
    cors = {"enabled": True, "allowed_origins": [pages.origin]}
    with start_gateway(serving(grpcio_backend.endpoint, cors=cors)) as gateway:
        gateway.wait_until_routed("/echo/v1/stream")
        yield gateway


def test_lines_for_curl(gateway: RunningGateway) -> None:
    assert len(CURL) == PAGE.count("curl -") == 3
    events, lines, array = (answer_to(line, gateway.port) for line in CURL)
    assert events.count("data: {") == 3
    for collected in (lines, array):
        assert json.loads(collected)["texts"] == ["one", "two"]


def answer_to(line: str, port: int) -> str:
    assert "127.0.0.1:8080" in line
    line = line.replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace("curl ", "curl --silent --show-error --fail ")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line], capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    return done.stdout


def for_gateway(script: str, gateway: RunningGateway) -> str:
    """Return a script of the page for a gateway at another place."""
    found = re.sub(r"\b(ws|http)s://api\.example\.com", rf"\1://127.0.0.1:{gateway.port}", script)
    assert found != script
    return found


def test_scripts_in_a_browser(gateway: RunningGateway, pages: Pages) -> None:
    """Both at once, on a page of another origin: an EventSource, and a WebSocket with its token."""
    events, socket = (for_gateway(script, gateway) for script in SCRIPTS)
    # What the page leaves to its reader: say what is asked for, half-close, and be done when both are.
    events = events.replace("messageCount=3", "messageCount=3&text=event")
    failing = events.replace("text=event", "text=failing&behaviour.failure.code=9&behaviour.failure.afterMessages=1")
    failing = failing.replace("behaviour.failure.code", "behaviour.failure.message=broke&behaviour.failure.code")
    told: Any = pages.run(
        f"""{LISTENING}
        const ended = (source, name) => new Promise((resolve) => source.addEventListener(name, () => resolve()));
        const all = [];
        {{ {events} all.push(ended(events, "error")); }}
        {{ {failing} all.push(ended(events, "error")); }}
        {{ {socket} socket.addEventListener("message", () => socket.send("")); all.push(ended(socket, "close")); }}
        Promise.all(all).then(() => report(shown));
        """
    )
    assert isinstance(told, list), told
    assert [each for each in told if each[0] == "event"] == [["event"]] * 3
    assert [each for each in told if each[0] in ("failing", "broke")] == [["failing"], ["broke"]]
    assert ["hello"] in told
    assert [1000, "OK"] in told
    assert [None] in told, "the end of a stream that went well"
    assert len(told) == 3 + 1 + 2 + 2


def test_a_browser_reads_lines_as_they_come_and_cancels(gateway: RunningGateway, pages: Pages) -> None:
    """Semantics 23, 26: `fetch` has the first line while the stream goes on; leaving ends the call."""
    told = pages.run(
        f"""
        const stop = new AbortController();
        fetch("{gateway.url}/echo/v1/stream?text=line&behaviour.messageCount=1000&behaviour.sleepMs=50",
            {{signal: stop.signal}}).then(async (answer) => {{
            const {{value}} = await answer.body.getReader().read();
            stop.abort();
            report([answer.headers.get("content-type"), new TextDecoder().decode(value)]);
        }});
        """
    )
    kind, line = told
    assert kind == "application/x-ndjson"
    assert json.loads(line)["text"] == "line"
    assert gateway.wait_for_event("request completed", reason="CLIENT_GONE")
