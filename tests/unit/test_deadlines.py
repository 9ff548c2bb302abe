"""The wheel, on a loop whose clock the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from api_gateway.deadlines import TICK_S, DeadlineWheel


class FakeTimer:
    """A timer that can be cancelled."""

    def __init__(self, when_s: float, callback: Callable[[], Any]) -> None:
        self.when_s = when_s
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        """Never call it."""
        self.is_cancelled = True


class FakeLoop:
    """What the wheel uses of an event loop."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.timers: list[FakeTimer] = []

    def time(self) -> float:
        """Return the clock."""
        return self.now_s

    def call_at(self, when_s: float, callback: Callable[[], Any]) -> FakeTimer:
        """Take a timer."""
        timer = FakeTimer(when_s, callback)
        self.timers.append(timer)
        return timer

    def active(self) -> list[FakeTimer]:
        """Return the timers that will still fire."""
        return [timer for timer in self.timers if not timer.is_cancelled]

    def advance(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        end_s = self.now_s + seconds
        while due := [timer for timer in self.active() if timer.when_s <= end_s]:
            timer = min(due, key=lambda each: each.when_s)
            self.timers.remove(timer)
            self.now_s = max(self.now_s, timer.when_s)
            timer.callback()
        self.now_s = end_s


class Entry:
    """Remembers when it expired."""

    def __init__(self, again: Callable[[Entry], None] | None = None) -> None:
        self.expired_s: list[float] = []
        self._again = again

    def expire(self, now_s: float) -> None:
        """Take the deadline."""
        self.expired_s.append(now_s)
        if self._again is not None:
            self._again(self)


def wheel() -> tuple[FakeLoop, DeadlineWheel]:
    """Return a wheel on a fake loop."""
    loop = FakeLoop()
    return loop, DeadlineWheel(cast(asyncio.AbstractEventLoop, loop))


def test_expires_late_by_at_most_a_tick_and_never_early() -> None:
    """P1 counts on it."""
    loop, deadlines = wheel()
    entries = [(100.0 + offset / 37, Entry()) for offset in range(1, 200)]
    for deadline_s, entry in entries:
        deadlines.add(deadline_s, entry)
    loop.advance(10)
    for deadline_s, entry in entries:
        assert len(entry.expired_s) == 1
        assert deadline_s <= entry.expired_s[0] <= deadline_s + 1.5 * TICK_S


def test_discarded_entries_stay_quiet() -> None:
    """A call that ended has no deadline."""
    loop, deadlines = wheel()
    entry = Entry()
    deadlines.discard(deadlines.add(101.0, entry), entry)
    loop.advance(5)
    assert entry.expired_s == []
    assert len(deadlines) == 0


def test_one_timer_serves_all() -> None:
    """However many deadlines there are, the loop holds one timer."""
    loop, deadlines = wheel()
    for offset in range(100):
        deadlines.add(130.0 - offset / 10, Entry())
    assert len(loop.active()) == 1


def test_no_timer_is_left_when_nothing_waits() -> None:
    """An idle gateway sleeps."""
    loop, deadlines = wheel()
    entries = [Entry() for _ in range(10)]
    slots = [deadlines.add(101.0 + number, entry) for number, entry in enumerate(entries)]
    for slot, entry in zip(slots, entries, strict=True):
        deadlines.discard(slot, entry)
    loop.advance(2)
    assert loop.active() == []


def test_an_entry_may_add_itself_again() -> None:
    """Connections do that when their deadline has moved."""
    loop, deadlines = wheel()
    entry = Entry(lambda self: None if len(self.expired_s) > 2 else (deadlines.add(loop.now_s + 1, self), None)[1])
    deadlines.add(101.0, entry)
    loop.advance(10)
    assert len(entry.expired_s) == 3


def test_late_tick_calls_nobody_before_his_deadline() -> None:
    """Who is called early adds himself to the same slot again: the loop would turn for ever within one tick."""

    class Careful:
        """Adds itself again as long as its deadline has not come, as connections do."""

        def __init__(self, deadline_s: float) -> None:
            self.deadline_s = deadline_s
            self.calls = 0
            self.is_expired = False

        def expire(self, now_s: float) -> None:
            self.calls += 1
            assert self.calls < 10, "called again and again within one tick"
            self.is_expired = now_s >= self.deadline_s
            if not self.is_expired:
                deadlines.add(self.deadline_s, self)

    for lag_ticks in (0.0, 0.3, 0.5, 0.6, 0.9, 1.0, 1.4, 1.5, 1.6, 7.9):
        loop, deadlines = wheel()
        entries = [Careful(100.5 + offset * TICK_S / 10) for offset in range(100)]
        for entry in entries:
            deadlines.add(entry.deadline_s, entry)
        (timer,) = loop.active()
        loop.now_s = timer.when_s + lag_ticks * TICK_S
        loop.timers.remove(timer)
        timer.callback()
        loop.advance(1.0)
        assert all(entry.is_expired for entry in entries), lag_ticks


def test_timer_that_comes_a_little_early_counts_as_on_time() -> None:
    """uvloop rounds to milliseconds. Deadlines are kept to a tick, and nothing spins until the millisecond is over."""
    loop, deadlines = wheel()
    entry = Entry()
    deadlines.add(101.0095, entry)
    (timer,) = loop.active()
    loop.now_s = timer.when_s - 0.001
    loop.timers.remove(timer)
    timer.callback()
    assert len(entry.expired_s) == 1
    assert entry.expired_s[0] >= 101.0095


def test_a_deadline_in_the_past_expires_at_the_next_tick() -> None:
    """A late request does not wait for ever."""
    loop, deadlines = wheel()
    entry = Entry()
    deadlines.add(50.0, entry)
    loop.advance(TICK_S)
    assert len(entry.expired_s) == 1


def test_close_forgets_everything() -> None:
    """Nothing expires after the end."""
    loop, deadlines = wheel()
    entry = Entry()
    deadlines.add(101.0, entry)
    deadlines.close()
    loop.advance(5)
    assert entry.expired_s == []
    assert loop.active() == []
