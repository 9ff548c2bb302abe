"""A route is a value: all of it is given when it is made, and nothing changes afterwards."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from api_gateway.routing.route import Route
from tests.unit.discovery.scenes import Compiling


def test_a_route_never_changes(tmp_path: Path) -> None:
    """Requests share it without a lock."""
    _, _, route = next(iter(Compiling(tmp_path).compile().table))
    for field in dataclasses.fields(Route):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(route, field.name, None)


def test_a_route_has_no_defaults() -> None:
    """What is forgotten when the table is built fails there, not in a request."""
    with pytest.raises(TypeError, match="timeout_s"):
        Route()  # type: ignore[call-arg]  # the test is about this mistake
