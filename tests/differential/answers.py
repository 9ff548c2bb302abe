"""What backends answer: messages, errors with details, bytes that are no message. And random messages both ways."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tests.differential.cases import JSON, Case, post
from tests.differential.messages import MessageMaker
from tests.support.recording_backend import Reply

PATHS = {"Item": "/v1/items", "Scalars": "/v1/scalars", "Known": "/v1/known"}
_TEXTS = ("not there", "", "two\nlines", "é 日本", '"quoted" \\', "100 %", "x" * 600, "%41", "tab\tinside")


def message_cases(pool: DescriptorPool, count: int, seed: int) -> Iterator[Case]:
    """Random messages: as answers, as JSON in ProtoJSON's spelling and in the schema's, and as JSON with one change."""
    maker, chance = MessageMaker(seed), random.Random(seed)
    for number in range(count):
        name, path = list(PATHS.items())[number % len(PATHS)]
        message = maker.make(pool.FindMessageTypeByName(f"differential.{name}"))
        yield Case(area=f"answer {name}", target=path, reply=Reply(messages=(message.SerializeToString(),)))
        text = as_json(
            message, pool, preserving_proto_field_name=number % 3 == 0, use_integers_for_enums=number % 5 == 0
        )
        yield post(f"random json {name}", path, text)
        yield post(f"mutated json {name}", path, mutate(text.encode(), chance))


def as_json(message: Message, pool: DescriptorPool, **options: Any) -> str:
    """Return a message in Google's own ProtoJSON."""
    text: str = json_format.MessageToJson(message, indent=None, descriptor_pool=pool, **options)
    return text


def mutate(text: bytes, chance: random.Random) -> bytes:
    """Change one place: a byte lost, doubled, replaced or swapped for JSON's own punctuation."""
    at = chance.randrange(len(text))
    kind = chance.randrange(4)
    if kind == 0:
        return text[:at] + text[at + 1 :]
    if kind == 1:
        return text[:at] + text[at : at + 1] + text[at:]
    if kind == 2:
        return text[:at] + bytes([chance.randrange(256)]) + text[at + 1 :]
    return text[:at] + chance.choice((b'"', b",", b"{", b"}", b"[", b"]", b":", b"null", b"1e5", b"-")) + text[at + 1 :]


def error_cases(pool: DescriptorPool) -> Iterator[Case]:
    """Every gRPC status with texts, and with details of known and unknown types."""
    failures = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]
    for number, code in enumerate(failures):
        for text in (_TEXTS[0], _TEXTS[number % len(_TEXTS)]):
            yield _failing("error", Reply(code=code, text=text))
        yield _failing("error with details", Reply(code=code, text="no", details=_details(pool, code, "no")))
    for text in _TEXTS:
        yield _failing("error", Reply(code=grpc.StatusCode.NOT_FOUND, text=text))
        details = _details(pool, grpc.StatusCode.NOT_FOUND, text)
        yield _failing("error with details", Reply(code=grpc.StatusCode.NOT_FOUND, text=text, details=details))
    unknown = _details(pool, grpc.StatusCode.ABORTED, "no", type_url="type.googleapis.com/nowhere.Unknown")
    yield _failing("error with unknown details", Reply(code=grpc.StatusCode.ABORTED, text="no", details=unknown))
    yield _failing("error with broken details", Reply(code=grpc.StatusCode.ABORTED, text="no", details=b"\xff\xff"))


def _failing(area: str, reply: Reply) -> Case:
    return Case(area=area, target="/v1/items/failing", reply=reply)


def _details(pool: DescriptorPool, code: grpc.StatusCode, text: str, type_url: str = "") -> bytes:
    status: Any = _new(pool, "google.rpc.Status")
    status.code, status.message = code.value[0], text
    info: Any = _new(pool, "google.rpc.ErrorInfo")
    info.reason, info.domain = "GONE", "shop.test"
    info.metadata["id"] = "7"
    detail = status.details.add()
    detail.Pack(info)
    if type_url:
        detail.type_url = type_url
    data: bytes = status.SerializeToString()
    return data


def body_answer_cases(pool: DescriptorPool) -> Iterator[Case]:
    """`response_body`, `HttpBody` both ways, `Empty`, streams, and answers that are none."""
    item = pool.FindMessageTypeByName("differential.Item")
    full = _item(item, name="n", note="text", tags=["a", "b"], inner={"id": "x", "level": 3})
    for field in ("inner", "tags", "note"):
        for answer in (full, b""):
            yield replace(post(f"response_body {field}", f"/v1/answers/{field}", "{}"), reply=Reply(messages=(answer,)))
    for kind, data in (
        ("text/html", b"<b>x</b>"),
        ("image/png", bytes(range(256))),
        ("", b"x"),
        ("application/json", b"{}"),
    ):
        body: Any = _new(pool, "google.api.HttpBody")
        body.content_type, body.data = kind, data
        reply = Reply(messages=(body.SerializeToString(),))
        yield Case(area="HttpBody answer", target="/v1/downloads/a", reply=reply)
        yield post("HttpBody both ways", "/v1/raw", data, headers=(("content-type", kind),) if kind else ())
        yield post("HttpBody request", "/v1/uploads/a", data, headers=(("content-type", kind),) if kind else ())
    yield Case(area="Empty", target="/v1/nothing")
    streams = ((), (full,), (full, b"", full))
    for messages in streams:
        yield Case(
            area="stream", target="/v1/watch", headers=(("accept", "application/json"),), reply=Reply(messages=messages)
        )
    refused = Reply(messages=(), code=grpc.StatusCode.NOT_FOUND, text="no")
    yield Case(area="stream", target="/v1/watch", headers=(("accept", "application/json"),), reply=refused)
    for data in (b"\xff", b"\x0a\x05ab", b"\x08\x01", b"\x0a\x01\xff", b"\x1a\x02\x08\x01"):
        yield Case(area="answer that is no message", target="/v1/items/a", reply=Reply(messages=(data,)))
    # Legal: a map entry whose value is the default, and left out. This ends Envoy, so it comes last.
    yield from _unprintable(pool)
    yield Case(area="answer with a bare map entry", target="/v1/items/a", reply=Reply(messages=(b"B\x03\n\x01a",)))


def _unprintable(pool: DescriptorPool) -> Iterator[Case]:
    """Answers that decode and have no JSON."""
    wrong: list[dict[str, Any]] = [
        {"timestamp": {"seconds": 253_402_300_800}},
        {"timestamp": {"seconds": -62_135_596_801}},
        {"timestamp": {"nanos": -1}},
        {"timestamp": {"nanos": 1_000_000_000}},
        {"duration": {"seconds": 315_576_000_001}},
        {"duration": {"seconds": 1, "nanos": -1}},
        {"duration": {"nanos": 1_000_000_000}},
        {"mask": {"paths": ["fooBar"]}},
        {"mask": {"paths": ["foo__bar"]}},
        {"any": {"type_url": "type.googleapis.com/nowhere.Unknown", "value": b"x"}},
        {"any": {"type_url": "type.googleapis.com/differential.Inner", "value": b"\xff"}},
        {"any": {"value": b"x"}},
        {"value": {}},
        {"value": {"number_value": float("nan")}},
        {"value": {"number_value": float("inf")}},
    ]
    known = pool.FindMessageTypeByName("differential.Known")
    for content in wrong:
        reply = Reply(messages=(_item(known, **content),))
        yield Case(area="answer without a JSON form", target="/v1/known", headers=JSON, reply=reply)


def _item(descriptor: Descriptor, **fields: Any) -> bytes:
    data: bytes = GetMessageClass(descriptor)(**fields).SerializeToString()
    return data


def _new(pool: DescriptorPool, name: str) -> Message:
    message: Message = GetMessageClass(pool.FindMessageTypeByName(name))()
    return message
