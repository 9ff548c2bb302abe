"""Connections that have ended leave no work to the garbage collector."""

from __future__ import annotations

import gc

import ngh2
import pytest

from tests.support.h2_frames import data, goaway
from tests.support.memory_link import MemoryLink


def _live_engines() -> int:
    return sum(isinstance(each, ngh2.Connection) for each in gc.get_objects())


@pytest.mark.parametrize("end", ["goaway", "lost", "closed", "broken"])
def test_a_closed_connection_is_gone_at_once(end: str) -> None:
    """B6: it does not wait for the garbage collector, with up to 30 kB of the engine's."""
    gc.collect()
    gc.disable()
    try:
        before = _live_engines()
        link = MemoryLink()
        link.greet()
        assert _live_engines() == before + 1
        if end == "goaway":
            link.feed(goaway(0))
        elif end == "lost":
            link.connection.connection_lost(None)
        elif end == "closed":
            link.connection.close("enough")
        else:
            link.feed(data(0, b"x"))
        assert link.connection.is_closed
        link.loop.turn()
        del link
        assert _live_engines() == before
    finally:
        gc.enable()
