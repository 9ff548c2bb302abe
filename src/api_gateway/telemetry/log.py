"""Events: what happens beside the requests, as structured lines (see docs/logging.md for their shape).

`get_logger` may be called when a module is imported; `configure_logging` decides later where lines go.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

import structlog
from structlog.typing import FilteringBoundLogger

from .log_line import Level, LineEncoder, LineFormat, Timestamps, encode_json, encode_text
from .log_writer import LogWriter
from .redaction import redact_fields

_LEVEL_NUMBERS: Final[Mapping[Level, int]] = {
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
}
_MAX_FRAMES: Final = 20
_MAX_STACK_CHARACTERS: Final = 8_192


def line_encoder(line_format: LineFormat) -> LineEncoder:
    """Return the encoder of a format."""
    return encode_json if line_format == "json" else encode_text


def get_logger(target: str) -> FilteringBoundLogger:
    """Return the logger of one part, for example `api_gateway.discovery`.

    Call it with a constant message and the facts as keywords: `log.info("schema refreshed", service=name)`. Secrets are
    removed by name and by look, yet do not rely on it: hand in what a reader needs and no more. One event costs about
    10 us, so none belongs on the path of a request; that is what `access_log` is for.
    """
    logger: FilteringBoundLogger = structlog.get_logger(target)
    return logger


def level_of(target: str, level: Level, levels: Mapping[str, Level]) -> Level:
    """Return the lowest level written of a target: that of its longest name or beginning in `levels`, else `level`."""
    name = target
    while name:
        if name in levels:
            return levels[name]
        name = name.rpartition(".")[0]
    return level


def configure_logging(
    writer: LogWriter,
    *,
    level: Level = "INFO",
    levels: Mapping[str, Level] | None = None,
    line_format: LineFormat = "json",
) -> None:
    """Send the events of this process, those of the standard library's `logging` and Python's warnings to `writer`.

    `levels` are those of single targets (`level_of`). May be called again; the last call holds.
    """
    levels = levels or {}
    number = min(_LEVEL_NUMBERS[each] for each in (level, *levels.values()))
    renderer = _Renderer(writer, line_encoder(line_format), level, levels)
    structlog.configure(
        processors=[renderer.render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_Target,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_LoggingHandler(renderer)]
    root.setLevel(number)
    logging.captureWarnings(True)


class _Target:
    """What structlog calls a logger: here only the name of the part that speaks."""

    def __init__(self, name: str = "api_gateway") -> None:
        self.name = name


class _Renderer:
    def __init__(self, writer: LogWriter, encode: LineEncoder, level: Level, levels: Mapping[str, Level]) -> None:
        self._level = level
        self._levels = levels
        self._writer = writer
        self._encode = encode
        self._timestamps = Timestamps()

    def render(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        # Workers say the same things, each for itself.
        fields: dict[str, object] = {"message": event.pop("event", ""), "pid": os.getpid()}
        error = event.pop("exc_info", None)
        fields.update(event)
        if error:
            fields.update(_error_fields(error))
        self.write(_level(method), logger.name, fields)
        # Everything is done here; structlog must not pass it on to a method of `_Target`.
        raise structlog.DropEvent

    def write(self, level: Level, target: str, fields: Mapping[str, object]) -> None:
        if self._levels and _LEVEL_NUMBERS[level] < _LEVEL_NUMBERS[level_of(target, self._level, self._levels)]:
            return
        timestamp = self._timestamps.at(time.time())
        self._writer.write(self._encode(timestamp, level, target, redact_fields(fields)))


class _LoggingHandler(logging.Handler):
    """Turns records of the standard library (asyncio, gunicorn, warnings) into the same lines."""

    def __init__(self, renderer: _Renderer) -> None:
        super().__init__()
        self._renderer = renderer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields: dict[str, object] = {"message": record.getMessage(), "pid": record.process}
        except (TypeError, ValueError):
            fields = {"message": str(record.msg), "pid": record.process}
        if record.exc_info:
            fields.update(_error_fields(record.exc_info))
        self._renderer.write(_level(record.levelno), record.name, fields)


def _level(level: str | int) -> Level:
    if isinstance(level, int):
        return next((name for name in ("ERROR", "WARN", "INFO") if level >= _LEVEL_NUMBERS[name]), "DEBUG")
    if level in ("debug", "info"):
        return "DEBUG" if level == "debug" else "INFO"
    return "WARN" if level in ("warning", "warn") else "ERROR"


def _error_fields(error: Any) -> dict[str, object]:
    """Return text and stack; `error` is an exception, the triple of `sys.exc_info`, or True for the current one."""
    if error is True:
        error = sys.exception()
    elif isinstance(error, tuple):
        error = error[1]
    if not isinstance(error, BaseException):
        return {}
    text = "".join(traceback.format_exception_only(error)).strip()
    stack = "".join(traceback.format_exception(error, limit=-_MAX_FRAMES))
    return {"error": text, "stack": stack[-_MAX_STACK_CHARACTERS:]}
