"""The journal counts starts and ends, and wakes whoever waits for them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.echo_journal import ALL, EchoJournal
from tests.support.gen.echo_control_pb2 import CANCELLED, COMPLETED, STARTED, GetJournalRequest


@pytest.mark.parametrize(
    ("error", "completed", "cancelled"),
    [
        pytest.param(None, 1, 0, id="success"),
        pytest.param(ValueError(), 1, 0, id="failure"),
        pytest.param(asyncio.CancelledError(), 0, 1, id="cancelled"),
        pytest.param(GeneratorExit(), 0, 1, id="abandoned"),
    ],
)
def test_every_end_counts_once(error: BaseException | None, completed: int, cancelled: int) -> None:
    journal = EchoJournal()
    with suppress(BaseException), journal.execution("id", "a.B/C"):
        if error is not None:
            raise error
    for key in ("id", ALL):
        read = journal.read(key)
        assert (read.started, read.completed, read.cancelled, list(read.methods)) == (
            1,
            completed,
            cancelled,
            ["a.B/C"],
        )


async def test_wait_returns_at_once_when_it_has_happened() -> None:
    journal = EchoJournal()
    with journal.execution("id", "a.B/C"):
        assert (await journal.wait(GetJournalRequest(id="id", wait_for=STARTED))).completed == 0


async def test_wait_is_woken_by_the_right_event_of_the_right_id() -> None:
    journal = EchoJournal()
    async with asyncio.TaskGroup() as tasks:
        request = GetJournalRequest(id="id", wait_for=COMPLETED, at_least=2)
        waiting = tasks.create_task(journal.wait(request))
        await asyncio.sleep(0)
        for request_id in ("id", "other", "id"):
            assert not waiting.done()
            with journal.execution(request_id, "a.B/C"):
                pass
            await asyncio.sleep(0)
    assert waiting.result().completed == 2


async def test_a_waiter_that_gives_up_leaves_nothing_behind() -> None:
    journal = EchoJournal()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(journal.wait(GetJournalRequest(id="id", wait_for=CANCELLED)), timeout=0)
    with journal.execution("id", "a.B/C"):
        pass
    assert journal.read("id").completed == 1


def test_clear_forgets() -> None:
    journal = EchoJournal()
    with journal.execution("id", "a.B/C"):
        pass
    journal.clear()
    assert journal.read(ALL).started == 0


def test_the_file_has_what_happened_and_is_shared(tmp_path: Path) -> None:
    """A killed backend's executions still count (reliability 4.1)."""
    path = tmp_path / "journal"
    journals = [EchoJournal(path), EchoJournal(path)]
    for number, journal in enumerate(journals):
        with journal.execution(f"id-{number}", "a.B/C"):
            pass
        journal.close()
    assert path.read_text().splitlines() == ["STARTED id-0", "COMPLETED id-0", "STARTED id-1", "COMPLETED id-1"]
