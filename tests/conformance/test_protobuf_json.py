"""Protobuf's JSON conformance rules through the running gateway: JSON to message, message to JSON, and refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf import json_format, text_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tests.conformance.answers import ANSWERS, Printed
from tests.conformance.rule import Rule
from tests.conformance.rules import IGNORED, all_rules
from tests.differential.cases import post
from tests.differential.client import Asker
from tests.differential.compare import parse_json, same_json
from tests.support.descriptors import descriptors_of, pool_of
from tests.support.gateway import serving, start_gateway
from tests.support.raw_http import Answer
from tests.support.recording_backend import RecordingBackend, Reply, normalise, recording_backend

SCHEMAS = ("everything.proto", "legacy.proto", "modern.proto", "conformance.proto")
GATEWAY: dict[str, Any] = {
    "discovery": {"expose_unmapped": True},
    # Answers without a JSON form come on purpose and in a row.
    "service": {"circuit_breaker": {"failure_threshold": 1_000_000}},
}


@dataclass(slots=True)
class Stage:
    """A gateway before a backend that echoes."""

    backend: RecordingBackend
    asker: Asker
    asked: int = 0

    def ask(self, method: str, body: str | bytes, reply: Reply | None = None) -> tuple[Answer, bytes | None]:
        """Call a method; return the answer and the message that the backend saw, None when it saw none."""
        self.asked += 1
        probe = f"rule-{self.asked}"
        if reply is not None:
            self.backend.plan(probe, reply)
        answer = self.asker.ask(post("", f"/{method}", body).wire(probe), is_head=False)
        seen = self.backend.take(probe)
        assert len(seen) <= 1
        return answer, seen[0].message if seen else None

    def message(self, method: str, text: str) -> Message:
        """Build a method's message from text."""
        service, _, name = method.partition("/")
        kind = GetMessageClass(self.backend.pool.FindServiceByName(service).FindMethodByName(name).input_type)
        message: Message = text_format.Parse(text, kind(), descriptor_pool=self.backend.pool)
        return message


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """With the gateway's defaults."""
    with staged(GATEWAY) as stage:
        yield stage


@pytest.fixture(scope="module")
def ignoring_stage() -> Iterator[Stage]:
    """With `unknown_fields: ignore`."""
    with staged({**GATEWAY, "service": {"transcoding": {"unknown_fields": "ignore"}}}) as stage:
        yield stage


@contextmanager
def staged(config: dict[str, Any]) -> Iterator[Stage]:
    with (
        recording_backend(descriptors_of(*SCHEMAS)) as backend,
        start_gateway(serving(backend.endpoint, **config)) as gateway,
    ):
        gateway.wait_until_routed("/legacy.LegacyService/Echo", method="POST")
        with Asker(lambda: gateway.port) as asker:
            yield Stage(backend, asker)


def names(rule: Rule) -> str:
    return f"{rule.method.rpartition('/')[2]} {rule.json!r}"[:80]


@pytest.mark.parametrize(
    "rule", [pytest.param(rule, id=names(rule)) for rule in all_rules() if rule.message is not None]
)
def test_taken(stage: Stage, rule: Rule) -> None:
    """semantics 11, 16, 17."""
    expected = stage.message(rule.method, rule.message or "")
    answer, seen = stage.ask(rule.method, rule.json)
    assert answer.status == 200, answer
    normalise(expected, stage.backend.pool)
    assert seen == expected.SerializeToString(deterministic=True)
    out = rule.out or json_format.MessageToJson(expected, descriptor_pool=stage.backend.pool)
    assert same_json(parse_json(answer.body), parse_json(out.encode())), (answer.body, out)


@pytest.mark.parametrize("rule", [pytest.param(rule, id=names(rule)) for rule in all_rules() if rule.message is None])
def test_refused(stage: Stage, rule: Rule) -> None:
    """semantics 16: 400, never 500, and the backend is not asked."""
    answer, seen = stage.ask(rule.method, rule.json)
    assert (answer.status, seen) == (400, None), answer
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("printed", [pytest.param(printed, id=printed.message[:80]) for printed in ANSWERS])
def test_printed(stage: Stage, printed: Printed) -> None:
    """semantics 17, 21: what has no JSON form is 502, never 500."""
    reply = Reply(messages=(stage.message(printed.method, printed.message).SerializeToString(),))
    body = '{"name": "n"}' if printed.method.startswith("legacy.") else "{}"
    answer, _ = stage.ask(printed.method, body, reply)
    if printed.json is None:
        assert (answer.status, answer.reason) == (502, "UPSTREAM_INVALID_MESSAGE"), answer
    else:
        assert answer.status == 200, answer
        assert same_json(parse_json(answer.body), parse_json(printed.json.encode())), answer.body


def test_every_bit_pattern_of_nan_is_nan(stage: Stage) -> None:
    """Signalling, quiet, negative, with a payload."""
    patterns = [b"\x15\x45\x23\xa1\x7f", b"\x15\x21\x43\xb5\xff", b"\x15\x00\x00\xc0\x7f"]
    patterns += [b"\x09\xbc\x9a\x78\x56\x34\x12\xfa\x7f", b"\x09\x21\x43\x65\x87\xa9\xcb\xfb\xff"]
    for pattern in patterns:
        answer, _ = stage.ask("everything.EverythingService/EchoScalars", "{}", Reply(messages=(pattern,)))
        assert set(json.loads(answer.body).values()) == {"NaN"}


GOOGLE_REFUSES = {'{"a_float": 3.4028235e+38}'}
"""What its Python library prints and does not read."""


@pytest.mark.parametrize(
    "rule", [pytest.param(rule, id=names(rule)) for rule in all_rules() if rule.message is not None]
)
def test_googles_own_library_reads_the_same(rule: Rule) -> None:
    """A second opinion on the table. What is refused is no question for it: it takes more than the specification."""
    pool = pool_of(*SCHEMAS)
    stage = Stage(RecordingBackend((), pool), Asker(lambda: 0))
    expected = stage.message(rule.method, rule.message or "")
    try:
        read = json_format.Parse(rule.json, stage.message(rule.method, ""), descriptor_pool=pool)
    except json_format.ParseError:
        assert rule.json in GOOGLE_REFUSES
    else:
        assert read.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)


@pytest.mark.parametrize("rule", [pytest.param(rule, id=names(rule)) for rule in IGNORED])
def test_ignored(ignoring_stage: Stage, rule: Rule) -> None:
    """`unknown_fields: ignore` drops what the schema does not know, and nothing beside it (semantics 12)."""
    test_taken(ignoring_stage, rule)
