"""A backend that speaks HTTP/2 by hand, reflects itself, answers the oracle's questions, and misbehaves when told to.

It offers `tests.peer.PeerService`: the echo service's messages under names and paths (`/peer/v1`) of its own, so that
one gateway can serve it beside the real echo backend.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from google.api import annotations_pb2, http_pb2, httpbody_pb2
from google.protobuf import any_pb2, descriptor_pb2, empty_pb2, field_mask_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

from tests.support import h2_frames
from tests.support.echo_behaviour import payload_of
from tests.support.fake_reflection import FakeBackend
from tests.support.gen import echo_pb2
from tests.support.gen.echo_pb2 import EchoReply, EchoRequest
from tests.support.h2_frames import END_STREAM, MAX_PAYLOAD_BYTES, Frame
from tests.support.scripted_peer import Manners, PeerConnection, PeerRequest, ScriptedPeer, prefixed

PREFIX: Final = "peer"
SERVICE: Final = "tests.peer.PeerService"
METHODS: Final = ("Echo", "ServerStream")
_PREFIX_BYTES: Final = 5
_UNIMPLEMENTED: Final = b"12"


@dataclass(slots=True, eq=False)
class PeerCall:
    """One call of the service."""

    connection: PeerConnection
    request: PeerRequest
    message: EchoRequest
    attempt: int
    """1 for the first time this id is seen."""

    @property
    def is_open(self) -> bool:
        """Whether an answer can still reach the caller."""
        return not self.connection.is_closed and self.request.reset_code is None

    @property
    def stream_id(self) -> int:
        """Its stream."""
        return self.request.stream_id

    def answer(self) -> None:
        """Answer rightly, if anybody still waits."""
        if self.is_open:
            self.connection.reply(self.stream_id, reply_to(self.message))


Answer = Callable[[PeerCall], None]


class EchoPeerConnection(PeerConnection):
    """Answers reflection by itself; hands calls to its peer."""

    def __init__(self, manners: Manners, on_made: Callable[[PeerConnection], None], peer: EchoPeer) -> None:
        super().__init__(manners, on_made)
        self._peer = peer
        self._answered: Counter[int] = Counter()
        self.calls = 0
        """Calls of the service so far."""

    def whole_request(self, request: PeerRequest) -> None:
        """Execute a call; end a reflection stream; refuse everything else."""
        path = request.field(b":path") or b""
        if path == f"/{SERVICE}/Echo".encode() or path == f"/{SERVICE}/ServerStream".encode():
            self.calls += 1
            self._peer.called(self, request)
        elif path.endswith(b"/ServerReflectionInfo"):
            self._reflect(request)
            self.send(self.trailers(request.stream_id))
        else:
            self.send(self.trailers_only(request.stream_id, status=_UNIMPLEMENTED))

    def _take_data(self, frame: Frame) -> None:
        super()._take_data(frame)
        request = self.requests[frame.stream_id]
        if not frame.flags & END_STREAM and (request.field(b":path") or b"").endswith(b"/ServerReflectionInfo"):
            self._reflect(request)

    def _reflect(self, request: PeerRequest) -> None:
        """Answer the questions that have come and have no answer yet."""
        at = self._answered[request.stream_id]
        while len(request.body) >= at + _PREFIX_BYTES:
            end = at + _PREFIX_BYTES + int.from_bytes(request.body[at + 1 : at + _PREFIX_BYTES], "big")
            if len(request.body) < end:
                break
            if not at:
                self.send(self.head(request.stream_id))
            question = ServerReflectionRequest.FromString(request.body[at + _PREFIX_BYTES : end])
            answer = prefixed(self._peer.schema.reflect(question))
            for start in range(0, len(answer), MAX_PAYLOAD_BYTES):
                self.send(h2_frames.data(request.stream_id, answer[start : start + MAX_PAYLOAD_BYTES]))
            at = self._answered[request.stream_id] = end


@dataclass(slots=True)
class Seen:
    """What reached a peer, by request id."""

    calls: Counter[str] = field(default_factory=Counter)
    """Whole requests, refused ones included."""
    executed: Counter[str] = field(default_factory=Counter)
    """Calls that were answered, or given to the scenario to answer."""


class EchoPeer(ScriptedPeer):
    """The listener. `on_call` decides what becomes of each call; at first it answers rightly."""

    def __init__(self, manners: Manners | None = None) -> None:
        super().__init__(manners)
        self.schema = FakeBackend(peer_files(), services=(SERVICE,))
        self.seen = Seen()
        self.on_call: Answer = self.execute

    def called(self, connection: PeerConnection, request: PeerRequest) -> None:
        """Hand a call on."""
        message = EchoRequest.FromString(request.body[_PREFIX_BYTES:])
        self.seen.calls[message.id] += 1
        self.on_call(
            PeerCall(connection=connection, request=request, message=message, attempt=self.seen.calls[message.id])
        )

    def execute(self, call: PeerCall) -> None:
        """Write the call into the journal and answer it."""
        self.seen.executed[call.message.id] += 1
        call.answer()

    @property
    def open_connections(self) -> list[PeerConnection]:
        """Connections that are open."""
        return [each for each in self.connections if not each.is_closed]

    def unfinished_streams(self) -> int:
        """Return the streams on open connections that neither side has reset, and whose request never ended."""
        return sum(
            not request.has_ended and request.reset_code is None
            for connection in self.open_connections
            for request in connection.requests.values()
        )

    def abort_all(self) -> None:
        """End every connection without a word."""
        for connection in self.open_connections:
            connection.abort()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop: who called is still running, so connections are closed from here."""
        self.stop_listening()
        self.abort_all()
        for connection in self.connections:
            await connection.closed()

    def _new_connection(self) -> PeerConnection:
        return EchoPeerConnection(self.manners, self._made, self)


def reply_to(message: EchoRequest) -> bytes:
    """Return the right answer, serialized."""
    payload = payload_of(message.seed, message.behaviour.response_size_bytes)
    reply = EchoReply(id=message.id, seed=message.seed, text=message.text, backend="peer", payload=payload)
    reply.payload_sha256 = hashlib.sha256(payload).hexdigest()
    return reply.SerializeToString()


def peer_files(methods: Sequence[str] = METHODS) -> list[bytes]:
    """Return the service's file, with some of the echo service's methods, and all its imports, as reflection does."""
    file = FileDescriptorProto()
    echo_pb2.DESCRIPTOR.CopyToProto(file)
    file.name, file.package = "peer.proto", "tests.peer"
    for message in file.message_type:
        _rename(message)
    service = file.service[0]
    service.name = "PeerService"
    kept = [method for method in service.method if method.name in methods]
    del service.method[:]
    service.method.extend(kept)
    for method in service.method:
        method.input_type, method.output_type = map(_renamed, (method.input_type, method.output_type))
        rule = method.options.Extensions[annotations_pb2.http]
        for each in (rule, *rule.additional_bindings):
            _move(each)
    imports = (annotations_pb2, http_pb2, httpbody_pb2, descriptor_pb2, empty_pb2, field_mask_pb2, any_pb2)
    return [file.SerializeToString(), *(each.DESCRIPTOR.serialized_pb for each in imports)]


def _rename(message: descriptor_pb2.DescriptorProto) -> None:
    for each in message.field:
        each.type_name = _renamed(each.type_name)
    for nested in message.nested_type:
        _rename(nested)


def _renamed(name: str) -> str:
    return name.replace(".tests.echo.", ".tests.peer.")


def _move(rule: http_pb2.HttpRule) -> None:
    kind = rule.WhichOneof("pattern")
    if kind in ("get", "post"):
        setattr(rule, kind, getattr(rule, kind).replace("/echo/v1/", f"/{PREFIX}/v1/"))
