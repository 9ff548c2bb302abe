"""Workers that share a store hear of each other's refreshes; a lone one hears of nobody's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from api_gateway.app.shared import Shared, SharedState
from api_gateway.config.settings import RateLimitSettings, Settings, StateSettings
from api_gateway.state.cluster import ClusterStore
from api_gateway.state.local import LocalStore, LocalStoreFile
from api_gateway.state.memory import MemoryStore
from api_gateway.state.store import StoreError
from api_gateway.state.unavailable import UnavailableStore
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


async def test_the_server_of_many_machines_gets_the_time_of_its_section(shared: Shared) -> None:
    """semantics 39: `state.timeout_ms` bounds each exchange, and `rate_limit.window_seconds` is the window."""
    settings = shared.settings.model_copy(
        update={
            "state": StateSettings(redis_url="unix:///nobody", timeout_ms=70),
            "rate_limit": RateLimitSettings(window_seconds=7),
        }
    )
    state = SharedState(replace(shared, settings=settings))
    assert isinstance(state.store, ClusterStore)
    assert (state.store._link._timeout_s, state.store._window_us) == (0.07, 7_000_000)
    await state.aclose()


async def test_a_store_that_fails_is_told_and_harms_nobody(shared: Shared, tmp_path: Path, capture: Capture) -> None:
    file = LocalStoreFile(tmp_path, max_memory_bytes=1024 * 1024)
    state = SharedState(replace(shared, state=file))
    await state.aclose()
    assert not state.is_refresh_due()
    await state.announce_refresh()
    file.close()
    assert not state.is_refresh_due()
    told = [line["fields"]["message"] for line in capture.lines]
    assert told == ["shared state cannot be read", "other workers were not told to refresh"], "each is told once"


async def test_a_worker_that_cannot_open_the_store_goes_without(
    shared: Shared, tmp_path: Path, capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """semantics 39: it serves by `on_store_error`, and does not end, to be replaced by one that ends, too."""
    file = LocalStoreFile(tmp_path, max_memory_bytes=1024 * 1024)

    def fail(self: LocalStoreFile, *, window_s: float) -> LocalStore:
        raise StoreError("MDB_INVALID")

    monkeypatch.setattr(LocalStoreFile, "open", fail)
    state = SharedState(replace(shared, state=file))
    await state.start()
    assert isinstance(state.store, UnavailableStore)
    assert not state.is_refresh_due()
    await state.aclose()
    told = [(line["level"], line["fields"]["reason"]) for line in capture.lines]
    assert told == [("ERROR", "MDB_INVALID"), ("WARN", "MDB_INVALID")]
    file.close()
