"""What the echo service does, the same under every Python gRPC library.

A library's adapter hands in the requests and a `Wire` to answer on; nothing here knows the library.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Protocol

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from tests.support.echo_journal import EchoJournal
from tests.support.gen.echo_pb2 import (
    Behaviour,
    EchoReply,
    EchoRequest,
    Failure,
    Item,
    ItemList,
    ItemRequest,
    MetadataEntry,
    PatchItemRequest,
    PutItemRequest,
    StreamSummary,
    UploadRequest,
    UploadSummary,
)

Metadata = tuple[tuple[str, str | bytes], ...]
_MS_PER_S = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """How a call came in."""

    method: str
    """`package.Service/Method`."""
    metadata: Metadata
    timeout_s: float | None
    """What is left of the deadline; None without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Status and trailers of a call."""

    code: int = 0
    message: str = ""
    status_details: bytes = b""
    metadata: Metadata = ()


class Wire(Protocol):
    """The answering side of one call."""

    async def send_initial_metadata(self, metadata: Metadata) -> None:
        """Send the response headers now, with `metadata`."""

    async def send(self, reply: Message) -> None:
        """Send one message."""

    def compress_next(self, is_compressed: bool) -> None:
        """Have the next message compressed, or not; to be first asked for before the head. Not every library can."""

    async def finish(self, ending: Ending) -> None:
        """End the call. May raise whatever the library uses to end a call that failed."""


class ServiceBehaviour(Protocol):
    """What a service does with its calls, whatever library carries them."""

    async def execute(self, arrival: Arrival, requests: AsyncIterator[Message], wire: Wire) -> None:
        """Run one call from its first request to its end."""


class EchoBehaviour:
    """Executes calls and writes the journal."""

    def __init__(self, backend: str, journal: EchoJournal) -> None:
        self._backend = backend
        self._journal = journal

    async def execute(self, arrival: Arrival, requests: AsyncIterator[Message], wire: Wire) -> None:
        """Run one call from its first request to its end."""
        first = await anext(requests, EchoRequest())
        behaviour = behaviour_of(first)
        with self._journal.execution(id_of(first), arrival.method):
            if behaviour.initial_metadata:
                await wire.send_initial_metadata(metadata_of(behaviour.initial_metadata))
            failure = await self._answer(arrival, first, requests, wire)
            await wire.finish(
                Ending(
                    code=failure.code,
                    message=failure.message,
                    status_details=failure.status_details,
                    metadata=metadata_of(behaviour.trailing_metadata),
                )
            )

    async def _answer(self, arrival: Arrival, first: Message, requests: AsyncIterator[Message], wire: Wire) -> Failure:
        """Send the replies; returns the failure to end with, of code 0 when there is none."""
        name = arrival.method.rpartition("/")[2]
        if name in ("ServerStream", "Download"):
            return await self._send_stream(arrival, first, wire)
        if name == "ClientStream":
            return await self._collect(first, requests, wire)
        if name == "BidiStream":
            return await self._converse(arrival, first, requests, wire)
        if name == "Upload":
            return await self._take_upload(first, requests, wire)
        behaviour = behaviour_of(first)
        await pause(behaviour)
        if behaviour.failure.code:
            return behaviour.failure
        await wire.send(self._unary_reply(name, arrival, first))
        return Failure()

    async def _send_stream(self, arrival: Arrival, request: Message, wire: Wire) -> Failure:
        behaviour = behaviour_of(request)
        failure = behaviour.failure
        for index in range(behaviour.message_count or 1):
            await pause(behaviour)
            if failure.code and index >= failure.after_messages:
                return failure
            if arrival.method.endswith("/Download"):
                await wire.send(part_of(request, index))
            else:
                await wire.send(self._reply(arrival, request, index))
        return failure

    async def _collect(self, first: Message, requests: AsyncIterator[Message], wire: Wire) -> Failure:
        behaviour = behaviour_of(first)
        texts = [text_of(first)] if id_of(first) or text_of(first) else []
        while not (behaviour.failure.code and len(texts) >= behaviour.failure.after_messages):
            request = await anext(requests, None)
            if request is None:
                break
            texts.append(text_of(request))
        await pause(behaviour)
        if behaviour.failure.code:
            return behaviour.failure
        await wire.send(StreamSummary(message_count=len(texts), texts=texts, backend=self._backend))
        return Failure()

    async def _take_upload(self, first: Message, requests: AsyncIterator[Message], wire: Wire) -> Failure:
        summary = UploadSummary(id=id_of(first))
        digest = hashlib.sha256()
        request: Message | None = first
        while isinstance(request, UploadRequest):
            if summary.message_count:
                summary.later.extend(each for each in (request.id, request.content.content_type) if each)
            else:
                summary.content_type = request.content.content_type
            summary.message_count += 1
            summary.size_bytes += len(request.content.data)
            digest.update(request.content.data)
            await asyncio.sleep(request.sleep_ms / _MS_PER_S)
            request = await anext(requests, None)
        summary.sha256 = digest.hexdigest()
        await wire.send(summary)
        return Failure()

    async def _converse(
        self, arrival: Arrival, first: Message, requests: AsyncIterator[Message], wire: Wire
    ) -> Failure:
        request: Message | None = first
        index = 0
        while request is not None:
            behaviour = behaviour_of(request)
            await pause(behaviour)
            if behaviour.failure.code:
                return behaviour.failure
            await wire.send(self._reply(arrival, request, index))
            index += 1
            request = await anext(requests, None)
        return Failure()

    def _unary_reply(self, name: str, arrival: Arrival, request: Message) -> Message:
        if name in ("RemoveItem", "DeleteItem"):
            return Empty()
        if name == "ListItems":
            count = behaviour_of(request).message_count
            return ItemList(items=[Item(id=str(index), name=f"item {index}", size=index) for index in range(count)])
        return self._reply(arrival, request, 0)

    def _reply(self, arrival: Arrival, request: Message, index: int) -> EchoReply:
        reply = EchoReply(
            id=id_of(request),
            backend=self._backend,
            method=arrival.method,
            index=index,
            received_metadata=[metadata_entry(key, value) for key, value in arrival.metadata],
        )
        if arrival.timeout_s is not None:
            reply.timeout_ms = round(arrival.timeout_s * _MS_PER_S)
        match request:
            case EchoRequest():
                reply.seed, reply.text = request.seed, request.text
                if request.HasField("item"):
                    reply.item.CopyFrom(request.item)
            case ItemRequest():
                reply.item.CopyFrom(Item(id=request.id, name=request.name, size=request.size, tags=request.tags))
            case PutItemRequest():
                reply.item.CopyFrom(request.item)
            case PatchItemRequest():
                reply.item.CopyFrom(request.item)
                reply.update_mask.CopyFrom(request.update_mask)
        reply.payload = payload_of(reply.seed, behaviour_of(request).response_size_bytes)
        reply.payload_sha256 = hashlib.sha256(reply.payload).hexdigest()
        return reply


def payload_of(seed: int, size_bytes: int) -> bytes:
    """Return the payload that belongs to a seed: SHAKE-256 over its decimal digits."""
    return hashlib.shake_256(str(seed).encode()).digest(size_bytes)


def part_of(request: Message, index: int) -> HttpBody:
    """Return one message of a download: the request's text is the content type, which the first one has."""
    assert isinstance(request, EchoRequest)
    data = payload_of(request.seed + index, behaviour_of(request).response_size_bytes)
    return HttpBody(content_type="" if index else request.text, data=data)


def behaviour_of(request: Message) -> Behaviour:
    """Return what the request asks the backend to do."""
    return request.behaviour if isinstance(request, EchoRequest | ItemRequest) else Behaviour()


def id_of(request: Message) -> str:
    """Return the key of the request in the journal."""
    if isinstance(request, PutItemRequest | PatchItemRequest):
        return request.item.id
    return request.id if isinstance(request, EchoRequest | ItemRequest | UploadRequest) else ""


def text_of(request: Message) -> str:
    """Return the text of an EchoRequest."""
    return request.text if isinstance(request, EchoRequest) else ""


async def pause(behaviour: Behaviour) -> None:
    """Wait as long as the request asks for."""
    if behaviour.sleep_ms:
        await asyncio.sleep(behaviour.sleep_ms / _MS_PER_S)


def metadata_entry(key: str, value: str | bytes) -> MetadataEntry:
    """Return one received field as a message."""
    if isinstance(value, bytes):
        return MetadataEntry(key=key, binary=value)
    return MetadataEntry(key=key, text=value)


def metadata_of(entries: Iterable[MetadataEntry]) -> Metadata:
    """Return the fields to send."""
    return tuple((entry.key, entry.binary if entry.key.endswith("-bin") else entry.text) for entry in entries)
