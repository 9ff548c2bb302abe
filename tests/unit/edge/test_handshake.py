"""Opening handshakes of WebSockets (RFC 6455 section 4.2)."""

from __future__ import annotations

import pytest

from api_gateway.edge.handshake import read_handshake
from api_gateway.model.message import Request

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
HEADERS = {b"upgrade": b"websocket", b"sec-websocket-version": b"13", b"sec-websocket-key": KEY}


def asking(*, method: str = "GET", http_version: str = "1.1", **headers: bytes | None) -> Request:
    fields: dict[bytes, bytes] = dict(HEADERS)
    for name, value in headers.items():
        if value is None:
            del fields[name.replace("_", "-").encode()]
        else:
            fields[name.replace("_", "-").encode()] = value
    return Request(
        method=method,
        path="/chat",
        query="",
        headers=fields,
        repeated=frozenset(),
        body=None,
        peer="192.0.2.7",
        started_s=0.0,
        http_version=http_version,
    )


def test_the_example_of_the_standard() -> None:
    handshake = read_handshake(asking())
    assert handshake is not None
    assert (handshake.accept, handshake.protocol, handshake.error) == (b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", b"", None)


@pytest.mark.parametrize("upgrade", [b"h2c", b"", b"websockets"])
def test_h16_other_upgrades_are_none_of_ours(upgrade: bytes) -> None:
    assert read_handshake(asking(upgrade=upgrade)) is None


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(asking(sec_websocket_version=b"8"), 426, id="version"),
        pytest.param(asking(sec_websocket_version=None), 426, id="no_version"),
        pytest.param(asking(sec_websocket_key=None), 400, id="no_key"),
        pytest.param(asking(sec_websocket_key=b"c2hvcnQ="), 400, id="short_key"),
        pytest.param(asking(sec_websocket_key=b"!" * 24), 400, id="no_base64"),
        pytest.param(asking(method="POST"), 400, id="post"),
        pytest.param(asking(http_version="1.0"), 400, id="http_1_0"),
        pytest.param(asking(sec_websocket_protocol=b"soap"), 400, id="subprotocol"),
        pytest.param(asking(sec_websocket_protocol=b"bearer.t"), 400, id="token_alone_would_have_to_be_echoed"),
    ],
)
def test_wrong_handshakes_have_a_reason(request_: Request, status: int) -> None:
    handshake = read_handshake(request_)
    assert handshake is not None
    assert handshake.error is not None
    assert handshake.error.http == status


def test_token_becomes_authorization_and_is_gone_from_where_it_was() -> None:
    request = asking(sec_websocket_protocol=b"api-gateway.json, bearer.a.b-c")
    handshake = read_handshake(request)
    assert handshake is not None
    assert (handshake.protocol, handshake.error) == (b"api-gateway.json", None)
    assert request.headers[b"authorization"] == b"Bearer a.b-c"
    assert b"sec-websocket-protocol" not in request.headers


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(
            {"authorization": b"Bearer x", "sec_websocket_protocol": b"api-gateway.json, bearer.y"}, id="both"
        ),
        pytest.param({"sec_websocket_protocol": b"api-gateway.json, bearer.x, bearer.y"}, id="two_tokens"),
    ],
)
def test_two_tokens_are_told_as_such(headers: dict[str, bytes]) -> None:
    """J37: auth refuses what two parts might read differently."""
    request = asking()
    request.headers.update({name.replace("_", "-").encode(): value for name, value in headers.items()})
    read_handshake(request)
    assert request.repeated == {b"authorization"}
