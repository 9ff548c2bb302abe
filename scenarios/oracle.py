"""What a request asked, what came back, and the verdict: right, an honest error, wrong, lost or late.

Nothing here performs I/O. A question carries a UUID and a seed; the answer must bring back both, the payload that
belongs to the seed, and the payload's SHA-256.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from api_gateway.model.status import Code, http_status
from tests.support.echo_behaviour import payload_of

LATE_S: Final = 0.25
"""An answer may come this long after its deadline; one in a thousand may exceed it, up to `LATEST_S`."""
LATEST_S: Final = 1.0
LATE_SHARE: Final = 0.001
BAD_GATEWAY: Final = 502
"""A backend that breaks the protocol; gRPC's table of statuses does not have it."""
HONEST_STATUSES: Final = frozenset({502, 503, 504})
"""What a client is told when a backend is at fault. 500 is not among them: it would be our own fault."""


class Verdict(Enum):
    """What became of a request."""

    OK = "ok"
    ERROR = "error"
    WRONG = "wrong"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request of the echo service."""

    id: str
    seed: int
    size_bytes: int = 200
    """Length of the payload in the answer."""
    sleep_ms: int = 0
    """How long the backend waits before it answers."""
    is_idempotent: bool = False
    """Whether it is asked with GET, else with POST."""
    deadline_s: float = 5.0
    """The deadline it has by configuration, or by `timeout_header`."""
    timeout_header: bytes = b""
    """Value of `X-Request-Timeout`; none when empty."""


PLAIN: Final = Question(id="", seed=0)
"""What most questions are like; each gets an id and a seed of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a client saw of one request. Times are of the loop's clock, from when the request was due."""

    status: int
    """0: no whole answer came."""
    content_type: bytes = b""
    body: bytes = b""
    reason: str = ""
    """Why no whole answer came."""
    due_s: float = 0.0
    took_s: float = 0.0


@dataclass(slots=True)
class Tally:
    """All verdicts of a load, with what is needed to hold them against a line."""

    expected: Set[int] = HONEST_STATUSES
    """Error statuses that are right in this scenario."""
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    """Statuses of errors."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Why the gateway refused, by the reason in its errors."""
    took_s: list[float] = field(default_factory=list)
    """How long each right answer took."""
    errors: list[Outcome] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)
    """Some of what was wrong or lost, for the report."""
    overdue_s: list[float] = field(default_factory=list)
    """How long after its deadline each late answer came."""
    last_ok_s: float = 0.0
    """When the last right answer came."""
    ok_times_s: list[float] = field(default_factory=list)
    """When each right answer came."""

    def add(self, question: Question, outcome: Outcome) -> Verdict:
        """Judge and count one."""
        verdict = judge(question, outcome, self.expected)
        self.verdicts[verdict] += 1
        if verdict is Verdict.OK:
            self.took_s.append(outcome.took_s)
            self.ok_times_s.append(outcome.due_s + outcome.took_s)
        elif verdict is Verdict.ERROR:
            self.statuses[outcome.status] += 1
            self.reasons[reason_of(outcome.body)] += 1
            self.errors.append(outcome)
        elif len(self.samples) < 5:
            self.samples.append(
                f"{verdict.value}: {question.id} {outcome.status} {outcome.reason} {outcome.body[:200]!r}"
            )
        if outcome.took_s > question.deadline_s + LATE_S:
            self.overdue_s.append(outcome.took_s - question.deadline_s)
        return verdict

    @property
    def asked(self) -> int:
        """Requests that have an outcome."""
        return self.verdicts.total()

    @property
    def late(self) -> int:
        """Answers too late: beyond the second bound, or beyond the first one and not among the share allowed."""
        beyond_all = sum(each > LATEST_S for each in self.overdue_s)
        allowed = int(self.asked * LATE_SHARE)
        return beyond_all + max(0, len(self.overdue_s) - beyond_all - allowed)

    def count(self, verdict: Verdict) -> int:
        """Return how many got this verdict."""
        return self.verdicts[verdict]

    def quantile_ms(self, share: float) -> float:
        """Return the time within which this share of the right answers came, in milliseconds; 0 without any."""
        return quantile(self.took_s, share) * 1000


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of the values does not exceed; 0 without values."""
    if not values:
        return 0.0
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def judge(question: Question, outcome: Outcome, expected: Set[int] = HONEST_STATUSES) -> Verdict:
    """Return the verdict on one outcome, lateness apart."""
    if not outcome.status:
        return Verdict.LOST
    if outcome.content_type != b"application/json":
        return Verdict.WRONG
    try:
        document = json.loads(outcome.body)
    except ValueError:
        return Verdict.WRONG
    if outcome.status == 200:
        return Verdict.OK if is_answer_of(question, document) else Verdict.WRONG
    return Verdict.ERROR if outcome.status in expected and is_error(outcome.status, document) else Verdict.WRONG


def is_answer_of(question: Question, document: Any) -> bool:
    """Whether a reply belongs to a question: id, seed, payload and hash."""
    if not isinstance(document, dict) or document.get("id") != question.id:
        return False
    payload = payload_of(question.seed, question.size_bytes)
    return (
        document.get("seed") == str(question.seed)
        and document.get("payload", "") == base64.b64encode(payload).decode()
        and document.get("payloadSha256") == hashlib.sha256(payload).hexdigest()
    )


def is_error(status: int, document: Any) -> bool:
    """Whether an error has the one shape of all errors, and a gRPC code that belongs to its HTTP status."""
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict) or error.get("code") != status or not isinstance(error.get("message"), str):
        return False
    name = error.get("status")
    return (
        isinstance(name, str)
        and name in Code.__members__
        and (status == BAD_GATEWAY or http_status(Code[name]) == status)
    )


def reason_of(body: bytes) -> str:
    """Return the reason in the ErrorInfo of an error, or its status when the backend stated it."""
    error = json.loads(body)["error"]
    reasons = [detail["reason"] for detail in error.get("details", ()) if "reason" in detail]
    return str(reasons[0] if reasons else error["status"])
