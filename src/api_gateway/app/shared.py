"""What all workers of one gateway have in common, and one worker's way to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..config.settings import Settings
from ..state.cluster import ClusterStore
from ..state.local import LocalStoreFile
from ..state.memory import MemoryStore
from ..state.store import MachineStore, StoreError
from ..state.unavailable import UnavailableStore
from ..telemetry.log import get_logger
from ..telemetry.log_writer import LogWriter

_log = get_logger("api_gateway.app")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all workers of one gateway have in common. Made by the first process, before any worker."""

    settings: Settings
    state: LocalStoreFile | None
    """What several workers share; None for one worker, which keeps its state to itself."""
    metrics_directory: Path
    writer: LogWriter


class SharedState:
    """One worker's stores: of its own, of its machine, and of all machines where a Redis is named.

    Also the generation number, by which any worker tells all others to ask the backends again.
    """

    def __init__(self, shared: Shared) -> None:
        self._local = _machine_store(shared)
        self._cluster = _cluster_store(shared.settings, self._local)
        self.store: MachineStore | ClusterStore = self._cluster or self._local
        """Where limits and breakers are kept: the widest there is."""
        self._trouble = ""
        """Why the number could not be read the last time; it is told of once."""
        self._generation = 0
        self._read_generation()

    async def start(self) -> None:
        """Begin to talk with other machines."""
        if self._cluster is not None:
            await self._cluster.start()
            self._read_generation()

    async def aclose(self) -> None:
        """Close the stores."""
        if self._cluster is not None:
            await self._cluster.close()
        self._local.close()

    def is_refresh_due(self) -> bool:
        """Whether another worker has announced a refresh since the last look."""
        before = self._generation
        return self._read_generation() != before

    def _read_generation(self) -> int:
        """Return the number, the one known before if it cannot be read."""
        trouble = ""
        try:
            self._generation = self.store.read_generation()
        except StoreError as error:
            trouble = str(error)
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                _log.warning("shared state cannot be read", reason=trouble)
        return self._generation

    async def announce_refresh(self) -> None:
        """Have all other workers ask the backends again; this one has done so."""
        try:
            if self._cluster is not None:
                await self._cluster.bump_generation()
            else:
                self._local.bump_generation()
            self._generation = self.store.read_generation()
        except StoreError as error:
            _log.warning("other workers were not told to refresh", reason=str(error))


def _machine_store(shared: Shared) -> MachineStore:
    limit = shared.settings.rate_limit
    if shared.state is None:
        return MemoryStore(window_s=limit.window_seconds, max_memory_bytes=int(limit.max_memory))
    try:
        return shared.state.open(window_s=limit.window_seconds)
    except StoreError as error:
        # A worker that ended would be replaced by one that ends in the same way, and nobody would be served at all.
        _log.error("shared state cannot be opened: restart the gateway", reason=str(error))
        return UnavailableStore(str(error))


def _cluster_store(settings: Settings, local: MachineStore) -> ClusterStore | None:
    if settings.state.redis_url is None:
        return None
    return ClusterStore(
        settings.state.redis_url,
        local,
        window_s=settings.rate_limit.window_seconds,
        timeout_s=settings.state.timeout_ms / 1000,
    )
