"""A backend's reflection service without a network: typed like a channel, answering with Google's own messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest as Request,
)
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionResponse as Response,
)

from api_gateway.discovery.reflection import VERSIONS
from api_gateway.model.errors import GatewayError, Source
from api_gateway.model.message import HeaderList
from api_gateway.model.status import Code

Answer = Callable[[Request], bytes | None]


class FakeStream:
    """One reflection call. Implements `discovery.reflection.Stream`."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._asked: list[Request] = []
        self.is_half_closed = False
        self.is_cancelled = False

    async def send(self, message: bytes) -> None:
        """Take a question."""
        assert not self.is_half_closed
        self._asked.append(Request.FromString(message))

    async def receive(self) -> bytes | None:
        """Answer the oldest question."""
        return self._answer(self._asked.pop(0))

    def close_send(self) -> None:
        """Half-close."""
        self.is_half_closed = True

    def cancel(self) -> bool:
        """Give up."""
        self.is_cancelled = True
        return True


class FakeBackend:
    """What reflection sees of a backend. Implements `discovery.reflection.StreamOpener`.

    A question about a symbol is answered with the one file that defines it, without its imports. `failure` is raised in
    the place of every answer; `answer` may be replaced.
    """

    def __init__(
        self, files: Iterable[bytes], *, services: Sequence[str] | None = None, versions: Sequence[str] = VERSIONS
    ) -> None:
        self.versions = versions
        self.failure: GatewayError | None = None
        self.answer: Answer = self.reflect
        self.streams: list[FakeStream] = []
        self.opened: list[tuple[bytes, float, bool]] = []
        """Path, deadline and whether it waits for the connection, of each call."""
        self.questions: list[str] = []
        self._services = services
        self.offer(files)

    def offer(self, files: Iterable[bytes]) -> None:
        """Replace the files, as a new version of the backend does."""
        self._files = {FileDescriptorProto.FromString(data).name: data for data in files}
        self._homes = {
            f"{file.package}.{service.name}".lstrip("."): data
            for data in self._files.values()
            for file in (FileDescriptorProto.FromString(data),)
            for service in file.service
        }

    def stream(
        self,
        path: bytes,
        *,
        deadline_s: float,
        metadata: HeaderList,
        waits_for_ready: bool = False,
        ignores_health: bool = False,
    ) -> FakeStream:
        """Open a call."""
        self.opened.append((path, deadline_s, waits_for_ready))
        known = [f"/{version}.ServerReflection/ServerReflectionInfo".encode() for version in self.versions]
        stream = FakeStream(self._answered if path in known else _unimplemented)
        self.streams.append(stream)
        return stream

    def _answered(self, request: Request) -> bytes | None:
        if self.failure is not None:
            raise self.failure
        return self.answer(request)

    def reflect(self, request: Request) -> bytes:
        """Answer as a sound backend does."""
        kind = request.WhichOneof("message_request")
        assert kind is not None
        asked: str = getattr(request, kind)
        self.questions.append(f"{kind} {asked}")
        response = Response()
        if kind == "list_services":
            for name in self._services if self._services is not None else self._homes:
                response.list_services_response.service.add(name=name)
            return response.SerializeToString()
        data = self._homes.get(asked) if kind == "file_containing_symbol" else self._files.get(asked)
        if data is None:
            response.error_response.error_code = int(Code.NOT_FOUND)
            response.error_response.error_message = f"{asked} not found"
        else:
            response.file_descriptor_response.file_descriptor_proto.append(data)
        return response.SerializeToString()


def _unimplemented(request: Request) -> bytes | None:
    raise GatewayError(Code.UNIMPLEMENTED, "unknown service", source=Source.UPSTREAM)
