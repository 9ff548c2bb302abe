"""`api-gateway check`: tells whether a configuration is right."""

from __future__ import annotations

import os
from pathlib import Path

from ..config.loader import load_settings
from ..config.problem import ConfigError
from ..inspection import inspect_settings
from .screen import Screen


def check_configuration(screen: Screen, *, config: Path | None) -> int:
    """Check the file and print the result; return the exit code."""
    try:
        loaded = inspect_settings(load_settings(config, environ=os.environ))
    except ConfigError as error:
        screen.problems(error.problems)
        return 1
    screen.warnings(loaded.warnings)
    count = len(loaded.settings.services)
    screen.results.say(f"{loaded.origin}: ok, {count} service{'s' if count != 1 else ''}")
    if loaded.overrides:
        screen.results.say(f"with values from the environment: {', '.join(loaded.overrides)}")
    return 0
