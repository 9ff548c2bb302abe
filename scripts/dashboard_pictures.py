"""Draw docs/pictures: main panels of each dashboard, as a real Prometheus' own page draws their queries.

The gateway of the compose stack runs with two workers in front of the example services, under mixed traffic and through
two outages of the user service; Prometheus scrapes it every second; Chromium without a window takes the pictures.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.stack.configuration import stack_config
from tests.stack.dashboards import expand, panel_queries
from tests.stack.prometheus import Prometheus, running_prometheus
from tests.stack.traffic import Traffic
from tests.support.gateway import start_gateway
from tests.support.processes import ROOT, start_python

PICTURES = ROOT / "docs" / "pictures"
WIDTH = 1100
SCALE = 0.7
"""Smaller than a screen shows it, for the size of the files."""
PANELS: Mapping[str, tuple[int, Sequence[str]]] = {
    "overview": (1690, ("99th percentile of durations", "Answers by status")),
    "backends": (1600, ("State of the breakers", "Calls a second")),
    "security": (1530, ("Refusals by reason", "Refusals by route")),
    "internals": (1500, ("Processor by instance", "Requests in flight")),
}
"""Height in pixels, for legends differ, and what is drawn of each dashboard, from the top."""

SHOWN_S = 110
"""Time that is shown, to the end of a minute: the page knows no other ends."""
OUTAGES = ((75, 10), (35, 5))
"""Seconds from each outage to the end, and how long it lasts."""
RATE_INTERVAL = "6s"
MAX_BYTES = 150_000
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def main() -> int:
    """Draw all pictures. Returns 1 when one became larger than pages should carry."""
    PICTURES.mkdir(exist_ok=True)
    with (
        start_python("api_gateway.demo.server") as demo,
        start_gateway(stack_config(demo.ready)) as gateway,
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory,
        running_prometheus(Path(directory), [f"127.0.0.1:{gateway.port}"]) as prometheus,
    ):
        gateway.wait_until_routed("/api/users/1")
        traffic = Traffic(gateway.port)
        end_s = (time.time() + SHOWN_S) // 60 * 60 + 60
        sleep_until(end_s - SHOWN_S)
        traffic.start()
        for before_end_s, outage_s in OUTAGES:
            sleep_until(end_s - before_end_s)
            traffic.begin_outage(outage_s)
        sleep_until(end_s)
        until = time.strftime("%Y-%m-%d %H:%M", time.gmtime(end_s))
        sizes = {name: draw(prometheus, name, until, Path(directory)) for name in PANELS}
        traffic.stop()
    for name, size in sizes.items():
        print(f"{PICTURES.name}/{name}.png: {size} bytes")
    return int(max(sizes.values()) > MAX_BYTES)


def sleep_until(unix_time_s: float) -> None:
    """Wait for a time of the wall clock."""
    time.sleep(max(0.0, unix_time_s - time.time()))


def draw(prometheus: Prometheus, dashboard: str, until: str, scratch: Path) -> int:
    """Draw one picture; return its size in bytes. `until` is a time as Prometheus' page writes it, UTC."""
    height, titles = PANELS[dashboard]
    raw = scratch / f"{dashboard}.png"
    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("no chromium: scripts/install-system-packages installs it")
    command = (
        program,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={scratch / 'browser'}",
        # In shades of grey: colours at the edges of letters take a fourth of the bytes.
        "--disable-lcd-text",
        f"--window-size={WIDTH},{height}",
        f"--force-device-scale-factor={SCALE}",
        # The page's own clock runs ahead until everything that it asks for is drawn.
        "--virtual-time-budget=8000",
        f"--screenshot={raw}",
        f"{prometheus.origin}/graph?{urllib.parse.urlencode(dict(graphs(dashboard, titles, until)))}",
    )
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    picture = packed(raw.read_bytes())
    (PICTURES / f"{dashboard}.png").write_bytes(picture)
    return len(picture)


def graphs(dashboard: str, titles: Sequence[str], until: str) -> Iterator[tuple[str, str]]:
    """Iterate over what the page's address says: a graph for each panel, with the panel's own query."""
    expressions = {query.panel["title"]: query.expression for query in panel_queries() if query.dashboard == dashboard}
    for number, title in enumerate(titles):
        # What matches everything says nothing, and the page has room for one line.
        query = re.sub(r'\{\w+=~"\.\*"\}', "", expand(expressions[title], rate_interval=RATE_INTERVAL))
        yield f"g{number}.expr", query
        yield f"g{number}.tab", "0"
        yield f"g{number}.range_input", f"{SHOWN_S}s"
        yield f"g{number}.end_input", until


def packed(png: bytes) -> bytes:
    """Return the same picture in fewer bytes: browsers are in a hurry when they compress."""
    kept, pixels, at = [], b"", len(_SIGNATURE)
    while at < len(png):
        (size,) = struct.unpack_from(">I", png, at)
        kind, content = png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        if kind == b"IDAT":
            pixels += content
        elif kind in (b"IHDR", b"IEND"):
            kept.append((kind, content))
        at += size + 12
    kept.insert(1, (b"IDAT", zlib.compress(zlib.decompress(pixels), 9)))
    chunks = (
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in kept
    )
    return _SIGNATURE + b"".join(chunks)


if __name__ == "__main__":
    sys.exit(main())
