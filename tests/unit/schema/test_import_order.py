"""The order of files: imports first, no cycles, and a cost that stays linear."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from api_gateway.schema.files import read_files
from api_gateway.schema.import_order import in_import_order

from .scenes import MESSAGE, SERVICE, build, proto, refusal


def test_imports_come_first_and_are_taken_out() -> None:
    files = [proto("top.proto", "s.proto", "m.proto"), SERVICE, MESSAGE]
    ordered = in_import_order(read_files(file.SerializeToString() for file in files))
    assert [file.name for file in ordered] == ["m.proto", "s.proto", "top.proto"]
    assert [list(file.dependency) for file in ordered] == [[], [], []]


def test_semantics_43_missing_import_is_named() -> None:
    assert refusal(SERVICE) == "imported file m.proto is missing"


@pytest.mark.parametrize("length", [1, 2, 5])
def test_semantics_43_import_cycle_is_refused(length: int) -> None:
    """G66."""
    files = [proto(f"{at}.proto", f"{(at + 1) % length}.proto") for at in range(length)]
    assert "imports itself" in refusal(*files, services=())


def calls(*files: FileDescriptorProto) -> int:
    """Count the function calls of building a schema: a measure of work that no busy machine changes."""
    count = 0

    def profile(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        build(*files, services=())
    finally:
        sys.setprofile(before)
    return count


def test_diamond_of_imports_is_not_walked_again_and_again() -> None:
    """Each file imports all before it: twice as many files make four times the imports, but 2^10 times the ways."""

    def diamond(count: int) -> list[FileDescriptorProto]:
        names = [f"{number}.proto" for number in range(count)]
        return [proto(name, *names[:number], messages=(f"M{number}",)) for number, name in enumerate(names)]

    assert calls(*diamond(20)) < 5 * calls(*diamond(10))


def test_chain_of_imports_needs_no_stack() -> None:
    files = [proto("0.proto")] + [proto(f"{at}.proto", f"{at - 1}.proto") for at in range(1, 3_000)]
    build(*files, services=())
    build(*reversed(files), services=())
