"""What end-to-end tests start from."""

from __future__ import annotations

from tests.support.backends import backend, grpcio_backend, grpclib_backend, node_backend

__all__ = ["backend", "grpcio_backend", "grpclib_backend", "node_backend"]
