"""A real browser: it opens a page that runs a script, and hands back what the script reports."""

from __future__ import annotations

import json
import queue
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.processes import ChildProcess

PATIENCE_S = 30.0
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_PAGE = """<!doctype html><meta charset="utf-8"><script>
const report = (value) => fetch("/report", {method: "POST", body: JSON.stringify(value)});
onerror = (text) => { report({mistake: text}); };
onunhandledrejection = (event) => { report({mistake: String(event.reason)}); };
</script><script>%s</script>"""


class BrowserMissingError(Exception):
    """There is no browser; the text says what to install."""


class Pages:
    """Serves one page on a port of loopback, which is its origin, and takes its reports."""

    def __init__(self) -> None:
        self.reports: queue.Queue[Any] = queue.Queue()
        self.script = ""
        pages = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = (_PAGE % pages.script).encode() if self.path == "/" else b""
                self._answer(page)

            def do_POST(self) -> None:
                pages.reports.put(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self._answer(b"")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  named by http.server
                """Say nothing."""

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def origin(self) -> str:
        """Where pages come from, as browsers name it."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def run(self, script: str) -> Any:
        """Run a script in a browser of its own; return what it gives to `report`.

        Raises BrowserMissingError, and queue.Empty when it reports nothing in `PATIENCE_S`.
        """
        program = shutil.which("chromium")
        if program is None:
            raise BrowserMissingError("no chromium to run the pages in: scripts/install-system-packages installs it")
        self.script = script
        with tempfile.TemporaryDirectory(prefix="browser-test-", ignore_cleanup_errors=True) as directory:
            browser = ChildProcess((program, *_FLAGS, f"--user-data-dir={directory}", f"{self.origin}/"))
            try:
                return self.reports.get(timeout=PATIENCE_S)
            finally:
                browser.kill()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def serving_pages() -> Iterator[Pages]:
    """Serve until the context ends."""
    pages = Pages()
    try:
        yield pages
    finally:
        pages.close()
