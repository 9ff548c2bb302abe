"""Messages inside each other: what bindings let pass, Google's library reads (semantics 16, 40, H13)."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest
from google.protobuf.message import DecodeError

from api_gateway.model.errors import GatewayError
from api_gateway.transcoding.message_depth import MAX_DEPTH, DepthLimit, may_be_deep
from tests.unit.transcoding.scenes import binding, descriptor, method, summary
from tests.unit.transcoding.strategies import message_class

FORM = b"application/x-www-form-urlencoded"
Text = Callable[[int], str]


def nested(opening: str, closing: str, start: str = "", end: str = "", inner: str = "1") -> Text:
    return lambda count: f"{start}{opening * count}{inner}{closing * count}{end}"


@pytest.mark.parametrize(
    ("name", "text", "most"),
    [
        pytest.param("EchoWellKnown", nested('{"a":', "}", '{"struct":', "}"), 33, id="objects in a Struct"),
        pytest.param("EchoWellKnown", nested('{"a":', "}", '{"value":', "}"), 33, id="objects in a Value"),
        pytest.param("EchoWellKnown", nested("[", "]", '{"value":', "}"), 49, id="arrays in a Value"),
        pytest.param("EchoWellKnown", nested('[{"a":', "}]", '{"list":[', "]}"), 19, id="objects in arrays"),
        pytest.param("Structured", nested('{"a":', "}"), 33, id="Struct as the message"),
        pytest.param("EchoTree", nested('{"named":{"a":', "}}", inner="{}"), 50, id="maps of messages"),
        pytest.param("EchoTree", nested('{"left":', "}", inner="{}"), 100, id="messages"),
        pytest.param("EchoTree", nested('{"children":[', "]}", inner="{}"), 100, id="lists of messages"),
        pytest.param("EchoTree", nested('{"left":', "}", inner='{"attributes":{"a":"b"}}'), 99, id="map of texts"),
    ],
)
def test_semantics_16_a_body_is_no_deeper_than_backends_read(name: str, text: Text, most: int) -> None:
    whole = binding(name, body="*")
    accepted = whole.bind((), "", text(most).encode(), b"")
    message_class(method(name).input.type_name).FromString(accepted)
    with pytest.raises(GatewayError) as caught:
        whole.bind((), "", text(most + 1).encode(), b"")
    assert summary(caught.value)[:2] == (400, "INVALID_JSON")


@pytest.mark.parametrize(
    ("name", "text", "most"),
    [
        pytest.param("EchoWellKnown", nested('{"a":', "}", "struct="), 33, id="Struct"),
        pytest.param("EchoWellKnown", nested("[", "]", "list="), 50, id="ListValue"),
        pytest.param("EchoTree", nested("named[a].", "", inner="name=x"), 49, id="maps"),
        pytest.param("EchoTree", nested("left.", "", inner="name=x"), 99, id="messages"),
        pytest.param("EchoTree", nested("left.", "", inner="attributes[a]=x"), 99, id="map of texts"),
    ],
)
@pytest.mark.parametrize("place", ["query", "form"])
def test_semantics_16_nor_are_parameters(name: str, text: Text, most: int, place: str) -> None:
    def bind(count: int) -> bytes:
        key, _, value = text(count).partition("=")
        pair = f"{quote(key)}={quote(value)}"
        if place == "query":
            return binding(name).bind((), pair, b"", b"")
        return binding(name, body="*").bind((), "", pair.encode(), FORM)

    message_class(method(name).input.type_name).FromString(bind(most))
    with pytest.raises(GatewayError) as caught:
        bind(most + 1)
    assert caught.value.http == 400


@pytest.mark.parametrize(
    ("name", "is_needed"),
    [
        ("Tree", True),
        ("WellKnown", True),
        ("Everything", True),
        ("google.protobuf.Value", True),
        ("legacy.Legacy", True),
        ("Scalars", False),
        ("Optionals", False),
        ("google.protobuf.Any", False),
    ],
)
def test_only_types_that_lead_back_to_themselves_need_the_limit(name: str, is_needed: bool) -> None:
    assert DepthLimit(descriptor(name)).is_needed is is_needed


def test_groups_count_too() -> None:
    """proto2 and editions."""
    groups = b"\x23" * (MAX_DEPTH + 1) + b"\x24" * (MAX_DEPTH + 1)
    assert DepthLimit(descriptor("modern.Modern")).is_exceeded(groups)
    assert not DepthLimit(descriptor("modern.Modern")).is_exceeded(groups[1:-1])


def test_few_characters_make_no_depth() -> None:
    assert not may_be_deep("a" * 8_000)
    assert not may_be_deep("a.b=1&c.d=%20")
    assert may_be_deep("a." * 33 + "=1")


def test_what_is_too_deep_is_what_googles_library_refuses() -> None:
    limit = DepthLimit(descriptor("Tree"))
    tree = message_class("everything.Tree")
    for depth in (MAX_DEPTH, MAX_DEPTH + 1):
        data = b""
        for _ in range(depth):
            length = len(data)
            size = bytes([length]) if length < 128 else bytes([length & 0x7F | 0x80, length >> 7])
            data = b"\x12" + size + data
        assert limit.is_exceeded(data) is (depth > MAX_DEPTH)
        if depth > MAX_DEPTH:
            with pytest.raises(DecodeError):
                tree.FromString(data)
        else:
            tree.FromString(data)
