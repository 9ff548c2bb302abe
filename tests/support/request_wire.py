"""A request reader without a connection: bytes in, what was read out."""

from __future__ import annotations

from dataclasses import dataclass, field

from api_gateway.edge.application import EdgeLimits
from api_gateway.edge.body import IncomingBody
from api_gateway.edge.request_reader import RequestReader

LIMITS = EdgeLimits(max_uri_bytes=100, max_header_bytes=1_024, max_header_count=10, max_pipelined=5)
"""Small enough to be reached by hand."""


@dataclass
class Clock:
    """A clock that the test turns."""

    now_s: float = 50.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Wire:
    """A reader and what its bodies ask of their connection."""

    limits: EdgeLimits = LIMITS
    clock: Clock = field(default_factory=Clock)
    pressures: int = 0

    def __post_init__(self) -> None:
        self.reader = RequestReader(
            self.limits,
            clock=self.clock,
            peer="192.0.2.7",
            is_tls=True,
            on_demand=lambda: None,
            on_pressure=self._press,
        )

    def _press(self) -> None:
        self.pressures += 1

    def receive(self, *segments: bytes) -> None:
        """Feed segments until something is refused."""
        for segment in segments:
            if self.reader.refusal is None:
                self.reader.feed(segment)

    @property
    def seen(self) -> list[tuple[str, ...]]:
        """What was read: method, path, query, version, and the body as far as it came."""
        return [
            (request.method, request.path, request.query, request.http_version, content(body))
            for request, body, _ in self.reader.requests
        ]

    @property
    def refused(self) -> tuple[int, str] | None:
        """Status and reason of the refusal, None while there is none."""
        error = self.reader.refusal
        if error is None:
            return None
        assert error.close, "what follows cannot be trusted"
        return error.http, error.reason


def content(body: IncomingBody | None) -> str:
    """Return a body's text, or what there is instead."""
    if body is None:
        return "no body"
    if not body.is_complete:
        return f"{body.received_bytes} bytes"
    read = body.read(10**9)
    assert isinstance(read, bytes)
    body.feed(read)  # so that it can be looked at again
    return read.decode("latin-1")


def read(*segments: bytes, limits: EdgeLimits = LIMITS) -> Wire:
    """Read segments."""
    wire = Wire(limits)
    wire.receive(*segments)
    return wire
