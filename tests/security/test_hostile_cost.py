"""What hostile requests and answers cost: refused for at most 50 ms of CPU a MiB, never a 500 (H11 to H14).

Run it with `-s` to see the figures; `docs/transcoding.md` quotes them.
"""

from __future__ import annotations

import pytest

from api_gateway.model.errors import GatewayError
from tests.support.cpu_time import cheapest_cpu_s
from tests.unit.transcoding.scenes import binding, encoder

MIB = 2**20
BAR_S = 0.050
"""For each MiB."""
FORM = b"application/x-www-form-urlencoded"


def many(opening: bytes, item: bytes, closing: bytes, size: int = MIB) -> bytes:
    return opening + b",".join([item] * (size // (len(item) + 1))) + closing


def numbered(opening: bytes, entry: bytes, count: int, closing: bytes) -> bytes:
    return opening + b",".join([entry % number for number in range(count)]) + closing


REFUSED: list[tuple[str, str, bytes]] = [
    ("brackets", "EchoTree", b"[" * MIB),
    ("20 MiB of brackets", "EchoTree", b"[" * (20 * MIB)),
    ("open objects", "EchoTree", b'{"left":' * (MIB // 8)),
    ("1e6 keys", "Structured", numbered(b"{", b'"%x":1', 1_000_000, b"}")),
    ("unknown keys", "EchoScalars", numbered(b"{", b'"%d":1', 100_000, b"}")),
    ("one key, again and again", "Structured", many(b"{", b'"a":1', b"}")),
    ("escaped key, again and again", "Structured", many(b"{", b'"\\u0061":1', b"}")),
    ("empty messages", "EchoTree", many(b'{"children":[', b"{}", b"]}")),
    ("empty lists", "Valued", many(b"[", b"[]", b"]")),
    ("numbers as values", "Valued", many(b"[", b"1", b"]")),
    ("values in an Any", "EchoWellKnown", many(b'{"any":{"@type":"google.protobuf.ListValue","value":[', b"1", b"]}}")),
    ("wrappers", "EchoRepeated", many(b'{"int64Values":[', b"1", b"]}")),
    ("masks", "EchoRepeated", many(b'{"masks":[', b'"a"', b"]}")),
    ("durations", "EchoRepeated", many(b'{"durations":[', b'"1s"', b"]}")),
    ("unknown types in Anys", "EchoWellKnown", many(b'{"anys":[', b'{"@type":"t/no.Type"}', b"]}")),
    ("wrong items", "EchoTree", many(b'{"children":[', b"1", b"]}")),
    ("digits", "EchoScalars", b'{"anInt64":' + b"9" * MIB + b"}"),
    ("digits in a string", "EchoScalars", b'{"anInt64":"' + b"9" * MIB + b'"}'),
    ("digits of an exponent", "EchoScalars", b'{"aDouble":1e' + b"9" * MIB + b"}"),
    ("NaN", "EchoRepeated", many(b'{"doubles":[', b"NaN", b"]}")),
    ("numbers over the edge", "EchoRepeated", many(b'{"int32s":[', b"2147483648", b"]}")),
    ("invalid UTF-8", "EchoScalars", b'{"aString":"' + b"\xff" * MIB + b'"}'),
    ("half surrogate pairs", "EchoScalars", b'{"aString":"' + b"\\ud800" * (MIB // 6) + b'"}'),
    ("broken base64", "EchoScalars", b'{"aBytes":"' + b"AAAA" * (MIB // 4) + b'!"}'),
    ("quotes", "EchoScalars", b'"' * MIB),
    ("underscores", "EchoTree", b'{"name":"' + b"_" * MIB + b'","x":1}'),
    ("escapes", "EchoTree", b'{"name":"' + b"\\u005f" * (MIB // 6) + b'","x":1}'),
]  # fmt: skip
FORMS: list[tuple[str, bytes]] = [
    ("ampersands", b"&" * MIB),
    ("10,000 parameters", b"anInt32=1&" * 10_000),
    ("broken escapes", b"aString=" + b"%4" * (MIB // 2)),
    ("escapes that are no UTF-8", b"aString=" + b"%ff" * (MIB // 3)),
    ("long unknown keys", b"&".join([b"a" * 1_000 + b"=1"] * 999)),
    ("deep unknown keys", b"&".join([b"a." * 500 + b"=1"] * 999)),
    ("digits", b"anInt32=" + b"9" * MIB),
]
ANSWERS: list[tuple[str, str, bytes]] = [
    ("groups in groups", "EchoScalars", b"\xa3\x06" * (MIB // 2)),
    ("messages in messages", "EchoTree", b"\x12\x7f" * (MIB // 2)),
    ("field 0", "EchoScalars", b"\x00\x01" * (MIB // 2)),
    ("invalid UTF-8 at the end", "EchoRepeated", b"\x72\x01a" * (MIB // 3) + b"\x72\x01\xff"),
    ("packed numbers, cut", "EchoRepeated", b"\x1a\x80\x80\xc0\x00" + b"\x01" * (MIB - 1) + b"\x80"),
    ("unknown fields, then a broken tag", "EchoScalars", b"\xc0\xbb\x01\x01" * (MIB // 4) + b"\x07"),
    ("varints without an end", "EchoScalars", b"\x18" + b"\xff" * MIB),
]


def _refusal_s(name: str, refuse: object, size: int) -> float:
    assert callable(refuse)
    bar_s = BAR_S * max(1.0, size / MIB)
    taken_s = cheapest_cpu_s(refuse, enough_s=bar_s)
    print(f"{name:36} {taken_s * 1000 / max(1.0, size / MIB):6.1f} ms/MiB")
    return taken_s / bar_s


@pytest.mark.parametrize(("name", "method", "text"), REFUSED, ids=[name for name, _, _ in REFUSED])
def test_hostile_json_is_refused_cheaply(name: str, method: str, text: bytes) -> None:
    """H12, H13."""
    bound = binding(method, body="*")

    def refuse() -> None:
        with pytest.raises(GatewayError) as caught:
            bound.bind((), "", text, b"")
        assert caught.value.http == 400

    assert _refusal_s(name, refuse, len(text)) <= 1


@pytest.mark.parametrize(("name", "text"), FORMS, ids=[name for name, _ in FORMS])
def test_hostile_forms_are_refused_cheaply(name: str, text: bytes) -> None:
    """H11, H12."""
    bound = binding("EchoScalars", body="*")

    def refuse() -> None:
        with pytest.raises(GatewayError) as caught:
            bound.bind((), "", text, FORM)
        assert caught.value.http == 400

    assert _refusal_s(name, refuse, len(text)) <= 1


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("anInt32=1&" * 6_000, id="parameters"),
        pytest.param("a" + "[b]" * 20_000 + "=1", id="brackets"),
        pytest.param("inner." * 10_000 + "x=1", id="path"),
        pytest.param("named[a]." * 7_000 + "x=1", id="maps in maps"),
        pytest.param("&" * 65_000, id="ampersands"),
        pytest.param("aString=" + "%ff" * 20_000, id="not UTF-8"),
        pytest.param("aString=" + "%" * 60_000, id="broken escapes"),
        pytest.param("&".join(f"unknown{n}=1" for n in range(900)), id="unknown keys"),
        pytest.param("left." * 99 + "name=1&" + "left." * 100 + "name=1", id="one level too deep"),
    ],
)
def test_hostile_queries_are_refused_within_10_ms(query: str) -> None:
    """H11: of the longest query that the gateway can be told to take (64 KiB)."""
    bound = [binding(method) for method in ("EchoScalars", "EchoTree")]

    def bind() -> None:
        for each in bound:
            try:
                each.bind((), query, b"", b"")
            except GatewayError as error:
                assert error.http == 400

    assert cheapest_cpu_s(bind, enough_s=0.010) <= 0.010


@pytest.mark.parametrize(("name", "method", "message"), ANSWERS, ids=[name for name, _, _ in ANSWERS])
def test_hostile_answers_are_bad_gateways_cheaply(name: str, method: str, message: bytes) -> None:
    """H14."""
    write = encoder(method)

    def refuse() -> None:
        with pytest.raises(GatewayError) as caught:
            write.encode(message)
        assert caught.value.http == 502

    assert _refusal_s(name, refuse, len(message)) <= 1


@pytest.mark.parametrize(
    ("method", "item", "opening", "closing"),
    [
        ("EchoTree", b'{"name":"a"}', b'{"children":[', b"]}"),
        ("EchoMaps", b'"%x":{}', b'{"stringMessage":{', b"}}"),
        ("EchoWellKnown", b'{"@type":"t/everything.Tree"}', b'{"anys":[', b"]}"),
        ("Valued", b"1", b"[", b"]"),
    ],
    ids=["messages", "map of messages", "Anys", "values"],
)
def test_cost_of_dense_json_grows_in_proportion(method: str, item: bytes, opening: bytes, closing: bytes) -> None:
    """P8: what is read and not refused is bounded by its number of messages, and twice as many cost twice as much."""
    bound = binding(method, body="*")

    def cost_s(count: int) -> float:
        items = [item % number if b"%x" in item else item for number in range(count)]
        text = opening + b",".join(items) + closing
        return min(cheapest_cpu_s(lambda: bound.bind((), "", text, b""), enough_s=0) for _ in range(2))

    assert cost_s(20_000) < 4 * cost_s(10_000)
