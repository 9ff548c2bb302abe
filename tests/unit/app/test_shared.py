"""Workers that share a store hear of each other's refreshes; a lone one hears of nobody's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from api_gateway.app.shared import Shared, SharedState
from api_gateway.config.settings import Settings
from api_gateway.state.local import LocalStore, LocalStoreFile
from api_gateway.state.memory import MemoryStore
from api_gateway.telemetry.log import configure_logging
from tests.unit.telemetry.capture import Capture


@pytest.fixture
def capture() -> Iterator[Capture]:
    with Capture() as capture:
        configure_logging(capture.writer)
        yield capture


@pytest.fixture
def shared(tmp_path: Path, capture: Capture) -> Shared:
    settings = Settings.model_validate({"services": {"users": {"endpoint": "http://127.0.0.1:1"}}})
    return Shared(settings=settings, state=None, metrics_directory=tmp_path, writer=capture.writer)


async def test_a_lone_worker_keeps_its_state_in_memory(shared: Shared) -> None:
    state = SharedState(shared)
    await state.start()
    assert isinstance(state.store, MemoryStore)
    await state.announce_refresh()
    assert not state.is_refresh_due()
    await state.aclose()


async def test_another_worker_is_told_once(shared: Shared, tmp_path: Path) -> None:
    file = LocalStoreFile(tmp_path, max_memory_bytes=1024 * 1024)
    state = SharedState(replace(shared, state=file))
    assert isinstance(state.store, LocalStore)
    assert not state.is_refresh_due()
    state.store.bump_generation()
    assert [state.is_refresh_due(), state.is_refresh_due()] == [True, False]
    await state.announce_refresh()
    assert not state.is_refresh_due()
    await state.aclose()
    file.close()


async def test_a_store_that_fails_is_told_and_harms_nobody(shared: Shared, tmp_path: Path, capture: Capture) -> None:
    file = LocalStoreFile(tmp_path, max_memory_bytes=1024 * 1024)
    state = SharedState(replace(shared, state=file))
    await state.aclose()
    assert not state.is_refresh_due()
    await state.announce_refresh()
    file.close()
    told = [line["fields"]["message"] for line in capture.lines]
    assert told == ["shared state cannot be read", "other workers were not told to refresh"]
