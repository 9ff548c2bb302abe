"""Speaks gRPC server reflection, v1 and v1alpha, over our own channel (grpc doc/server-reflection.md).

One bidirectional stream for one reading, so that all answers come from one backend behind a load balancer. Every bound
that a hostile backend could strain is checked here or in `schema/`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final, Protocol

from ..model.errors import GatewayError
from ..model.message import HeaderList
from ..model.status import Code
from ..schema import HIDDEN_SERVICES, MAX_FILES, MAX_SCHEMA_BYTES, Schema, SchemaError, build_schema, missing_imports
from .reflection_messages import reflection_messages

MAX_SERVICES: Final = 2_000
"""Most services read from one backend."""
VERSIONS: Final = ("grpc.reflection.v1", "grpc.reflection.v1alpha")


class ReflectionError(Exception):
    """A backend that could not be read; the text tells an operator why."""


class Stream(Protocol):
    """A bidirectional call, as `grpc.call.StreamCall` is one."""

    async def send(self, message: bytes) -> None:
        """Send one message."""

    async def receive(self) -> bytes | None:
        """Return the next message, None at the end."""

    def close_send(self) -> None:
        """Half-close."""

    def cancel(self) -> bool:
        """Give up."""


class StreamOpener(Protocol):
    """A channel, as far as reflection needs it."""

    def stream(
        self, path: bytes, *, deadline_s: float, metadata: HeaderList, waits_for_ready: bool, ignores_health: bool
    ) -> Stream:
        """Open a bidirectional call."""


async def read_schema(
    channel: StreamOpener, *, deadline_s: float, waits_for_ready: bool = True, known: Schema | None = None
) -> Schema:
    """Read everything a backend offers: v1 first, v1alpha when it does not know v1 (semantics 43).

    With `waits_for_ready` a backend that cannot be reached is tried until the deadline. When it sends what `known` was
    built from, that is what is returned: building takes more memory than all calls of a minute.

    Raises ReflectionError when it cannot be reached, has no reflection, or tells something that does not fit together.
    """
    for version in VERSIONS:
        call = channel.stream(
            f"/{version}.ServerReflection/ServerReflectionInfo".encode(),
            deadline_s=deadline_s,
            metadata=[],
            waits_for_ready=waits_for_ready,
            # Whoever does not serve for now has routes all the same: calls of them are 503, not 404.
            ignores_health=True,
        )
        try:
            return await _Reader(call, known).read()
        except GatewayError as error:
            if error.code == Code.UNIMPLEMENTED and version != VERSIONS[-1]:
                continue
            raise ReflectionError(_explain(error)) from error
        except (SchemaError, ValueError) as error:
            raise ReflectionError(str(error)) from error
        finally:
            call.cancel()
    raise AssertionError("the last version either returns or raises")


def _explain(error: GatewayError) -> str:
    if error.code == Code.UNIMPLEMENTED:
        return "it does not offer server reflection (neither v1 nor v1alpha); switch reflection on in the backend"
    if error.code == Code.DEADLINE_EXCEEDED:
        return "it did not answer the reflection call in time"
    return error.for_log()


class _Reader:
    """One reading over one stream: a question, its answer, the next question."""

    def __init__(self, call: Stream, known: Schema | None) -> None:
        self._call = call
        self._known = known
        self._request, self._response = reflection_messages()
        self._files: dict[bytes, None] = {}
        self._total_bytes = 0

    async def read(self) -> Schema:
        names = [name for name in await self._list_services() if name not in HIDDEN_SERVICES]
        missing = {name: text for name in names if (text := await self._ask_for_service(name))}
        if missing and len(missing) == len(names):
            raise ReflectionError(next(iter(missing.values())))
        described = [name for name in names if name not in missing]
        if not self._is_known(described, missing):
            await self._ask_for_imports()
        self._call.close_send()
        if self._known is not None and self._is_known(described, missing):
            return self._known
        # Hashing and linking thousands of files takes a while; the loop keeps turning meanwhile.
        schema = await asyncio.to_thread(build_schema, list(self._files), described)
        return replace(schema, undescribed=tuple(missing), source=self._digest(described, missing))

    def _is_known(self, described: Iterable[str], missing: Iterable[str]) -> bool:
        # Complete already: with an import still to come, the digest would be another one.
        return self._known is not None and self._known.source == self._digest(described, missing)

    def _digest(self, described: Iterable[str], missing: Iterable[str]) -> str:
        """Return what stands for everything that came, in whatever order."""
        digest = hashlib.sha256()
        for group in (self._files, (name.encode() for name in described), (name.encode() for name in missing)):
            for each in sorted(group):
                digest.update(b"%d:%b" % (len(each), each))
            digest.update(b";")
        return digest.hexdigest()

    async def _ask_for_service(self, name: str) -> str:
        """Keep the files of a service; return why there are none if the backend does not know it.

        A service that is listed by mistake, or was registered without a descriptor, takes no other one along.
        """
        answer = await self._ask(file_containing_symbol=name)
        if answer.field == "error_response" and answer.value.error_code == Code.NOT_FOUND:
            return f"it has no descriptor for service {name}: {_error_text(answer)}"
        self._keep_files(f"service {name}", answer)
        return ""

    async def _ask_for_imports(self) -> None:
        asked: set[str] = set()
        # Most servers send the imports along; what is missing is asked for by name, level by level.
        while missing := missing_imports(self._files) - asked:
            for name in sorted(missing):
                asked.add(name)
                self._keep_files(f"file {name}", await self._ask(file_by_filename=name))

    async def _list_services(self) -> list[str]:
        answer = await self._ask(list_services="*")
        if answer.field != "list_services_response":
            raise ReflectionError(f"it refused to list its services: {_error_text(answer)}")
        names = sorted({service.name for service in answer.value.service})
        if len(names) > MAX_SERVICES:
            raise ReflectionError(f"it lists {len(names)} services, more than {MAX_SERVICES}")
        return names

    def _keep_files(self, what: str, answer: Any) -> None:
        if answer.field != "file_descriptor_response":
            raise ReflectionError(f"it has no descriptor for {what}: {_error_text(answer)}")
        self._keep(answer.value.file_descriptor_proto)

    def _keep(self, files: Iterable[bytes]) -> None:
        for file in files:
            if file not in self._files:
                self._files[file] = None
                self._total_bytes += len(file)
        if self._total_bytes > MAX_SCHEMA_BYTES or len(self._files) > MAX_FILES:
            raise ReflectionError(f"its descriptors are more than {MAX_SCHEMA_BYTES} bytes or {MAX_FILES} files")

    async def _ask(self, **question: str) -> Any:
        await self._call.send(self._request(**question).to_binary())
        data = await self._call.receive()
        if data is None:
            raise ReflectionError("it ended the reflection call before the answer")
        answer: Any = self._response.from_binary(data)
        if answer.message_response is None:
            raise ReflectionError("its reflection answer is empty")
        return answer.message_response


def _error_text(answer: Any) -> str:
    if answer.field == "error_response":
        return str(answer.value.error_message or f"error {answer.value.error_code}")
    return f"it answered {answer.field}"
