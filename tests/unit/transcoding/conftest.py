"""Schemas that the tests of transcoding share."""

from __future__ import annotations

import pytest

from api_gateway.schema import Schema
from tests.support.descriptors import schema_of


@pytest.fixture(scope="session")
def schema() -> Schema:
    """Every kind of field, proto2 and editions included."""
    return schema_of("everything.proto", "legacy.proto", "modern.proto")
