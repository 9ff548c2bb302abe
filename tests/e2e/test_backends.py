"""The tests' own backends: all three do the same, and each is reflected as its library really does it."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from types import ModuleType

import grpc
import grpc.aio
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2 as v1alpha
from grpclib.reflection.v1 import reflection_pb2 as v1

from api_gateway.demo.gen.policy_pb2 import AuthPolicyRequest, AuthPolicyResponse
from api_gateway.schema import Schema, build_schema
from tests.support.backends import CONTROL, LIBRARIES, Backend, start_backend
from tests.support.certificates import CertificateFiles, write_certificates
from tests.support.echo_behaviour import payload_of
from tests.support.gen import echo_control_pb2 as control
from tests.support.gen import echo_pb2 as pb
from tests.support.reflection import reflect
from tests.support.rpc import bidi_stream, client_stream, server_stream, status_of, unary

ECHO = "tests.echo.EchoService"
V1_REFLECTION = "grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


@pytest.fixture
async def channel(backend: Backend) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(backend.address) as made:
        yield made


def new_id() -> str:
    return str(uuid.uuid4())


async def echo(channel: grpc.aio.Channel, request: pb.EchoRequest, **options: float) -> pb.EchoReply:
    return await unary(channel, f"{ECHO}/Echo", request, pb.EchoReply, **options)  # type: ignore[arg-type]  # timeout_s is all that is ever given


async def schema_of(backend: Backend, messages: ModuleType) -> Schema:
    async with grpc.aio.insecure_channel(backend.address) as channel:
        reflected = await reflect(channel, messages)
    return build_schema(reflected.files, reflected.services)


def mutual_tls(files: CertificateFiles) -> grpc.ChannelCredentials:
    ca, key, certificate = (Path(file).read_bytes() for file in (files.ca, files.key, files.certificate))
    return grpc.ssl_channel_credentials(ca, key, certificate)


def anonymous_tls(files: CertificateFiles) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(Path(files.ca).read_bytes())


async def test_echo_returns_what_came_and_a_payload_that_proves_it(backend: Backend, channel: grpc.aio.Channel) -> None:
    request = pb.EchoRequest(
        id=new_id(),
        seed=2**63 + 1,
        text="grüße",
        behaviour=pb.Behaviour(response_size_bytes=1000),
        item=pb.Item(id="1", size=-(2**62), tags=["a", "b"], labels={"k": "v"}, parent=pb.Item(name="p")),
    )
    reply = await echo(channel, request)
    assert (reply.id, reply.seed, reply.text, reply.item) == (request.id, request.seed, request.text, request.item)
    assert reply.payload == payload_of(request.seed, 1000)
    assert reply.payload_sha256 == hashlib.sha256(reply.payload).hexdigest()
    assert (reply.backend, reply.method) == (backend.library, f"{ECHO}/Echo")


async def test_metadata_travels_both_ways(channel: grpc.aio.Channel) -> None:
    behaviour = pb.Behaviour(
        initial_metadata=[pb.MetadataEntry(key="x-first", text="1"), pb.MetadataEntry(key="x-first", text="2")],
        trailing_metadata=[pb.MetadataEntry(key="x-last-bin", binary=b"\x00\xff")],
    )
    call = channel.unary_unary(f"/{ECHO}/Echo", pb.EchoRequest.SerializeToString, pb.EchoReply.FromString)(
        pb.EchoRequest(id=new_id(), behaviour=behaviour),
        metadata=(("x-sent", "a"), ("x-sent", "b"), ("x-sent-bin", b"\x01\x02")),
    )
    reply = await call
    received = [(entry.key, entry.text, entry.binary) for entry in reply.received_metadata]
    assert ("x-sent-bin", "", b"\x01\x02") in received
    assert [text for key, text, _ in received if key == "x-sent"] in (["a", "b"], ["a, b"])
    initial = [value for key, value in await call.initial_metadata() or () if key == "x-first"]
    assert initial in (["1", "2"], ["1, 2"])
    assert dict(await call.trailing_metadata() or ())["x-last-bin"] == b"\x00\xff"


async def test_the_deadline_arrives(channel: grpc.aio.Channel) -> None:
    reply = await echo(channel, pb.EchoRequest(id=new_id()), timeout_s=8.0)
    assert 0 < reply.timeout_ms < 9000  # libraries round up


async def test_no_deadline_is_told_apart_from_a_short_one(channel: grpc.aio.Channel) -> None:
    call = channel.unary_unary(f"/{ECHO}/Echo", pb.EchoRequest.SerializeToString, pb.EchoReply.FromString)
    assert not (await call(pb.EchoRequest(id=new_id()))).HasField("timeout_ms")


async def test_a_failure_has_its_code_words_details_and_trailers(channel: grpc.aio.Channel) -> None:
    details = status_pb2.Status(code=9, message="not now")
    failure = pb.Failure(code=9, message="not now: 100 % ü", status_details=details.SerializeToString())
    trailer = pb.MetadataEntry(key="x-why", text="because")
    behaviour = pb.Behaviour(failure=failure, trailing_metadata=[trailer])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await echo(channel, pb.EchoRequest(id=new_id(), behaviour=behaviour))
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.details() == "not now: 100 % ü"
    assert status_of(caught.value) == details
    assert dict(caught.value.trailing_metadata() or ())["x-why"] == "because"


@pytest.mark.parametrize(
    ("method", "request_", "expected"),
    [
        pytest.param("GetItem", pb.ItemRequest(id="7", tags=["t"]), pb.Item(id="7", tags=["t"]), id="convention"),
        pytest.param("PutItem", pb.PutItemRequest(item=pb.Item(id="shelves/1")), pb.Item(id="shelves/1"), id="put"),
        pytest.param("PatchItem", pb.PatchItemRequest(item=pb.Item(name="n")), pb.Item(name="n"), id="patch"),
    ],
)
async def test_items_come_back(channel: grpc.aio.Channel, method: str, request_: Message, expected: pb.Item) -> None:
    assert (await unary(channel, f"{ECHO}/{method}", request_, pb.EchoReply)).item == expected


async def test_a_field_mask_comes_back(channel: grpc.aio.Channel) -> None:
    request = pb.PatchItemRequest(update_mask=FieldMask(paths=["name", "parent.id"]))
    assert (await unary(channel, f"{ECHO}/PatchItem", request, pb.EchoReply)).update_mask == request.update_mask


async def test_lists_and_empty_replies(channel: grpc.aio.Channel) -> None:
    request = pb.EchoRequest(behaviour=pb.Behaviour(message_count=3))
    listed = await unary(channel, f"{ECHO}/ListItems", request, pb.ItemList)
    assert [(item.id, item.name, item.size) for item in listed.items][2] == ("2", "item 2", 2)
    assert await unary(channel, f"{ECHO}/DeleteItem", pb.ItemRequest(id="1"), Empty) == Empty()


async def test_server_stream_sends_as_many_as_asked(channel: grpc.aio.Channel) -> None:
    request = pb.EchoRequest(id=new_id(), behaviour=pb.Behaviour(message_count=3))
    replies = server_stream(channel, f"{ECHO}/ServerStream", request, pb.EchoReply)
    assert [reply.index async for reply in replies] == [0, 1, 2]


@pytest.mark.parametrize("after", [pytest.param(0, id="at_once"), pytest.param(2, id="after_two_messages")])
async def test_server_stream_fails_where_asked(channel: grpc.aio.Channel, after: int) -> None:
    behaviour = pb.Behaviour(message_count=5, failure=pb.Failure(code=15, message="torn", after_messages=after))
    replies = server_stream(channel, f"{ECHO}/ServerStream", pb.EchoRequest(behaviour=behaviour), pb.EchoReply)
    seen = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for reply in replies:
            seen.append(reply.index)  # noqa: PERF401  the list must outlive the failure
    assert caught.value.code() == grpc.StatusCode.DATA_LOSS
    assert seen == list(range(after))


async def test_client_stream_is_collected(channel: grpc.aio.Channel) -> None:
    requests = [pb.EchoRequest(id=new_id(), text=text) for text in "abc"]
    summary = await client_stream(channel, f"{ECHO}/ClientStream", requests, pb.StreamSummary)
    assert (summary.message_count, list(summary.texts)) == (3, ["a", "b", "c"])


async def test_bidi_stream_answers_every_message(channel: grpc.aio.Channel) -> None:
    requests = [pb.EchoRequest(id=new_id(), text=text) for text in "abc"]
    replies = await bidi_stream(channel, f"{ECHO}/BidiStream", requests, pb.EchoReply)
    assert [(reply.index, reply.text) for reply in replies] == [(0, "a"), (1, "b"), (2, "c")]


async def test_the_journal_counts_executions_per_id(backend: Backend, channel: grpc.aio.Channel) -> None:
    request_id = new_id()
    for _ in range(2):
        await echo(channel, pb.EchoRequest(id=request_id))
    failing = pb.Behaviour(failure=pb.Failure(code=5))
    with pytest.raises(grpc.aio.AioRpcError):
        await unary(channel, f"{ECHO}/GetItem", pb.ItemRequest(id=request_id, behaviour=failing), pb.EchoReply)
    journal = await backend.journal(request_id)
    assert (journal.started, journal.completed, journal.cancelled) == (3, 3, 0)
    assert list(journal.methods) == [f"{ECHO}/Echo", f"{ECHO}/Echo", f"{ECHO}/GetItem"]
    assert (await backend.journal("never-seen")).started == 0


async def test_the_journal_knows_a_cancelled_call(backend: Backend, channel: grpc.aio.Channel) -> None:
    request = pb.EchoRequest(id=new_id(), behaviour=pb.Behaviour(sleep_ms=60_000))
    call = channel.unary_unary(f"/{ECHO}/Echo", pb.EchoRequest.SerializeToString, pb.EchoReply.FromString)(request)
    await backend.journal(request.id, wait_for=control.STARTED)
    call.cancel()
    journal = await backend.journal(request.id, wait_for=control.CANCELLED)
    assert (journal.started, journal.completed, journal.cancelled) == (1, 0, 1)


async def test_the_journal_knows_a_stream_that_was_left(backend: Backend, channel: grpc.aio.Channel) -> None:
    request = pb.EchoRequest(id=new_id(), behaviour=pb.Behaviour(sleep_ms=1, message_count=1_000_000))
    async with aclosing(server_stream(channel, f"{ECHO}/ServerStream", request, pb.EchoReply)) as replies:
        await anext(replies)
    assert (await backend.journal(request.id, wait_for=control.CANCELLED)).completed == 0


async def test_a_passed_deadline_cancels(backend: Backend, channel: grpc.aio.Channel) -> None:
    request = pb.EchoRequest(id=new_id(), behaviour=pb.Behaviour(sleep_ms=60_000))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await echo(channel, request, timeout_s=0.2)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert (await backend.journal(request.id, wait_for=control.CANCELLED)).started == 1


@pytest.mark.parametrize(
    ("library", "messages"),
    [
        pytest.param("grpcio", v1alpha, id="grpcio_v1alpha"),
        pytest.param("grpclib", v1, id="grpclib_v1"),
        pytest.param("grpclib", v1alpha, id="grpclib_v1alpha"),
        pytest.param("node", v1, id="node_v1"),
        pytest.param("node", v1alpha, id="node_v1alpha"),
    ],
)
async def test_reflection_gives_the_whole_service(
    library: str, messages: ModuleType, request: pytest.FixtureRequest
) -> None:
    schema = await schema_of(request.getfixturevalue(f"{library}_backend"), messages)
    service = schema.services[ECHO]
    methods = {method.name: method for method in service.methods}
    assert set(methods) == set(pb.DESCRIPTOR.services_by_name["EchoService"].methods_by_name)
    assert CONTROL not in schema.services
    assert methods["BidiStream"].is_client_streaming
    assert methods["BidiStream"].is_server_streaming
    patch = methods["PatchItem"].input.type.from_json(
        '{"item": {"labels": {"a": "b"}}, "updateMask": "name,parent.id"}'
    )
    assert pb.PatchItemRequest.FromString(patch.to_binary()).update_mask.paths == ["name", "parent.id"]
    templates = [rule.template for rule in methods["Echo"].rules]
    assert templates == ([] if library == "node" else ["/echo/v1/echo", "/echo/v1/echo/{id}"])


async def test_grpcio_has_no_reflection_v1(grpcio_backend: Backend) -> None:
    async with grpc.aio.insecure_channel(grpcio_backend.address) as channel:
        question = v1.ServerReflectionRequest(list_services="")
        # On the wire a stream of one request looks like this too, and grpcio's client does not trip over an early end.
        answers = server_stream(channel, V1_REFLECTION, question, v1.ServerReflectionResponse)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await anext(answers)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_unknown_symbols_are_error_responses(grpclib_backend: Backend) -> None:
    async with grpc.aio.insecure_channel(grpclib_backend.address) as channel:
        questions = [v1.ServerReflectionRequest(file_containing_symbol="no.Such")]
        (answer,) = await bidi_stream(channel, V1_REFLECTION, questions, v1.ServerReflectionResponse)
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


@pytest.mark.parametrize("library", ["grpcio", "grpclib"])
async def test_a_restart_on_the_same_port_may_bring_a_method_more(library: str) -> None:
    messages = v1alpha
    with start_backend(library) as before:
        port = before.port
        assert "GetExtra" not in {method.name for method in (await schema_of(before, messages)).methods()}
    with start_backend(library, "--port", str(port), "--extra-method", "GetExtra") as after:
        assert after.port == port
        extra = {method.name: method for method in (await schema_of(after, messages)).methods()}["GetExtra"]
        assert extra.input.type_name == "tests.echo.ItemRequest"
        async with grpc.aio.insecure_channel(after.address) as channel:
            reply = await unary(channel, f"{ECHO}/GetExtra", pb.ItemRequest(id="9"), pb.EchoReply)
        assert reply.item.id == "9"
        assert after.process.stop() == 0
        assert after.process.stderr.lines == []


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_backend_can_be_told_to_die(library: str) -> None:
    with start_backend(library) as backend:
        async with grpc.aio.insecure_channel(backend.address) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await unary(channel, f"{CONTROL}/Die", control.DieRequest(exit_code=9), Empty)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert backend.process.wait() == 9


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_backend_stops_with_the_process_that_started_it(library: str) -> None:
    with start_backend(library) as backend:
        backend.process.close_stdin()
        assert backend.process.wait() == 0


@pytest.mark.parametrize("library", LIBRARIES)
async def test_tls_with_and_without_client_certificates(library: str, tmp_path: Path) -> None:
    files = write_certificates(tmp_path)
    arguments = ("--tls-cert", files.certificate, "--tls-key", files.key, "--tls-client-ca", files.ca)
    named = (("grpc.ssl_target_name_override", "localhost"),)
    with start_backend(library, *arguments) as backend:
        async with grpc.aio.secure_channel(backend.address, mutual_tls(files), options=named) as channel:
            assert (await echo(channel, pb.EchoRequest(id=new_id()))).backend == library
        async with grpc.aio.secure_channel(backend.address, anonymous_tls(files), options=named) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await echo(channel, pb.EchoRequest(id=new_id()))
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_auth_policy_answers_what_it_was_told() -> None:
    with start_backend("grpcio", "--auth-policy") as backend:
        async with grpc.aio.insecure_channel(backend.address) as channel:
            told = control.SetAuthPolicyRequest(
                grpc_method=f"{ECHO}/Echo", require_auth=True, required_roles=["admin"], cache_ttl_seconds=5
            )
            await unary(channel, f"{CONTROL}/SetAuthPolicy", told, Empty)
            await unary(channel, f"{CONTROL}/SetAuthPolicy", control.SetAuthPolicyRequest(failure_code=14), Empty)
            question, method = (
                AuthPolicyRequest(grpc_method=told.grpc_method),
                "gateway.ServiceAuthPolicy/GetAuthPolicy",
            )
            answer = await unary(channel, method, question, AuthPolicyResponse)
            assert (answer.require_auth, list(answer.required_roles), answer.cache_ttl_seconds) == (True, ["admin"], 5)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await unary(channel, method, AuthPolicyRequest(grpc_method=""), AuthPolicyResponse)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert (await backend.journal(f"policy:{told.grpc_method}")).started == 1
        assert "gateway.ServiceAuthPolicy" not in (await schema_of(backend, v1alpha)).services


async def test_health_follows_what_it_was_told() -> None:
    check, method = health_pb2.HealthCheckRequest(), "grpc.health.v1.Health/Check"
    with start_backend("grpcio") as backend:
        async with grpc.aio.insecure_channel(backend.address) as channel:
            before = await unary(channel, method, check, health_pb2.HealthCheckResponse)
            await unary(channel, f"{CONTROL}/SetHealth", control.SetHealthRequest(is_serving=False), Empty)
            after = await unary(channel, method, check, health_pb2.HealthCheckResponse)
    assert before.status == health_pb2.HealthCheckResponse.SERVING
    assert after.status == health_pb2.HealthCheckResponse.NOT_SERVING
