"""One request of the comparison, and how the backend answers it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import quote

from tests.support.recording_backend import Reply

Fields = tuple[tuple[str, str], ...]
JSON: Fields = (("content-type", "application/json"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A request, byte for byte."""

    area: str
    """What it is about; the list of intended differences is written by areas."""
    method: str = "GET"
    target: str
    """As it stands on the wire, each character one byte."""
    headers: Fields = ()
    body: bytes | None = None
    """None: the request has none, and does not say how long it is."""
    reply: Reply | None = None
    """None: the backend echoes."""

    @property
    def path(self) -> str:
        """The target before the question mark."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The target behind the question mark."""
        return self.target.partition("?")[2]

    def wire(self, probe: str) -> bytes:
        """Return the request's bytes, marked so that the backend knows it through either gateway."""
        # Ours passes on what is asked for with `grpc-metadata-`, Envoy passes on everything.
        fields = [("host", "gateway.test"), ("probe", probe), ("grpc-metadata-probe", probe), *self.headers]
        if self.body is not None:
            fields.append(("content-length", str(len(self.body))))
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (self.body or b"")


def get(area: str, target: str) -> Case:
    """A GET that the backend echoes."""
    return Case(area=area, target=target)


def post(area: str, target: str, body: bytes | str, *, method: str = "POST", headers: Fields = JSON) -> Case:
    """A request with a body, which is JSON unless `headers` say otherwise."""
    content = body.encode() if isinstance(body, str) else body
    return Case(area=area, method=method, target=target, body=content, headers=headers)


def escaped(text: str) -> str:
    """Percent-encode everything that is not unreserved."""
    return quote(text, safe="")


def quoted(text: str) -> str:
    """Return a JSON string."""
    return json.dumps(text)
