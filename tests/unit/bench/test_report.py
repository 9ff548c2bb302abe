"""Tables are aligned, and only what stands between the markers of the document is replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cases import CASES, targets
from bench.processes import Memory
from bench.report import BEGIN, END, bytes_per_route, markdown, plain, result_table, write_between_markers
from bench.results import Ratio, Summary
from bench.run import Outcome, Plan


def summary(cpu_us: float, ratio: float | None) -> Summary:
    middle = None if ratio is None else Ratio(middle=ratio, low=ratio - 0.01, high=ratio + 0.01)
    return Summary(cpu_us=cpu_us, system_us=cpu_us / 4, requests_per_s=12_345.6, p50_ms=1.5, p99_ms=2.5, ratio=middle)


def outcome(ratio: float) -> Outcome:
    memory = {"envoy": 60, "gateway": 50, "gateway-many": 50 + 9_990}
    idle = {key: Memory(rss_bytes=value * 1024, pss_bytes=value * 1024) for key, value in memory.items()}
    return Outcome(
        plan=Plan(cases=CASES[:1], targets=targets(10_000), rounds=1, seconds=1),
        summaries={("get-1", "envoy"): summary(100, None), ("get-1", "gateway"): summary(45, ratio)},
        idle=idle,
        loaded=idle,
    )


def test_plain_columns_are_aligned() -> None:
    assert plain((("a", "long"), [("wide", "x"), ("b", "")])) == "a     long\nwide  x\nb"


def test_markdown_escapes_the_column_mark() -> None:
    assert markdown((("a",), [("x|y",)])) == "| a |\n| --- |\n| x\\|y |"


@pytest.mark.parametrize(
    ("ratio", "verdict"), [pytest.param(0.75, "kept", id="kept"), pytest.param(0.76, "MISSED", id="missed")]
)
def test_row_says_whether_the_promise_was_kept(ratio: float, verdict: str) -> None:
    _, rows = result_table(outcome(ratio))
    assert [row[2] for row in rows] == ["Envoy", "gateway"]
    assert rows[0][5:7] == ("", "")
    assert rows[1][6] == f"at most 0.75: {verdict}"
    assert rows[1][7] == "12,346"


@pytest.mark.parametrize(
    ("cpu_us", "verdict"), [pytest.param(18.0, "kept", id="kept"), pytest.param(18.1, "MISSED", id="missed")]
)
def test_row_says_whether_the_cost_was_kept(cpu_us: float, verdict: str) -> None:
    transport = next(case for case in CASES if case.name == "transport")
    measured = {("transport", "grpcio"): summary(100, None), ("transport", "channel"): summary(cpu_us, 0.2)}
    plan = Plan(cases=(transport,), targets=targets(10_000), rounds=1, seconds=1)
    _, rows = result_table(Outcome(plan=plan, summaries=measured, idle={}, loaded={}))
    assert rows[1][6] == f"at most 0.25: kept, at most 18 us: {verdict}"


def test_memory_of_a_route_is_the_difference_of_the_two_tables() -> None:
    assert bytes_per_route(outcome(0.5)) == pytest.approx(1024)


def test_only_the_text_between_the_markers_is_replaced(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_between_markers(document, "new")
    assert document.read_text() == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"


@pytest.mark.parametrize("text", [pytest.param(END, id="no_begin"), pytest.param(BEGIN, id="no_end")])
def test_document_without_a_marker_is_left_alone(tmp_path: Path, text: str) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text(text)
    with pytest.raises(ValueError, match="expected the lines"):
        write_between_markers(document, "new")
    assert document.read_text() == text
