"""Events as lines: shape, levels, errors, redaction, and what the standard library logs."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator

import pytest
import structlog

from api_gateway.telemetry.log import configure_logging, get_logger, level_of
from api_gateway.telemetry.log_line import Level
from tests.unit.telemetry.capture import Capture


@pytest.fixture
def capture() -> Iterator[Capture]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with Capture() as capture:
        yield capture
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def test_event_has_the_promised_shape(capture: Capture) -> None:
    configure_logging(capture.writer)
    get_logger("api_gateway.discovery").info("schema refreshed", service="users", routes=5)
    (line,) = capture.lines
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line.pop("timestamp"))
    assert line == {
        "level": "INFO",
        "target": "api_gateway.discovery",
        "fields": {"message": "schema refreshed", "pid": os.getpid(), "service": "users", "routes": 5},
    }


@pytest.mark.parametrize(
    ("level", "written"),
    [
        pytest.param("DEBUG", ["DEBUG", "INFO", "WARN", "ERROR", "ERROR"], id="debug"),
        pytest.param("INFO", ["INFO", "WARN", "ERROR", "ERROR"], id="info"),
        pytest.param("WARN", ["WARN", "ERROR", "ERROR"], id="warn"),
        pytest.param("ERROR", ["ERROR", "ERROR"], id="error"),
    ],
)
def test_levels(capture: Capture, level: Level, written: list[str]) -> None:
    configure_logging(capture.writer, level=level)
    log = get_logger("api_gateway.test")
    log.debug("x")
    log.info("x")
    log.warning("x")
    log.error("x")
    log.critical("x")
    assert [line["level"] for line in capture.lines] == written


def test_logger_made_before_the_configuration_obeys_it(capture: Capture) -> None:
    log = get_logger("api_gateway.early")
    configure_logging(capture.writer)
    log.info("x")
    assert capture.lines[0]["target"] == "api_gateway.early"


def test_events_tell_which_process_speaks(capture: Capture) -> None:
    """Workers say the same things, each for itself."""
    configure_logging(capture.writer)
    get_logger("t").info("x")
    logging.getLogger("some.library").warning("y")
    assert [line["fields"]["pid"] for line in capture.lines] == [os.getpid()] * 2


def test_secrets_are_removed(capture: Capture) -> None:
    """H19: by name, and by look within texts."""
    configure_logging(capture.writer)
    get_logger("t").info("failed for Bearer abc123XYZ", authorization="Basic abc", headers={"cookie": "a=b"})
    assert b"abc" not in capture.data
    assert b"a=b" not in capture.data


def test_exception_is_one_line_with_its_stack(capture: Capture) -> None:
    configure_logging(capture.writer)
    try:
        raise ValueError("bad\ninput with Bearer abc123XYZ")
    except ValueError:
        get_logger("t").exception("request failed")
    (line,) = capture.lines
    assert line["level"] == "ERROR"
    assert line["fields"]["error"] == "ValueError: bad\ninput with Bearer [redacted]"
    assert "test_exception_is_one_line" in line["fields"]["stack"]


def test_exception_handed_over(capture: Capture) -> None:
    configure_logging(capture.writer)
    get_logger("t").error("task failed", exc_info=KeyError("x"))
    assert capture.lines[0]["fields"]["error"] == "KeyError: 'x'"


def test_standard_library_writes_the_same_lines(capture: Capture) -> None:
    """What asyncio says about forgotten tasks, gunicorn about its workers, Python about old habits."""
    configure_logging(capture.writer)
    logging.getLogger("asyncio").error("Task exception was never retrieved: %s", 7, exc_info=ValueError("x"))
    logging.getLogger("asyncio").debug("not written")
    logging.getLogger("some.library").warning("bad %d", "format")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old habit", DeprecationWarning, stacklevel=1)
    first, second, third = capture.lines
    assert (first["target"], first["level"]) == ("asyncio", "ERROR")
    assert first["fields"]["message"] == "Task exception was never retrieved: 7"
    assert first["fields"]["error"] == "ValueError: x"
    assert (second["level"], second["fields"]["message"]) == ("WARN", "bad %d")
    assert third["target"] == "py.warnings"


def test_text_format(capture: Capture) -> None:
    configure_logging(capture.writer, line_format="text")
    get_logger("t").warning("slow", service="users")
    assert re.fullmatch(rb"\S+Z WARN  t: slow pid=\d+ service=users\n", capture.data)


def test_targets_have_levels_of_their_own(capture: Capture) -> None:
    """The longest name wins; what is below a target follows it; others keep the general level."""
    configure_logging(
        capture.writer,
        level="WARN",
        levels={"api_gateway.discovery": "DEBUG", "api_gateway.discovery.plan": "ERROR", "asyncio": "ERROR"},
    )
    for target in ("api_gateway.discovery", "api_gateway.discovery.rules", "api_gateway.discovery.plan", "api_gateway"):
        log = get_logger(target)
        log.debug("x")
        log.warning("x")
    logging.getLogger("asyncio").warning("x")
    logging.getLogger("other").warning("x")
    assert [(line["target"], line["level"]) for line in capture.lines] == [
        ("api_gateway.discovery", "DEBUG"),
        ("api_gateway.discovery", "WARN"),
        ("api_gateway.discovery.rules", "DEBUG"),
        ("api_gateway.discovery.rules", "WARN"),
        ("api_gateway", "WARN"),
        ("other", "WARN"),
    ]


@pytest.mark.parametrize(
    ("target", "level"),
    [
        ("api_gateway.proxy", "ERROR"),
        ("api_gateway.proxy.part", "ERROR"),
        ("api_gateway.proxying", "WARN"),
        ("api_gateway", "WARN"),
        ("elsewhere", "INFO"),
        ("", "INFO"),
    ],
)
def test_level_of_a_target(target: str, level: Level) -> None:
    assert level_of(target, "INFO", {"api_gateway.proxy": "ERROR", "api_gateway": "WARN"}) == level
