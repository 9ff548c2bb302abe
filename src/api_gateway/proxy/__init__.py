"""What happens to a request: `request.py` tells it from top to bottom, `streamed.py` takes over calls with streams."""

from __future__ import annotations

from .parts import Endpoint
from .request import Proxy

__all__ = ["Endpoint", "Proxy"]
