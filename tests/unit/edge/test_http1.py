"""One client connection: requests in their order, keep-alive, bodies handed over and held back."""

from __future__ import annotations

import pytest

from api_gateway.edge.application import EdgeLimits
from api_gateway.edge.http1 import MAX_AHEAD_BYTES
from api_gateway.model.message import Request, Response
from api_gateway.waiting import Pending
from tests.support.http_application import SmallApplication, read_body
from tests.support.http_rig import Rig
from tests.support.raw_http import get, post, post_chunked, request


@pytest.fixture
def application() -> SmallApplication:
    return SmallApplication()


@pytest.fixture
def rig(application: SmallApplication) -> Rig:
    return Rig(application)


# Order


def test_requests_are_answered_one_after_the_other(rig: Rig, application: SmallApplication) -> None:
    rig.receive(get("/echo?1"), get("/echo?2"))
    assert [answer.json()["query"] for answer in rig.answers()] == ["1", "2"]
    assert not rig.transport.is_closing()


def test_pipelined_requests_are_answered_in_their_order(rig: Rig, application: SmallApplication) -> None:
    rig.receive(get("/echo?1") + get("/hold") + get("/echo?3") + post(b"4") + get("/hold"))
    assert [answer.json()["query"] for answer in rig.answers()] == ["1"]
    assert application.targets == ["/echo", "/hold"], "one at a time"
    application.release()
    answers = rig.answers()
    assert [answer.body == b"released" or answer.json()["body"] for answer in answers] == [True, None, "4"]
    application.release()
    assert rig.statuses() == [200]


def test_malformed_request_is_refused_after_what_came_before_it(rig: Rig, application: SmallApplication) -> None:
    """H3: the first is answered right, the second is 400 and the end, the third is never executed."""
    rig.receive(get("/hold") + b"GET /\r\n\r\n\r\n" + get("/echo"))
    assert rig.answers() == []
    application.release()
    first, second = rig.answers()
    assert (first.status, first.is_last) == (200, False)
    assert (second.status, second.is_last) == (505, True)
    assert application.targets == ["/hold"]
    rig.receive(get("/echo"))
    assert application.targets == ["/hold"]


def test_hundreds_of_pipelined_requests_need_no_deep_stack(application: SmallApplication) -> None:
    rig = Rig(application, EdgeLimits(max_pipelined=5_000))
    rig.receive(get("/echo") * 5_000)
    assert len(rig.answers()) == 5_000


def test_requests_beyond_the_pipeline_are_not_executed(rig: Rig, application: SmallApplication) -> None:
    rig.receive(get("/hold"), get("/echo") * 101)
    application.release()
    assert rig.statuses() == [200] * 101 + [400]
    assert len(application.targets) == 101


def test_next_request_waits_until_the_client_reads(rig: Rig, application: SmallApplication) -> None:
    rig.stall()
    rig.receive(get("/echo") + get("/echo"))
    assert application.targets == []
    rig.unstall()
    assert rig.statuses() == [200, 200]


# The connection header


@pytest.mark.parametrize(
    ("lines", "version", "expected", "is_closed"),
    [
        pytest.param([], "HTTP/1.1", None, False, id="1.1"),
        pytest.param(["Connection: close"], "HTTP/1.1", b"close", True, id="1.1_close"),
        pytest.param([], "HTTP/1.0", b"close", True, id="1.0"),
        pytest.param(["Connection: keep-alive"], "HTTP/1.0", b"keep-alive", False, id="1.0_keep_alive"),
    ],
)
def test_connection_goes_on_as_agreed(
    rig: Rig, lines: list[str], version: str, expected: bytes | None, is_closed: bool
) -> None:
    """RFC 9112 section 9.3."""
    rig.receive(request("GET", "/echo", *lines, version=version))
    assert [answer.header(b"connection") for answer in rig.answers()] == [expected]
    assert rig.transport.is_closed is is_closed
    assert not rig.transport.is_aborted


def test_answer_that_asks_for_the_end_ends_the_connection(rig: Rig, application: SmallApplication) -> None:
    rig.receive(get("/close") + get("/echo"))
    assert [answer.is_last for answer in rig.answers()] == [True]
    assert application.targets == ["/close"]
    assert rig.transport.is_half_closed, "the client may be sending: its answer must not be lost to a reset"


def test_bytes_behind_a_last_request_are_thrown_away(rig: Rig, application: SmallApplication) -> None:
    rig.receive(get("/hold", "Connection: close"), get("/echo"))
    application.release()
    assert [(answer.status, answer.is_last) for answer in rig.answers()] == [(200, True)]
    assert application.targets == ["/hold"]
    assert rig.transport.is_half_closed


def test_empty_lines_behind_a_last_request_are_no_offence(rig: Rig) -> None:
    rig.receive(get("/echo", "Connection: close") + b"\r\n")
    assert rig.statuses() == [200]
    assert rig.transport.is_closed


def test_upgrade_is_passed_over(rig: Rig, application: SmallApplication) -> None:
    """H16: answered in HTTP/1.1, and the connection ends with it."""
    rig.receive(get("/echo", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"))
    assert [(answer.status, answer.is_last) for answer in rig.answers()] == [(200, True)]


# Bodies


def test_body_is_handed_over_as_it_comes(rig: Rig) -> None:
    whole = post_chunked(b"one", b"two")
    for at in range(len(whole)):
        assert rig.answers() == []
        rig.receive(whole[at : at + 1])
    assert [answer.json()["body"] for answer in rig.answers()] == ["onetwo"]


def test_100_continue_is_sent_when_the_body_is_wanted(rig: Rig) -> None:
    """H15, RFC 9110 section 10.1.1."""
    rig.receive(request("POST", "/echo", "Content-Length: 2", "Expect: 100-continue"))
    assert bytes(rig.transport.written) == b"HTTP/1.1 100 Continue\r\n\r\n"
    rig.transport.written.clear()
    rig.receive(b"h", b"i")
    assert [answer.json()["body"] for answer in rig.answers()] == ["hi"]


def test_100_continue_is_not_sent_to_who_did_not_wait(rig: Rig) -> None:
    rig.receive(request("POST", "/echo", "Content-Length: 2", "Expect: 100-continue") + b"h")
    assert rig.answers() == []
    rig.receive(b"i")
    assert rig.statuses() == [200]


def test_100_continue_is_not_sent_for_a_body_that_is_not_wanted(rig: Rig) -> None:
    rig.receive(request("POST", "/ignore", "Content-Length: 2", "Expect: 100-continue"))
    assert [(answer.status, answer.is_last) for answer in rig.answers()] == [(200, True)]


def test_100_continue_is_not_sent_for_a_body_that_is_too_large(rig: Rig) -> None:
    rig.receive(request("POST", "/echo", "Content-Length: 2000000", "Expect: 100-continue"))
    assert [(answer.status, answer.is_last) for answer in rig.answers()] == [(413, True)]


def test_100_continue_waits_for_the_answers_before_it(rig: Rig, application: SmallApplication) -> None:
    rig.receive(get("/hold") + request("POST", "/echo", "Content-Length: 2", "Expect: 100-continue"))
    assert not rig.transport.written
    application.release()
    assert rig.transport.written.endswith(b"released" + b"HTTP/1.1 100 Continue\r\n\r\n")


def test_unknown_expectation_is_417(rig: Rig) -> None:
    rig.receive(request("POST", "/echo", "Content-Length: 2", "Expect: bogus"))
    assert [(answer.status, answer.is_last) for answer in rig.answers()] == [(417, True)]


def test_answer_before_the_body_ends_the_connection(rig: Rig) -> None:
    """What follows would be the rest of the body, and be taken for a request."""
    rig.receive(request("POST", "/ignore", "Content-Length: 30") + b"GET /echo HTTP/1.1\r\n")
    assert [(answer.status, answer.is_last) for answer in rig.answers()] == [(200, True)]
    assert rig.transport.is_half_closed
    rig.receive(b"Host: a\r\n\r\n")
    assert rig.answers() == []


def test_unread_body_that_is_complete_does_not_end_the_connection(rig: Rig) -> None:
    rig.receive(post(b"never read", "/ignore") + get("/echo"))
    assert rig.statuses() == [200, 200]


def test_body_above_the_limit_is_413_and_the_end(rig: Rig) -> None:
    """H12: without reading the rest."""
    rig.receive(request("POST", "/echo", "Transfer-Encoding: chunked"), b"100000\r\n" + bytes(1024 * 1024))
    assert rig.answers() == [], "exactly at the limit"
    rig.receive(b"\r\n1\r\nx")
    assert [(answer.status, answer.is_last) for answer in rig.answers()] == [(413, True)]
    assert rig.transport.is_half_closed


def test_body_that_breaks_is_400_and_the_end(rig: Rig, application: SmallApplication) -> None:
    rig.receive(request("POST", "/echo", "Transfer-Encoding: chunked"), b"zz\r\n" + get("/echo"))
    assert [(answer.status, answer.is_last) for answer in rig.answers()] == [(400, True)]
    assert application.targets == ["/echo"]
    assert application.refused == [], "told to the request, once"


def test_body_of_a_waiting_request_that_breaks_is_400_when_its_turn_comes(
    rig: Rig, application: SmallApplication
) -> None:
    rig.receive(get("/hold") + request("POST", "/echo", "Transfer-Encoding: chunked") + b"zz\r\n")
    application.release()
    assert rig.statuses() == [200, 400]
    assert rig.transport.is_half_closed


def test_unread_body_holds_the_client_back(application: SmallApplication) -> None:
    gate: Pending[None] = Pending()

    async def upload(request: Request) -> Response:
        await gate
        return Response(200, [], b"%d" % len(await read_body(request)))

    rig = Rig(SmallApplication({"/upload": upload}))
    rig.receive(request("POST", "/upload", "Content-Length: 200000"), bytes(100_000))
    assert not rig.transport.is_reading()
    gate.resolve(None)
    assert rig.transport.is_reading()
    rig.receive(bytes(100_000))
    assert [answer.body for answer in rig.answers()] == [b"200000"]


def test_chunks_hold_the_client_back_as_long_as_their_reader_is_slow() -> None:
    turn: list[Pending[None]] = []
    taken: list[int] = []

    async def upload(request: Request) -> Response:
        assert request.body is not None
        async for part in request.body.chunks(10_000_000):
            taken.append(len(part))
            turn.append(Pending())
            await turn[-1]
        return Response(200, [], b"%d" % sum(taken))

    rig = Rig(SmallApplication({"/upload": upload}))
    rig.receive(request("POST", "/upload", "Content-Length: 300000") + b"first")
    rig.receive(bytes(99_995))
    assert not rig.transport.is_reading()
    turn[-1].resolve(None)
    assert rig.transport.is_reading(), "99,995 bytes were taken"
    rig.receive(bytes(100_000))
    rig.receive(bytes(100_000))
    turn[-1].resolve(None)
    turn[-1].resolve(None)
    assert [answer.body for answer in rig.answers()] == [b"300000"]
    assert taken == [5, 99_995, 200_000]


def test_stalled_reader_does_not_hold_back_a_body_that_came() -> None:
    """The end of an upload must not stop us from noticing that the client goes away."""
    application = SmallApplication()

    async def slow(request: Request) -> Response:
        await read_body(request)
        return await application._hold(request)

    application._handlers["/slow"] = slow
    rig = Rig(application)
    rig.receive(request("POST", "/slow", "Content-Length: 300000"), bytes(100_000), bytes(200_000))
    assert application.held == 1
    assert rig.transport.is_reading()


def test_requests_sent_ahead_are_held_back(application: SmallApplication) -> None:
    """Memory of one connection is bounded, whatever is pipelined."""
    rig = Rig(application, EdgeLimits(max_pipelined=100_000))
    rig.receive(get("/hold"))
    ahead = get("/echo") * 500
    sent = 0
    while rig.transport.is_reading():
        rig.receive(ahead)
        sent += len(ahead)
        assert sent < 2 * MAX_AHEAD_BYTES
    application.release()
    assert rig.transport.is_reading()
    assert set(rig.statuses()) == {200}
    rig.receive(get("/echo"))
    assert rig.statuses() == [200]


def test_half_a_request_sent_ahead_is_finished_later(application: SmallApplication) -> None:
    rig = Rig(application, EdgeLimits(max_pipelined=100_000, max_header_bytes=1_000_000))
    rig.receive(get("/hold"), get("/echo", "X-Long: " + "a" * 200_000)[:150_000])
    assert not rig.transport.is_reading()
    application.release()
    assert rig.statuses() == [200]
    assert rig.transport.is_reading()


def test_semantics_30_deadline_of_the_request_covers_the_wait_for_its_body() -> None:
    """A body that trickles in gets no more time than the request has."""

    async def upload(request: Request) -> Response:
        assert request.body is not None
        received = request.body.read(1_000, 1_000.0 + 2.0)
        return Response(200, [], received if isinstance(received, bytes) else await received)

    rig = Rig(SmallApplication({"/upload": upload}))
    rig.receive(request("POST", "/upload", "Content-Length: 100"), b"a")
    rig.advance(1.9)
    rig.receive(b"b")
    assert rig.statuses() == []
    rig.advance(0.2)
    (answer,) = rig.answers()
    assert (answer.status, answer.reason, answer.is_last) == (408, "REQUEST_TIMEOUT", True)


def test_stream_of_requests_may_take_any_time() -> None:
    """Semantics 25: its reader bounds it."""

    async def upload(request: Request) -> Response:
        assert request.body is not None
        return Response(200, [], b"".join([part async for part in request.body.chunks(None)]))

    rig = Rig(SmallApplication({"/upload": upload}))
    rig.receive(request("POST", "/upload", "Content-Length: 3"), b"a")
    rig.advance(600)
    rig.receive(b"b")
    rig.advance(600)
    rig.receive(b"c")
    assert [answer.body for answer in rig.answers()] == [b"abc"]
