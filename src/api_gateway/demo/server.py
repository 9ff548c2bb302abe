"""The example backends as a process: `python -m api_gateway.demo.server`.

Prints one line of JSON with the ports when ready, and stops cleanly on SIGTERM and SIGINT.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
_NEEDED: Final = ("grpc", "grpc_health", "grpc_reflection", "google")
"""Modules of the extra `demo`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until told to stop; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return asyncio.run(_serve(options))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _NEEDED:
            raise
        sys.stderr.write(f"the example backends need {error.name}: pip install 'api-gateway[demo]'\n")
    except OSError as error:
        sys.stderr.write(f"{error}\n")
    return EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m api_gateway.demo.server", description="Serve the example backends."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--user-port", type=int, default=0, help="port of the user service; 0: any free one")
    parser.add_argument("--auth-port", type=int, default=0, help="port of the auth service; 0: any free one")
    parser.add_argument(
        "--until-stdin-closes",
        action="store_true",
        help="also stop at the end of standard input, so that a parent that dies takes this process with it",
    )
    return parser


async def _serve(options: argparse.Namespace) -> int:
    # Imported late so that a missing grpcio is a sentence to the user, not a traceback.
    from .services import serve_demo

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    if options.until_stdin_closes:
        call_at_end_of_stdin(loop, stop.set)
    servers = await serve_demo(options.host, options.user_port, options.auth_port)
    ready = {"event": "ready", "host": servers.host, "user_port": servers.user_port, "auth_port": servers.auth_port}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    await stop.wait()
    await servers.stop()
    return EXIT_OK


def call_at_end_of_stdin(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """Call `callback` once, on `loop`, when standard input has ended. What comes before the end is thrown away."""
    stdin = sys.stdin.fileno()

    def read() -> None:
        if not os.read(stdin, 4096):
            loop.remove_reader(stdin)
            callback()

    loop.add_reader(stdin, read)


if __name__ == "__main__":
    sys.exit(main())
