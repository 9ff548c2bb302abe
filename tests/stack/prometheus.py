"""A real Prometheus, scraping what it is told to, asked over its HTTP API."""

from __future__ import annotations

import json
import shutil
import socket
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.stack.dashboards import STACK
from tests.support.processes import ChildProcess

START_TIMEOUT_S = 20.0

Series = tuple[dict[str, str], list[float]]
"""Labels, and the values that are numbers."""


class Prometheus:
    """A running server."""

    def __init__(self, port: int) -> None:
        self.origin = f"http://127.0.0.1:{port}"
        """Where its pages are."""
        self._url = f"{self.origin}/api/v1/"

    def get(self, path: str, **parameters: str | float) -> Any:
        """Return the data of an answer. Raises urllib.error.HTTPError for queries it does not understand."""
        url = f"{self._url}{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            document = json.load(answer)
        assert document["status"] == "success", document
        return document["data"]

    def at_once(self, expression: str) -> list[Series]:
        """Evaluate an expression now."""
        data = self.get("query", query=expression)
        assert data["resultType"] == "vector", (expression, data["resultType"])
        return [(each["metric"], _numbers([each["value"]])) for each in data["result"]]

    def over(self, expression: str, start_s: float, end_s: float) -> list[Series]:
        """Evaluate an expression for every second of a time."""
        data = self.get("query_range", query=expression, start=start_s, end=end_s, step=1)
        return [(each["metric"], _numbers(each["values"])) for each in data["result"]]

    def scrapes(self) -> int:
        """Return how often every target was scraped with success, at least."""
        counts = [len(values) for _, values in self.over("up == 1", time.time() - 300, time.time())]
        return min(counts, default=0)


def _numbers(samples: list[list[Any]]) -> list[float]:
    return [float(text) for _, text in samples if text not in ("NaN", "+Inf", "-Inf")]


def write_config(directory: Path, targets: Sequence[str]) -> Path:
    """Write the stack's own configuration, with other targets and a scrape every second."""
    config = yaml.safe_load((STACK / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    (scrape,) = config["scrape_configs"]
    scrape["static_configs"] = [{"targets": list(targets)}]
    config["rule_files"] = [str(STACK / "alerts.yml")]
    path = directory / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    return path


@contextmanager
def running_prometheus(directory: Path, targets: Sequence[str]) -> Iterator[Prometheus]:
    """Run it until the block ends. Fails the test when it is not installed."""
    program = shutil.which("prometheus")
    assert program is not None, "prometheus is missing: scripts/install-system-packages"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = (
        program,
        f"--config.file={write_config(directory, targets)}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
    )
    with ChildProcess(command) as process:
        process.stderr.wait_for(lambda line: "Server is ready" in line, timeout_s=START_TIMEOUT_S)
        yield Prometheus(port)
