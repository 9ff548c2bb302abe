"""What operators see: the log, and the listener of their own."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from api_gateway.config.section import Section

LogLevel = Literal["DEBUG", "INFO", "WARN", "ERROR"]
LogTarget = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.\w+)*$", max_length=128)]


class AdminSettings(Section):
    """Where `/health`, `/metrics` and `/admin` are served."""

    host: str = "127.0.0.1"
    """Address of their own listener. The default is reached from this machine only; in a container, where the scraper
    comes from elsewhere, `0.0.0.0`."""
    port: int | None = Field(default=None, ge=0, le=65535)
    """TCP port of their own listener; 0 lets the kernel choose. With one, clients of `server.port` get 404 for these
    paths; without one, both share `server.port`."""


class LogSettings(Section):
    """What is logged."""

    level: LogLevel = "INFO"
    """Lowest level written."""
    levels: dict[LogTarget, LogLevel] = Field(default={}, max_length=100)
    """The same for single targets and all below them: `api_gateway.discovery: DEBUG`. The longest name wins."""
    requests: bool = True
    """Whether every finished request gets a line."""
    sample_successes: float = Field(default=1.0, ge=0.0, le=1.0)
    """Share of the requests with a status below 400 that get a line, chosen at random; all others always get theirs."""
