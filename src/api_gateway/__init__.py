"""API Gateway: HTTP/JSON clients on one side, gRPC services on the other."""

from __future__ import annotations

from typing import Final

__version__: Final = "0.1.0"
