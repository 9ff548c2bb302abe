"""One client connection: clients that go away, that were never there, that go on after a refusal."""

from __future__ import annotations

import gc

import pytest

from api_gateway.edge.application import EdgeLimits
from api_gateway.edge.http1 import MAX_DISCARDED_BYTES, Http1Connection
from tests.support.http_application import SmallApplication
from tests.support.http_rig import FakeTransport, Rig
from tests.support.raw_http import get, request


@pytest.fixture
def application() -> SmallApplication:
    return SmallApplication()


@pytest.fixture
def rig(application: SmallApplication) -> Rig:
    return Rig(application)


# The client goes away


@pytest.mark.parametrize("asked", [b"", get("/echo")])
def test_gone_client_is_no_work_for_the_garbage_collector(application: SmallApplication, asked: bytes) -> None:
    """B6: clients that come and go cost memory only while they are there."""
    gc.collect()
    gc.disable()
    try:
        before = _live_connections()
        rig = Rig(application)
        rig.receive(asked)
        rig.lose()
        rig.transport.protocol = None
        del rig
        assert _live_connections() == before
    finally:
        gc.enable()


def _live_connections() -> int:
    return sum(isinstance(each, Http1Connection) for each in gc.get_objects())


@pytest.mark.parametrize("is_half_closed", [True, False], ids=["end_of_its_side", "lost"])
def test_gone_client_cancels_its_request(rig: Rig, application: SmallApplication, is_half_closed: bool) -> None:
    """Semantics 26: at once. A client that closes half its connection counts as gone."""
    rig.receive(get("/hold") + get("/echo"))
    if is_half_closed:
        assert rig.connection.eof_received() is False
    else:
        rig.lose()
    assert application.cancelled == ["/hold"]
    assert application.targets == ["/hold"], "what waited is forgotten"
    application.release()
    assert not rig.transport.written


def test_gone_client_cancels_a_request_that_waits_for_its_body(rig: Rig, application: SmallApplication) -> None:
    rig.receive(request("POST", "/echo", "Content-Length: 5") + b"abc")
    rig.lose()
    assert application.cancelled == ["/echo"]


def test_client_that_closes_its_side_still_gets_what_was_answered(rig: Rig) -> None:
    rig.receive(get("/echo"))
    rig.transport.unsent_bytes = 100
    assert rig.connection.eof_received() is False, "the transport sends the rest and closes"
    assert not rig.transport.is_aborted


def test_lost_connection_leaves_nothing_behind(rig: Rig, application: SmallApplication) -> None:
    """Not in the server, not among the deadlines: thousands of short connections a second would add up."""
    rig.receive(get("/hold"))
    assert (rig.server.connection_count, len(rig.wheel)) == (1, 1)
    rig.lose()
    assert (rig.server.connection_count, len(rig.wheel)) == (0, 0)


def test_nobody_knows_who_reset_the_connection_before_it_was_accepted(application: SmallApplication) -> None:
    """Its address is unknown, its bytes can still be read: it must not pass for a client of this machine (H21)."""
    rig = Rig(application, transport=FakeTransport(peer=None))
    assert rig.transport.is_aborted
    rig.receive(get("/echo"))
    assert application.targets == []
    assert rig.server.connection_count == 0
    rig.lose()


@pytest.mark.parametrize(
    ("peername", "expected"),
    [
        pytest.param(("198.51.100.4", 1), "198.51.100.4", id="ipv4"),
        pytest.param(("2001:db8::1", 1, 0, 0), "2001:db8::1", id="ipv6"),
        pytest.param("", "127.0.0.1", id="unix_socket"),
        pytest.param(b"\0abstract", "127.0.0.1", id="abstract_unix_socket"),
    ],
)
def test_peer_is_the_other_end(application: SmallApplication, peername: object, expected: str) -> None:
    rig = Rig(application, transport=FakeTransport(peer=peername))
    rig.receive(get("/echo"))
    assert application.peers == {expected}


def test_connection_above_the_limit_is_closed_at_once(application: SmallApplication) -> None:
    """F12."""
    first = Rig(application, EdgeLimits(max_connections=1))
    second = Rig(application, server=first.server)
    assert second.transport.is_aborted
    second.receive(get("/echo"))
    assert application.targets == []
    second.lose()
    first.lose()
    third = Rig(application, server=first.server)
    assert not third.transport.is_aborted


# Behind a refusal


def test_what_follows_a_refusal_is_thrown_away_up_to_a_bound(rig: Rig) -> None:
    rig.receive(b"\0")
    assert rig.statuses() == [400]
    sent = 0
    while rig.transport.is_reading():
        rig.receive(bytes(100_000))
        sent += 100_000
    assert MAX_DISCARDED_BYTES <= sent < MAX_DISCARDED_BYTES + 200_000


def test_flood_behind_a_refusal_does_not_hide_that_the_client_goes_away(
    rig: Rig, application: SmallApplication
) -> None:
    rig.receive(get("/hold") + b"\0", bytes(1000))
    assert rig.transport.is_reading()
    rig.lose()
    assert application.cancelled == ["/hold"]


def test_transport_that_cannot_close_one_direction_lingers_all_the_same(application: SmallApplication) -> None:
    """TLS has no half-closed state."""
    rig = Rig(application, transport=FakeTransport(can_write_eof=False))
    rig.receive(b"\0")
    assert rig.statuses() == [400]
    assert not rig.transport.is_closing()
    rig.advance(1.1)
    assert rig.transport.is_aborted
