"""Process trees are measured whole and end with the block that started them."""

from __future__ import annotations

import sys

import pytest

from bench.processes import BenchError, CpuTime, cpu_spent, find_tool, running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

FORKS = "import os, sys, time; child = os.fork(); print('ready', flush=True); time.sleep(60)"


def test_tree_is_measured_whole_and_ends_with_the_block() -> None:
    with running("forks", [sys.executable, "-c", FORKS]) as child:
        child.wait_until(lambda: child.output.count("ready") == 2)
        pids = set(child.cpu())
        assert len(pids) == 2
        assert child.memory().rss_bytes >= child.memory().pss_bytes > 0
    assert child.cpu() == {}


def test_command_that_ends_early_is_reported_with_its_output() -> None:
    with (
        running("broken", [sys.executable, "-c", "print('no such file'); raise SystemExit(3)"]) as child,
        pytest.raises(BenchError, match=r"ended with code 3"),
    ):
        child.wait_until(lambda: False)
    assert "no such file" in child.output


def test_cpu_time_of_a_changed_tree_is_unknown() -> None:
    before, after = {1: CpuTime(1.0, 0.5), 2: CpuTime(2.0, 1.0)}, {1: CpuTime(1.5, 0.5), 2: CpuTime(2.25, 2.0)}
    assert cpu_spent(before, after) == CpuTime(0.75, 1.0)
    with pytest.raises(BenchError, match="came or went"):
        cpu_spent({1: CpuTime(1.0, 0.0)}, after)


def test_missing_tool_names_the_script_that_installs_it() -> None:
    with pytest.raises(BenchError, match="scripts/install-system-packages"):
        find_tool("no-such-load-generator")
