"""The request from top to bottom: real routes and policies of the parts below, a fake service, a clock that is told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from api_gateway.config.settings import CorsSettings
from api_gateway.model.errors import GatewayError, Source, unavailable
from api_gateway.model.message import HeaderList, Response
from api_gateway.model.status import Code
from api_gateway.telemetry.log import configure_logging
from tests.support.fake_service import Reply
from tests.support.gen.echo_pb2 import ItemRequest
from tests.unit.proxy.scene import SERVICE_TIMEOUT_S, STARTED_S, Headers, Scene
from tests.unit.telemetry.capture import Capture


def json_of(response: Response) -> Any:
    assert response.headers[0] == (b"content-type", b"application/json")
    return orjson.loads(response.body)


def reason_of(response: Response) -> str:
    (info,) = json_of(response)["error"]["details"]
    reason: str = info["reason"]
    return reason


# What goes well


async def test_a_request_becomes_a_call_and_its_reply_the_answer(scene: Scene) -> None:
    response = await scene.ask("GET", "/api/items/i%2D1", "size=3", headers={b"accept-language": b"de"})
    assert (response.status, json_of(response)) == (200, {"id": "i-1"})
    (call,) = scene.service.calls
    assert call.path == b"/tests.echo.EchoService/GetItem"
    assert ItemRequest.FromString(call.message) == ItemRequest(id="i-1", size=3)
    assert call.deadline_s == STARTED_S + SERVICE_TIMEOUT_S
    assert (b"accept-language", b"de") in call.metadata
    assert (b"x-forwarded-for", b"192.0.2.7") in call.metadata


async def test_the_body_is_waited_for(scene: Scene) -> None:
    response = await scene.ask(
        "POST", "/api/items", headers={b"content-type": b"application/json"}, body=b'{"id": "i-9", "tags": ["a"]}'
    )
    assert response.status == 200
    assert ItemRequest.FromString(scene.service.calls[0].message) == ItemRequest(id="i-9", tags=["a"])


async def test_semantics_30_the_body_is_waited_for_until_the_deadline(scene: Scene) -> None:
    await scene.ask("POST", "/api/items", headers={b"x-request-timeout": b"2"}, body=b"{}")
    assert scene.body_deadlines == [STARTED_S + 2.0]


async def test_semantics_9_all_see_one_path(scene: Scene) -> None:
    """R6: whatever spelling the client chose, logs and limits get the one that was matched."""
    assert (await scene.ask("GET", "/%61pi/items/%69-1")).status == 200
    assert scene.exchange.request.path == "/api/items/i-1"


async def test_semantics_29_metadata_comes_back_and_may_choose_the_status(scene: Scene) -> None:
    scene.service.reply = Reply(headers=[(b"x-http-code", b"201"), (b"x-rate", b"1")], trailers=[(b"x-late", b"2")])
    response = await scene.ask("POST", "/api/items", body=b"{}")
    assert response.status == 201
    assert response.headers[-2:] == [(b"x-rate", b"1"), (b"x-late", b"2")]


async def test_semantics_29_every_answer_has_a_request_id(scene: Scene) -> None:
    response = await scene.ask("GET", "/api/items/1", headers={b"x-request-id": b"mine-1"})
    assert (b"x-request-id", b"mine-1") in response.headers
    assert (b"x-request-id", b"mine-1") in scene.service.calls[0].metadata
    for path in ("/api/items/1", "/nowhere", "/status", "/a//b"):
        again = await scene.ask("GET", path)
        assert dict(again.headers)[b"x-request-id"]


async def test_trace_of_the_caller_goes_on(scene: Scene) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    await scene.ask("GET", "/api/items/1", headers={b"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01".encode()})
    sent = dict(scene.service.calls[0].metadata)[b"traceparent"].decode()
    assert sent.startswith(f"00-{trace_id}-")
    assert sent.endswith("-01")
    assert "00f067aa0ba902b7" not in sent
    assert (scene.exchange.trace_id, scene.exchange.trace_sampled) == (trace_id, True)


async def test_one_exchange_is_told_with_all_that_is_known(scene: Scene) -> None:
    scene.now_s = STARTED_S + 0.25
    await scene.ask("GET", "/api/items/1")
    exchange = scene.exchange
    assert (exchange.status, exchange.grpc_code, exchange.route) == (200, 0, "/api/items/:id")
    assert (exchange.service, exchange.duration_s, exchange.called_s) == ("echo-service", 0.25, STARTED_S + 0.25)
    assert scene.gate.settled == [(200, 0)]


async def test_a_new_table_holds_from_the_next_request_on(scene: Scene) -> None:
    """A request in flight keeps the table with which it began."""
    table, scene.proxy.routes = scene.proxy.routes, type(scene.proxy.routes).build(())
    assert (await scene.ask("GET", "/api/items/1")).status == 404
    scene.proxy.routes = table
    scene.service.hold()
    running = asyncio.get_running_loop().create_task(scene.ask("GET", "/api/items/1"))
    await asyncio.sleep(0)
    scene.proxy.routes = type(table).build(())
    scene.service.release()
    assert (await running).status == 200


# Deadlines


@pytest.mark.parametrize(
    ("headers", "timeout_s"),
    [
        pytest.param({}, 5.0, id="service"),
        pytest.param({b"x-request-timeout": b"1.5"}, 1.5, id="seconds"),
        pytest.param({b"grpc-timeout": b"200m"}, 0.2, id="grpc"),
        pytest.param({b"x-request-timeout": b"60"}, 5.0, id="more than allowed"),
        pytest.param({b"x-request-timeout": b"2", b"grpc-timeout": b"1S"}, 1.0, id="the smaller one"),
        pytest.param({b"x-request-timeout": b"1", b"grpc-timeout": b"2S"}, 1.0, id="whichever it is"),
        pytest.param({b"grpc-timeout": b"1M"}, 5.0, id="more than allowed, as gRPC has it"),
    ],
)
async def test_semantics_30_smallest_deadline_holds(scene: Scene, headers: Headers, timeout_s: float) -> None:
    """It runs from the request's first byte, not from when it is looked at."""
    scene.now_s = STARTED_S + 0.1
    await scene.ask("GET", "/api/items/1", headers=headers)
    assert scene.service.calls[0].deadline_s == STARTED_S + timeout_s


@pytest.mark.parametrize(
    "headers", [{b"x-request-timeout": b"soon"}, {b"grpc-timeout": b"5"}, {b"grpc-timeout": b"\xff"}]
)
async def test_semantics_30_malformed_timeouts_are_refused(scene: Scene, headers: Headers) -> None:
    response = await scene.ask("GET", "/api/items/1", headers=headers)
    assert (response.status, reason_of(response)) == (400, "INVALID_TIMEOUT")
    assert scene.service.calls == []
    # semantics 32: it counts against the limit, and whoever admitted it hears its end.
    assert (scene.gate.admitted, scene.gate.settled) == (1, [(400, None)])


async def test_semantics_32_policies_come_before_malformed_timeouts(scene: Scene) -> None:
    scene.gate.error = GatewayError(Code.RESOURCE_EXHAUSTED, "slow down", reason="RATE_LIMITED")
    assert (await scene.ask("GET", "/api/items/1", headers={b"x-request-timeout": b"soon"})).status == 429


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/items/1"), ("POST", "/echo/v1/echo")])
async def test_what_no_route_is_known_for_yet_waits_for_the_services(scene: Scene, method: str, path: str) -> None:
    """P2: a worker that starts asks its backends first; until then its siblings may know routes that it does not."""
    table, scene.proxy.routes = scene.proxy.routes, type(scene.proxy.routes).build(())
    is_heard = asyncio.Event()
    scene.proxy.wait_for_routes = is_heard.wait
    asking = asyncio.get_running_loop().create_task(scene.ask(method, path, body=b"{}" if method == "POST" else None))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not asking.done()
    scene.proxy.routes = table
    is_heard.set()
    assert (await asking).status == 200
    assert scene.exchange.status == 200
    assert (scene.gate.settled, scene.unmatched_gate.admitted) == ([(200, 0)], 0)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("PUT", "/echo/v1/echo", 405), ("OPTIONS", "/nowhere", 404)],
)
async def test_what_matches_nothing_then_either_waits_once(scene: Scene, method: str, path: str, status: int) -> None:
    waits = 0

    async def wait() -> None:
        nonlocal waits
        waits += 1

    scene.proxy.wait_for_routes = wait
    assert (await scene.ask(method, path)).status == status
    assert (waits, scene.exchange.status, scene.unmatched_gate.admitted) == (1, status, 1)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/api/%2e%2e/items", 400, id="broken path"),
        pytest.param("OPTIONS", "/api/items/1", 204, id="question for methods"),
        pytest.param("GET", "/api/items/1", 200, id="known route"),
        pytest.param("GET", "/status", 200, id="the gateway's own"),
    ],
)
async def test_what_more_routes_would_not_change_does_not_wait(
    scene: Scene, method: str, path: str, status: int
) -> None:
    async def wait() -> None:
        raise AssertionError("nothing to wait for")

    scene.proxy.wait_for_routes = wait
    assert (await scene.ask(method, path)).status == status


async def test_a_client_may_leave_while_its_request_waits_for_routes(scene: Scene) -> None:
    scene.proxy.wait_for_routes = asyncio.Event().wait
    asking = asyncio.get_running_loop().create_task(scene.ask("GET", "/nowhere"))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert scene.exchange.status == 499


# What is refused before the call


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        pytest.param("GET", "/nowhere", 404, "ROUTE_NOT_FOUND", id="unknown path"),
        pytest.param("PUT", "/echo/v1/echo", 405, "METHOD_NOT_ALLOWED", id="other method"),
        pytest.param("GET", "/api/%2e%2e/items", 400, "INVALID_PATH", id="path that climbs"),
    ],
)
async def test_semantics_8_9_what_leads_nowhere(scene: Scene, method: str, path: str, status: int, reason: str) -> None:
    response = await scene.ask(method, path)
    assert (response.status, reason_of(response)) == (status, reason)
    assert (scene.exchange.route, scene.exchange.error_reason) == ("", reason)
    assert scene.service.calls == []


async def test_what_matches_no_route_counts_against_the_limit(scene: Scene) -> None:
    await scene.ask("GET", "/nowhere")
    assert scene.unmatched_gate.admitted == 1
    scene.unmatched_gate.error = GatewayError(Code.RESOURCE_EXHAUSTED, "slow down", reason="RATE_LIMITED")
    assert (await scene.ask("GET", "/nowhere")).status == 429


async def test_refusal_of_a_policy_is_the_answer(scene: Scene) -> None:
    scene.gate.error = GatewayError(
        Code.UNAUTHENTICATED, "a token is needed", reason="TOKEN_MISSING", headers=((b"www-authenticate", b"Bearer"),)
    )
    response = await scene.ask("GET", "/api/items/1")
    assert (response.status, reason_of(response)) == (401, "TOKEN_MISSING")
    assert (b"www-authenticate", b"Bearer") in response.headers
    assert (scene.service.calls, scene.gate.settled) == ([], []), "a policy that refused hears no end"


async def test_policy_that_waits_holds_the_request(scene: Scene) -> None:
    asked = asyncio.Event()

    async def later() -> None:
        await asked.wait()

    scene.gate.later = later
    running = asyncio.get_running_loop().create_task(scene.ask("GET", "/api/items/1"))
    await asyncio.sleep(0)
    assert scene.service.calls == []
    asked.set()
    assert (await running).status == 200


async def test_request_that_does_not_bind_is_refused_and_policies_hear_of_it(scene: Scene) -> None:
    response = await scene.ask("GET", "/api/items/1", "nope=1")
    assert response.status == 400
    assert "nope" in json_of(response)["error"]["message"]
    assert (scene.service.calls, scene.gate.settled) == ([], [(400, None)])


# What fails behind


@pytest.mark.parametrize(("verb", "path", "may_be"), [("GET", "/api/items/1", True), ("DELETE", "/api/items/1", False)])
async def test_semantics_31_idempotent_routes_may_be_tried_again(
    scene: Scene, verb: str, path: str, may_be: bool
) -> None:
    """The channel is told, and the log hears how often it tried."""
    scene.service.reply = Reply(attempts=2)
    assert (await scene.ask(verb, path)).status == 200
    assert scene.service.calls[0].is_idempotent is may_be
    assert scene.exchange.attempts == 2
    failed = unavailable("gone", "UPSTREAM_CONNECTION_LOST", source=Source.UPSTREAM)
    failed.attempts = 3
    scene.service.reply = failed
    await scene.ask(verb, path)
    assert scene.listener.ended[1].attempts == 3


async def test_status_of_the_backend_is_the_answer(scene: Scene) -> None:
    scene.service.reply = GatewayError(Code.NOT_FOUND, "no such item", source=Source.UPSTREAM)
    response = await scene.ask("GET", "/api/items/1")
    expected = {"code": 404, "status": "NOT_FOUND", "message": "no such item"}
    assert (response.status, json_of(response)["error"]) == (404, expected)
    assert (scene.exchange.error_reason, scene.exchange.grpc_code) == ("UPSTREAM_STATUS", Code.NOT_FOUND)
    assert scene.gate.settled == [(404, Code.NOT_FOUND)]


async def test_what_only_the_log_may_know_stays_there(scene: Scene) -> None:
    scene.service.reply = unavailable(
        "the service cannot be reached", "UPSTREAM_UNAVAILABLE", source=Source.UPSTREAM, log_reason="10.0.0.7 refused"
    )
    response = await scene.ask("GET", "/api/items/1")
    assert (response.status, reason_of(response)) == (503, "UPSTREAM_UNAVAILABLE")
    assert (b"retry-after", b"1") in response.headers
    assert b"10.0.0.7" not in response.body
    assert scene.exchange.error_detail == "10.0.0.7 refused"


async def test_reply_that_is_no_message_is_the_backends_fault(scene: Scene) -> None:
    scene.service.reply = Reply(message=b"\xff")
    assert (await scene.ask("GET", "/api/items/1")).status == 502


async def test_mistake_of_ours_is_500_without_details_and_with_a_trace_in_the_log(scene: Scene) -> None:
    scene.service.reply = ZeroDivisionError("secret detail")
    with Capture() as capture:
        configure_logging(capture.writer)
        response = await scene.ask("GET", "/api/items/1")
        (line,) = capture.lines
    assert (response.status, reason_of(response)) == (500, "INTERNAL")
    assert b"secret" not in response.body
    assert line["level"] == "ERROR"
    assert "ZeroDivisionError" in str(line["fields"])
    assert scene.gate.settled[0][0] == 500


async def test_semantics_26_client_that_goes_away_cancels_and_is_told_of(scene: Scene) -> None:
    scene.service.hold()
    running = asyncio.get_running_loop().create_task(scene.ask("GET", "/api/items/1"))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (scene.exchange.status, scene.exchange.error_reason) == (499, "CLIENT_GONE")
    assert scene.gate.settled == [(499, None)]


# What the gateway answers itself


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_own_endpoints_answer_with_their_own_policies(scene: Scene, method: str) -> None:
    response = await scene.ask(method, "/status")
    assert (response.status, response.body) == (200, b"fine")
    assert (scene.operator_gate.admitted, scene.gate.admitted, scene.unmatched_gate.admitted) == (1, 0, 0)
    assert scene.exchange.route == "/status"


async def test_own_endpoints_refuse_other_methods(scene: Scene, tmp_path: Path) -> None:
    response = await scene.ask("POST", "/status")
    assert (response.status, reason_of(response)) == (405, "METHOD_NOT_ALLOWED")
    assert (b"allow", b"GET") in response.headers
    # semantics 38: who may ask for it as often as he likes is not counted for the wrong method either, but others are.
    assert scene.unmatched_gate.admitted == 1
    open_for_all = Scene(tmp_path, operator_policies=())
    assert (await open_for_all.ask("POST", "/status")).status == 405
    assert open_for_all.unmatched_gate.admitted == 0


async def test_own_endpoints_may_refuse(scene: Scene) -> None:
    scene.operator_gate.error = GatewayError(Code.PERMISSION_DENIED, "no", reason="LOOPBACK_ONLY")
    assert (await scene.ask("GET", "/status")).status == 403
    assert scene.exchange.status == 403


def test_what_could_not_be_read_is_refused_and_told_of(scene: Scene) -> None:
    error = GatewayError(Code.INVALID_ARGUMENT, "no request", reason="BAD_REQUEST", source=Source.CLIENT, close=True)
    response = scene.proxy.refuse(error, peer="192.0.2.8")
    assert (response.status, response.close, reason_of(response)) == (400, True, "BAD_REQUEST")
    assert (scene.exchange.client_address, scene.exchange.status) == ("192.0.2.8", 400)


# Other origins

PREFLIGHT: HeaderList = [(b"origin", b"https://app.example"), (b"access-control-request-method", b"PUT")]


async def test_semantics_8_options_without_cors_tells_the_methods(scene: Scene) -> None:
    response = await scene.ask("OPTIONS", "/api/items/1")
    assert response.status == 204
    assert dict(response.headers)[b"allow"] == b"DELETE, GET, HEAD, OPTIONS, PUT"
    assert scene.unmatched_gate.admitted == 1, "it counts against the limit"


async def test_semantics_8_preflight_is_answered_without_any_policy(tmp_path: Path) -> None:
    scene = Scene(tmp_path, cors=CorsSettings(enabled=True, allowed_origins=["https://app.example"]))
    response = await scene.ask("OPTIONS", "/api/items/1", headers=dict(PREFLIGHT))
    assert response.status == 204
    assert dict(response.headers)[b"access-control-allow-origin"] == b"https://app.example"
    assert (scene.gate.admitted, scene.unmatched_gate.admitted, scene.service.calls) == (0, 0, [])
    assert (await scene.ask("OPTIONS", "/nowhere", headers=dict(PREFLIGHT))).status == 404


async def test_answers_of_all_kinds_carry_the_cors_headers(tmp_path: Path) -> None:
    scene = Scene(tmp_path, cors=CorsSettings(enabled=True, allowed_origins=["https://app.example"]))
    for path, status in (("/api/items/1", 200), ("/nowhere", 404), ("/status", 200)):
        response = await scene.ask("GET", path, headers={b"origin": b"https://app.example"})
        assert response.status == status
        assert dict(response.headers)[b"access-control-allow-origin"] == b"https://app.example", path
