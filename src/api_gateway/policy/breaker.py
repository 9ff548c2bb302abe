"""The circuit breaker of a service: calls stop while it fails, and start again by single trials.

- closed: every call passes. `failure_threshold` failures in a row open it.
- open: no call passes, for `timeout_seconds`. Then the next request becomes a trial: half-open.
- half-open: one trial at a time, over all workers. `success_threshold` successes close it, one failure opens it again.

Failures are what says that the service is ill (`_FAILURES`); OK is a success; everything else, client errors and
cancelled calls above all, is neither. Results of calls that began before it opened change nothing. Calls cut short with
their connections are one failure together: a backend that restarts cuts all there are, and is back in a moment.

The record is shared by the workers of a machine. Each looks at it through a copy at most `_REFRESH_S` old, and writes
only when something changes: while all goes well, a request costs no access to the store.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from math import ceil
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ..config.settings import CircuitBreakerSettings
from ..model.errors import GatewayError, unavailable
from ..model.exchange import Exchange
from ..model.status import Code
from ..state.store import BreakerRecord, BreakerState, BreakerStore, StoreError

if TYPE_CHECKING:
    from ..model.policy import Policy

_REFRESH_S: Final = 0.25
"""Oldest copy of the record that decides. All workers must see a change within 1 s."""
_TRIAL_GRACE_S: Final = 1.0
"""How long after its deadline a trial keeps its slot: then its worker must be dead."""
_MAX_TRIAL_S: Final = 60.0
_LOSS_S: Final = 1.0
"""Lost connections that follow each other within this time, in whatever worker, are one event, and one failure."""
_LOST: Final = "UPSTREAM_CONNECTION_LOST"
"""The reason of a call that was cut short by the end of its connection (`grpc/failures.py`)."""
_FAIR_SHARE: Final = 0.5
"""Part of its own timeout a backend must have had for a missed deadline to be its failure, not the client's hurry."""
_FAILURES: Final = frozenset(
    int(code) for code in (Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.INTERNAL, Code.UNAVAILABLE, Code.DATA_LOSS)
)


class BreakerListener(Protocol):
    """Hears what metrics and the log must know."""

    def breaker_changed(self, service: str, old: BreakerState, new: BreakerState) -> None:
        """The state changed. Told once per change, by the worker that caused it."""

    def breaker_store_failed(self, service: str, reason: str) -> None:
        """The store did not answer; this worker goes on with what it knows."""


class Event(Enum):
    """What can happen to a breaker."""

    ASKED = auto()
    """A request wants to pass while the breaker is not closed."""
    SUCCEEDED = auto()
    FAILED = auto()
    LOST = auto()
    """A call failed because its connection ended."""
    TRIAL_SUCCEEDED = auto()
    TRIAL_FAILED = auto()
    TRIAL_ABANDONED = auto()
    """The trial ended as neither success nor failure."""


class _Moment(NamedTuple):
    """When something happened, and under which settings."""

    settings: CircuitBreakerSettings
    now_s: float
    trial_until_s: float
    """Until when the trial in question holds its slot, 0 when none is. It also tells one trial from another."""


def _count_failure(record: BreakerRecord, moment: _Moment) -> BreakerRecord:
    failures = record.failures + 1
    if failures >= moment.settings.failure_threshold:
        return _open(record, moment)
    return record._replace(failures=failures)


def _count_loss(record: BreakerRecord, moment: _Moment) -> BreakerRecord:
    if moment.now_s < record.lost_s + _LOSS_S:
        return record
    return _count_failure(record._replace(lost_s=moment.now_s), moment)


def _forget_failures(record: BreakerRecord, moment: _Moment) -> BreakerRecord:
    return record._replace(failures=0)


def _open(record: BreakerRecord, moment: _Moment) -> BreakerRecord:
    return BreakerRecord(BreakerState.OPEN, opened_s=moment.now_s)


def _try_after_timeout(record: BreakerRecord, moment: _Moment) -> BreakerRecord:
    if moment.now_s < record.opened_s + moment.settings.timeout_seconds:
        return record
    return BreakerRecord(BreakerState.HALF_OPEN, opened_s=record.opened_s, trial_until_s=moment.trial_until_s)


def _try_next(record: BreakerRecord, moment: _Moment) -> BreakerRecord:
    if moment.now_s < record.trial_until_s:
        return record
    return record._replace(trial_until_s=moment.trial_until_s)


def _count_success(record: BreakerRecord, moment: _Moment) -> BreakerRecord:
    if record.trial_until_s != moment.trial_until_s:
        return record
    successes = record.successes + 1
    if successes >= moment.settings.success_threshold:
        return BreakerRecord()
    return record._replace(successes=successes, trial_until_s=0.0)


def _reopen(record: BreakerRecord, moment: _Moment) -> BreakerRecord:
    return record if record.trial_until_s != moment.trial_until_s else _open(record, moment)


def _free_slot(record: BreakerRecord, moment: _Moment) -> BreakerRecord:
    return record if record.trial_until_s != moment.trial_until_s else record._replace(trial_until_s=0.0)


_TRANSITIONS: Final[dict[tuple[BreakerState, Event], Callable[[BreakerRecord, _Moment], BreakerRecord]]] = {
    (BreakerState.CLOSED, Event.FAILED): _count_failure,
    (BreakerState.CLOSED, Event.LOST): _count_loss,
    (BreakerState.CLOSED, Event.SUCCEEDED): _forget_failures,
    (BreakerState.OPEN, Event.ASKED): _try_after_timeout,
    (BreakerState.HALF_OPEN, Event.ASKED): _try_next,
    (BreakerState.HALF_OPEN, Event.TRIAL_SUCCEEDED): _count_success,
    (BreakerState.HALF_OPEN, Event.TRIAL_FAILED): _reopen,
    (BreakerState.HALF_OPEN, Event.TRIAL_ABANDONED): _free_slot,
}
"""What each event does in each state. What is not listed changes nothing, and nor does a trial that lost its slot."""


class Breaker:
    """One service's breaker in one worker. Lives as long as the worker; `bind` it to each route of the service."""

    __slots__ = (
        "_listener",
        "_record",
        "_settings",
        "_stale_at_s",
        "_store",
        "_trial",
        "_trial_until_s",
        "is_troubled",
        "service",
    )

    def __init__(
        self, service: str, settings: CircuitBreakerSettings, store: BreakerStore, listener: BreakerListener
    ) -> None:
        self.service = service
        self._settings = settings
        self._store = store
        self._listener = listener
        self._record = BreakerRecord()
        self.is_troubled = False
        """Whether the record is anything but closed without failures; until then a success is no news."""
        self._stale_at_s = 0.0
        self._trial: Exchange | None = None
        self._trial_until_s = 0.0

    def bind(self, timeout_s: float) -> Policy:
        """Return the policy of one route, whose calls may take `timeout_s` by the operator's settings.

        Infinite: a missed deadline is never the backend's failure.
        """
        return _RouteBreaker(self, timeout_s)

    def record(self, now_s: float) -> BreakerRecord:
        """Return the record, at most 0.25 s old. `open` includes a breaker that waits for its first trial."""
        if now_s >= self._stale_at_s:
            self._refresh(now_s)
        return self._record

    def admit(self, exchange: Exchange, now_s: float) -> None:
        """Let the exchange pass, as a trial if need be; raise 503 `CIRCUIT_OPEN` otherwise."""
        if now_s >= self._stale_at_s:
            self._refresh(now_s)
        if self._record.state:
            self._admit_trial(exchange, now_s)

    def settle(self, exchange: Exchange, now_s: float, *, is_fair: bool) -> None:
        """Count how the exchange ended. `is_fair` is whether a missed deadline is the backend's failure."""
        code = exchange.grpc_code
        has_failed = code in _FAILURES and (is_fair or code != Code.DEADLINE_EXCEEDED)
        if exchange is self._trial:
            self._trial = None
            event = Event.TRIAL_FAILED if has_failed else Event.TRIAL_ABANDONED
            self._apply(Event.TRIAL_SUCCEEDED if code == Code.OK else event, now_s, self._trial_until_s)
        elif has_failed:
            self._apply(Event.LOST if exchange.error_reason == _LOST else Event.FAILED, now_s)
        elif code == Code.OK and self.is_troubled:
            self._apply(Event.SUCCEEDED, now_s)

    def _admit_trial(self, exchange: Exchange, now_s: float) -> None:
        record = self._record
        if record.state is BreakerState.OPEN and now_s < self._first_trial_s(record):
            raise self._refusal(record, now_s)
        # A stream may last for hours; it keeps the next trial waiting no longer than a call does.
        trial_until_s = min(max(exchange.deadline_s, now_s), now_s + _MAX_TRIAL_S) + _TRIAL_GRACE_S
        before, after = self._apply(Event.ASKED, now_s, trial_until_s)
        if after.state is BreakerState.CLOSED:
            return
        if after == before:
            raise self._refusal(after, now_s)
        self._trial, self._trial_until_s = exchange, trial_until_s

    def _first_trial_s(self, record: BreakerRecord) -> float:
        return record.opened_s + self._settings.timeout_seconds

    def _refusal(self, record: BreakerRecord, now_s: float) -> GatewayError:
        wait_s = self._first_trial_s(record) - now_s if record.state is BreakerState.OPEN else 0.0
        return unavailable(
            f'the service "{self.service}" is failing and not called at the moment',
            "CIRCUIT_OPEN",
            retry_after_s=max(1, ceil(wait_s)),  # a trial under way usually ends within a second
            service=self.service,
        )

    def _apply(self, event: Event, now_s: float, trial_until_s: float = 0.0) -> tuple[BreakerRecord, BreakerRecord]:
        """Write an event's effect through to the store; return the record before and after it."""
        moment = _Moment(self._settings, now_s, trial_until_s)

        def change(record: BreakerRecord) -> BreakerRecord:
            transition = _TRANSITIONS.get((record.state, event))
            return record if transition is None else transition(record, moment)

        try:
            before, after = self._store.update_breaker(self.service, change)
        except StoreError as error:
            self._listener.breaker_store_failed(self.service, str(error))
            before, after = self._record, change(self._record)
        self._keep(after, now_s)
        if before.state is not after.state:
            self._listener.breaker_changed(self.service, before.state, after.state)
        return before, after

    def _refresh(self, now_s: float) -> None:
        try:
            self._keep(self._store.read_breaker(self.service), now_s)
        except StoreError as error:
            self._listener.breaker_store_failed(self.service, str(error))
            self._keep(self._record, now_s)

    def _keep(self, record: BreakerRecord, now_s: float) -> None:
        self._record = record
        self.is_troubled = record.state is not BreakerState.CLOSED or record.failures > 0
        self._stale_at_s = now_s + _REFRESH_S


class _RouteBreaker:
    """A service's breaker, seen from one route."""

    __slots__ = ("_breaker", "_fair_s", "admit")

    def __init__(self, breaker: Breaker, timeout_s: float) -> None:
        self._breaker = breaker
        self._fair_s = timeout_s * _FAIR_SHARE
        self.admit = breaker.admit

    def settle(self, exchange: Exchange, now_s: float) -> None:
        """Count how the exchange ended.

        A client that asks for an answer within 1 ms, or sends its body so slowly that no time is left for the call,
        must not be able to open the breaker for everybody.
        """
        if exchange.grpc_code == 0 and not self._breaker.is_troubled:
            return
        called_s = exchange.called_s or exchange.request.started_s
        self._breaker.settle(exchange, now_s, is_fair=exchange.deadline_s - called_s >= self._fair_s)


if TYPE_CHECKING:
    _guard: type[Policy] = _RouteBreaker
