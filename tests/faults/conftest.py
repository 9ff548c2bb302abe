"""What tests of faults start from."""

from __future__ import annotations

from tests.support.backends import grpcio_backend

__all__ = ["grpcio_backend"]
