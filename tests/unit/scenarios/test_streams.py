"""A stream that ends short is seen, however it ends (B4)."""

from __future__ import annotations

import base64
import json

from scenarios.oracle import Outcome
from scenarios.streams import PAYLOAD_BYTES, read_end
from tests.support.echo_behaviour import payload_of


def message(index: int) -> bytes:
    payload = base64.b64encode(payload_of(3, PAYLOAD_BYTES)).decode()
    return json.dumps({"id": "stream-3", "seed": "3", "payload": payload, "index": index}).encode() + b"\n"


def test_a_clean_end_before_the_last_message_is_short() -> None:
    end = read_end(3, Outcome(status=200, body=message(0) + message(1)))
    assert (end.messages, end.is_short_as_if_whole, end.has_wrong) == (2, True, False)


def test_an_error_line_and_a_cut_are_honest() -> None:
    shown = read_end(3, Outcome(status=200, body=message(0) + b'{"error": {}}\n'))
    cut = read_end(3, Outcome(status=0, body=message(0) + message(1)[:9]))
    assert (shown.messages, shown.is_error_shown, shown.is_short_as_if_whole) == (1, True, False)
    assert (cut.messages, cut.is_cut, cut.is_short_as_if_whole, cut.has_wrong) == (1, True, False, False)


def test_another_streams_message_is_wrong() -> None:
    foreign = message(1).replace(b"stream-3", b"stream-4")
    assert read_end(3, Outcome(status=200, body=message(0) + foreign)).has_wrong
    assert read_end(3, Outcome(status=200, body=message(1))).has_wrong
    assert read_end(3, Outcome(status=200, body=message(0)[:9])).has_wrong
