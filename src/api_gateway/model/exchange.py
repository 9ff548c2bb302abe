"""One request on its way through the gateway, from its first byte to the last of its answer."""

from __future__ import annotations

from .message import HeaderList, Request
from .trace import Trace


class Exchange:
    """What is known about one request. The parts it passes fill it in; telemetry reads it once, at the end."""

    __slots__ = (
        "attempts",
        "called_s",
        "client_address",
        "client_key",
        "deadline_s",
        "duration_s",
        "error_detail",
        "error_reason",
        "grpc_code",
        "metadata",
        "request",
        "request_id",
        "response_headers",
        "roles",
        "route",
        "service",
        "span_id",
        "status",
        "trace",
        "trace_id",
        "trace_sampled",
        "user_id",
    )

    def __init__(self, request: Request) -> None:
        self.request = request
        self.request_id = ""
        self.client_address = request.peer
        """Address that counts for limits and logs; `policy/client_address.py` decides it."""
        self.client_key = b""
        """What limits count by: the packed IPv4 address, or the first 64 bits of the IPv6 address."""
        self.route = ""
        """Template of the matched route (`/api/users/:id`), empty when none matched."""
        self.service = ""
        self.deadline_s = 0.0
        """Monotonic time at which the request must have ended."""
        self.called_s = 0.0
        """Monotonic time at which the backend's call began, 0 while it has not."""
        self.metadata: HeaderList = []
        """Request metadata for the backend, added by policies (identity) and tracing."""
        self.response_headers: HeaderList = []
        """Headers for the client, added by policies (limits, CORS) and tracing; errors carry them too."""
        self.user_id = ""
        self.roles: tuple[str, ...] = ()
        self.trace_id = ""
        self.span_id = ""
        self.trace_sampled = False
        self.trace: Trace | None = None
        """Its recording; None when its spans are not exported."""
        self.status = 0
        """HTTP status sent, 0 until then."""
        self.attempts = 0
        """Times the backend was called, 0 when it was not."""
        self.grpc_code: int | None = None
        """gRPC status the backend's call ended with; None when no backend was called."""
        self.error_reason = ""
        """UPPER_SNAKE reason when it failed, for the log."""
        self.error_detail = ""
        """What only the log may tell of the failure."""
        self.duration_s = 0.0
