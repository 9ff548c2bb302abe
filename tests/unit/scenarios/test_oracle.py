"""The oracle calls right what is right, and nothing else (reliability 4.1)."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from scenarios.oracle import Outcome, Question, Tally, Verdict, judge, quantile
from tests.support.echo_behaviour import payload_of

QUESTION = Question(id="u-1", seed=7, size_bytes=20, deadline_s=1.0)
JSON = b"application/json"


def reply(**changes: Any) -> dict[str, Any]:
    payload = payload_of(7, 20)
    right = {
        "id": "u-1",
        "seed": "7",
        "payload": base64.b64encode(payload).decode(),
        "payloadSha256": hashlib.sha256(payload).hexdigest(),
    }
    return {**right, **changes}


def error(code: int, status: str) -> dict[str, Any]:
    return {"error": {"code": code, "status": status, "message": "no"}}


def outcome(status: int, document: object, *, content_type: bytes = JSON, took_s: float = 0.0) -> Outcome:
    return Outcome(status=status, content_type=content_type, body=json.dumps(document).encode(), took_s=took_s)


@pytest.mark.parametrize(
    ("came", "verdict"),
    [
        pytest.param(outcome(200, reply()), Verdict.OK, id="right"),
        pytest.param(outcome(200, reply(id="u-2")), Verdict.WRONG, id="another_id"),
        pytest.param(outcome(200, reply(seed="8")), Verdict.WRONG, id="another_seed"),
        pytest.param(outcome(200, reply(payload="AAAA")), Verdict.WRONG, id="another_payload"),
        pytest.param(outcome(200, reply(payloadSha256="00")), Verdict.WRONG, id="another_hash"),
        pytest.param(outcome(200, []), Verdict.WRONG, id="another_shape"),
        pytest.param(outcome(200, reply(), content_type=b"text/html"), Verdict.WRONG, id="another_type"),
        pytest.param(Outcome(status=200, content_type=JSON, body=b'{"id": "u'), Verdict.WRONG, id="cut_json"),
        pytest.param(outcome(503, error(503, "UNAVAILABLE")), Verdict.ERROR, id="unavailable"),
        pytest.param(outcome(504, error(504, "DEADLINE_EXCEEDED")), Verdict.ERROR, id="deadline"),
        pytest.param(outcome(502, error(502, "INTERNAL")), Verdict.ERROR, id="bad_gateway"),
        pytest.param(outcome(503, error(504, "UNAVAILABLE")), Verdict.WRONG, id="codes_differ"),
        pytest.param(outcome(503, error(503, "NOT_FOUND")), Verdict.WRONG, id="wrong_mapping"),
        pytest.param(outcome(500, error(500, "INTERNAL")), Verdict.WRONG, id="our_own_fault"),
        pytest.param(outcome(404, error(404, "NOT_FOUND")), Verdict.WRONG, id="unexpected_status"),
        pytest.param(Outcome(status=0, reason="connection ended"), Verdict.LOST, id="lost"),
    ],
)
def test_verdicts(came: Outcome, verdict: Verdict) -> None:
    assert judge(QUESTION, came) is verdict


def test_one_in_a_thousand_may_be_a_little_late_and_none_very_late() -> None:
    tally = Tally()
    for number in range(2_000):
        tally.add(QUESTION, outcome(200, reply(), took_s=1.3 if number < 3 else 0.1))
    assert tally.late == 1
    tally.add(QUESTION, outcome(200, reply(), took_s=2.1))
    assert tally.late == 2


def test_a_tally_tells_errors_apart() -> None:
    tally = Tally()
    detailed = error(503, "UNAVAILABLE")
    detailed["error"]["details"] = [{"reason": "CIRCUIT_OPEN"}]
    for document in (detailed, error(503, "UNAVAILABLE")):
        tally.add(QUESTION, outcome(503, document))
    assert (tally.statuses, tally.reasons) == ({503: 2}, {"CIRCUIT_OPEN": 1, "UNAVAILABLE": 1})


def test_quantiles() -> None:
    assert quantile([], 0.99) == 0
    assert quantile([float(each) for each in range(100)], 0.99) == 99
