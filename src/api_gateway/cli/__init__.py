"""The command line: the only place that prints and exits.

Exit codes: 0, 1 (it failed), 2 (wrong usage). Results go to standard output, everything said to people to standard
error; while serving, standard output carries the log.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import __version__
from .check import check_configuration
from .demo import run_demo
from .routes import print_routes
from .run import Launch, run_gateway
from .screen import Screen
from .standard_streams import occupy_closed_streams

app = typer.Typer(
    name="api-gateway",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="Configuration file. Default: $GATEWAY_CONFIG_PATH, else config/gateway-config.yaml.",
        show_default=False,
    ),
]
BackendOption = Annotated[
    list[str] | None,
    typer.Option(
        "--backend",
        "-b",
        metavar="URL",
        help="A gRPC backend, for example http://localhost:50051. Repeatable; needs no configuration file.",
        show_default=False,
    ),
]


def main() -> None:
    """Run the command line."""
    occupy_closed_streams()
    app()


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"api-gateway {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Serve gRPC services as HTTP/JSON: name a backend, call its methods with curl.

    Examples:

      api-gateway demo

      api-gateway run --backend http://localhost:50051
    """


@app.command(short_help="Serve, as the configuration says.")
def run(
    config: ConfigOption = None,
    backend: BackendOption = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", "-w", metavar="N", min=1, max=256, help="Worker processes.", show_default=False),
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on.", show_default=False)
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", "-p", metavar="N", min=0, max=65535, help="Port; 0: any free one.", show_default=False),
    ] = None,
) -> None:
    """Serve until SIGTERM or SIGINT (Ctrl-C); a second one does not wait for requests to finish.

    With several workers, SIGHUP reads the configuration again and puts new workers in the place of the old ones,
    SIGUSR2 starts a new version beside this one, SIGTTIN and SIGTTOU add and take a worker.

    Examples:

      api-gateway run

      api-gateway run --config gateway.yaml --workers 4

      api-gateway run --backend http://localhost:50051 --port 9000
    """
    launch = Launch(config=config, backends=backend or (), workers=workers, host=host, port=port)
    raise typer.Exit(run_gateway(Screen(), launch))


@app.command(short_help="Check a configuration file.")
def check(config: ConfigOption = None) -> None:
    """Check a configuration file: exit 0 when it is right, 1 with every mistake named when it is not.

    Example:

      api-gateway check --config gateway.yaml
    """
    raise typer.Exit(check_configuration(Screen(), config=config))


@app.command(short_help="Ask the backends and print the route table.")
def routes(
    config: ConfigOption = None,
    backend: BackendOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, max=300, help="Longest wait for each backend.")
    ] = 10.0,
) -> None:
    """Ask the backends and print the route table, with what could not be mapped and why.

    Examples:

      api-gateway routes --backend http://localhost:50051

      api-gateway routes --json
    """
    raise typer.Exit(print_routes(Screen(), config=config, backends=backend or [], is_json=as_json, timeout_s=timeout))


@app.command(short_help="Serve example backends, and print what to try.")
def demo(
    port: Annotated[
        int, typer.Option("--port", "-p", metavar="N", min=0, max=65535, help="Port of the gateway; 0: any free one.")
    ] = 8080,
    auth: Annotated[bool, typer.Option("--auth", help="Switch authentication on.")] = False,
) -> None:
    """Serve two example gRPC backends behind a gateway, and print curl lines to try.

    Examples:

      api-gateway demo

      api-gateway demo --auth --port 9000
    """
    raise typer.Exit(run_demo(Screen(), port=port, with_auth=auth))
