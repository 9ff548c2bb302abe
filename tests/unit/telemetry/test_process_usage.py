"""What the process says of itself, compared with what it did."""

from __future__ import annotations

from pathlib import Path

import pytest

from api_gateway.telemetry import process_usage
from api_gateway.telemetry.process_usage import cpu_s, resident_bytes


def test_work_takes_processor_time() -> None:
    before_s = cpu_s()
    assert sum(number * number for number in range(200_000))
    assert cpu_s() > before_s


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
def test_memory_that_is_used_is_seen() -> None:
    before = resident_bytes()
    block = bytearray(64 * 1024 * 1024)
    block[::4096] = b"x" * len(block[::4096])
    assert resident_bytes() - before > 32 * 1024 * 1024


def test_without_proc_there_is_no_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process_usage, "_STATM", tmp_path / "absent")
    assert resident_bytes() == 0
