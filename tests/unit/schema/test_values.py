"""What methods and schemas say about themselves."""

from __future__ import annotations

import pytest

from tests.support.descriptors import schema_from_text

TEXT = """
    syntax = "proto3";
    package p;
    message M {}
    service S { rpc Do(M) returns (M); rpc Watch(M) returns (stream M); }
    service T { rpc Do(M) returns (M); }
"""


def test_methods_come_service_by_service_with_their_full_names() -> None:
    assert [method.full_name for method in schema_from_text(TEXT).methods()] == ["p.S/Do", "p.S/Watch", "p.T/Do"]


@pytest.mark.parametrize(("name", "expected"), [("Do", True), ("Watch", False)])
def test_unary_is_one_message_each_way(name: str, expected: bool) -> None:
    (method,) = (method for method in schema_from_text(TEXT).services["p.S"].methods if method.name == name)
    assert method.is_unary is expected
