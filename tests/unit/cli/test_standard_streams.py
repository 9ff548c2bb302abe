"""Closed standard streams, in processes of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.processes import python_environment

CODE = """
import os, sys
from api_gateway.cli.standard_streams import occupy_closed_streams
occupy_closed_streams()
def writes(fd):
    try:
        return os.write(fd, b"") == 0 and os.write(fd, b"x") == 1
    except OSError:
        return False
file = os.open(os.devnull, os.O_RDONLY)
print("lost", file=sys.stdout)
print("lost", file=sys.stderr)
sys.exit(10 * writes(1) + (file > 2) + 2 * writes(2))
"""


@pytest.mark.parametrize(
    ("redirection", "expected"),
    [
        pytest.param(">/dev/null 2>/dev/null", 13, id="all open"),
        pytest.param("2>/dev/null >&-", 3, id="standard output closed"),
        pytest.param(">/dev/null 2>&-", 13, id="standard error closed"),
        pytest.param("<&- >&- 2>&-", 3, id="all closed"),
    ],
)
def test_no_other_file_gets_their_numbers(redirection: str, expected: int) -> None:
    """D12: and what is written to a closed standard output fails, so that it is counted as lost."""
    command = ("sh", "-c", f'exec "$0" -c "$1" {redirection}', sys.executable, CODE)
    assert subprocess.run(command, env=python_environment(), check=False, timeout=30).returncode == expected
