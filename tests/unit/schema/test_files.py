"""Files of a schema: each once, within bounds, and which are missing."""

from __future__ import annotations

import pytest

from api_gateway.schema import SchemaError, files, missing_imports

from .scenes import MESSAGE, SERVICE, build, proto, refusal


def test_semantics_43_missing_imports_are_named() -> None:
    assert missing_imports([SERVICE.SerializeToString()]) == {"m.proto"}
    assert missing_imports([SERVICE.SerializeToString(), MESSAGE.SerializeToString()]) == set()


def test_a_file_is_read_once_however_often_it_comes() -> None:
    data = MESSAGE.SerializeToString()
    found = files.read_files([data, SERVICE.SerializeToString(), data])
    assert list(found) == ["m.proto", "s.proto"]
    assert found["m.proto"].data == data
    assert found["m.proto"].descriptor.message_type[0].name == "M"


def test_semantics_43_file_with_other_content_is_refused() -> None:
    """G66."""
    other = proto("m.proto", messages=("M", "N"))
    assert refusal(MESSAGE, other, services=()) == "file m.proto came twice with different content"


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x7f", b"\x0a\x01\xff"], ids=["tag", "cut", "not UTF-8"])
def test_what_is_no_file_descriptor_is_refused(data: bytes) -> None:
    with pytest.raises(SchemaError, match=r"^not a file descriptor: "):
        files.read_files([data])


def test_semantics_43_number_of_files_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """G66."""
    monkeypatch.setattr(files, "MAX_FILES", 3)
    made = [proto(f"{number}.proto") for number in range(4)]
    build(*made[:3], services=())
    assert refusal(*made, services=()) == "more than 3 files"


def test_semantics_43_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """G66."""
    size = MESSAGE.ByteSize()
    monkeypatch.setattr(files, "MAX_SCHEMA_BYTES", size)
    build(MESSAGE, services=())
    assert refusal(MESSAGE, MESSAGE, services=()) == f"descriptors are larger than {size} bytes together"
