"""One route, with everything about it that can be known before a request comes."""

from __future__ import annotations

from dataclasses import dataclass

from protobuf import Registry

from ..model.policy import Policy
from ..model.upstream import Upstream
from ..schema import Method
from ..transcoding.binding import Binding
from ..transcoding.json_codec import Encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What a matched request needs. Made when the route table is built, shared by all its requests."""

    template: str
    """The label in metrics and logs (`/api/users/:id`)."""
    verb: str
    service: str
    """Name of the service in metrics and logs."""
    method: Method
    grpc_path: bytes
    """`/package.Service/Method`."""
    timeout_s: float
    """Smaller of the server's, the service's and the route's; of a stream the route's, or the service's for streams."""
    idle_timeout_s: float
    """How long a stream of requests may stand still in both directions."""
    body_limit_bytes: int
    binding: Binding
    frames: Binding | None
    """Makes messages of WebSocket frames; None where there are none: unary methods, and raw bytes."""
    encoder: Encoder
    registry: Registry
    """Types of the service, for error details."""
    channel: Upstream
    is_idempotent: bool
    """Whether a call that failed may be tried again (semantics 31)."""
    policies: tuple[Policy, ...]
