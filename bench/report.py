"""Results as tables, for the terminal and for `docs/benchmarks.md`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.machine import Setting
from bench.run import Outcome

BEGIN: Final = "<!-- written by `python -m bench --write`: begin -->"
END: Final = "<!-- written by `python -m bench --write`: end -->"

_RESULT_HEAD: Final = (
    "case",
    "load",
    "target",
    "CPU us/request",
    "in kernel",
    "ratio (lowest to highest)",
    "promise",
    "requests/s",
    "p50 ms",
    "p99 ms",
)
_MEMORY_HEAD: Final = ("target", "idle RSS MiB", "idle PSS MiB", "RSS after load MiB")
_MIB: Final = 1024 * 1024

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Head and rows."""


def result_table(outcome: Outcome) -> Table:
    """Return one row for each target under each case."""
    rows = []
    for case in outcome.plan.cases:
        for key in case.targets:
            summary = outcome.summaries.get((case.name, key))
            if summary is None:
                continue
            ratio, promise = "", ""
            if summary.ratio is not None:
                ratio = f"{summary.ratio.middle:.2f} ({summary.ratio.low:.2f} to {summary.ratio.high:.2f})"
                kept = (
                    _promise(case.promise, summary.ratio.middle, "{:.2f}"),
                    _promise(case.most_us, summary.cpu_us, "{:.0f} us"),
                    _promise(case.more_us, summary.extra_us or 0.0, "{:.0f} us more"),
                )
                promise = ", ".join(filter(None, kept))
            what = (f"{case.name}: {case.title}", case.load.label, outcome.plan.targets[key].title)
            figures = (f"{summary.requests_per_s:,.0f}", f"{summary.p50_ms:.2f}", f"{summary.p99_ms:.2f}")
            cost = (f"{summary.cpu_us:.1f}", f"{summary.system_us:.1f}")
            rows.append((*what, *cost, ratio, promise, *figures))
    return _RESULT_HEAD, rows


def _promise(promise: float | None, measured: float, shown: str) -> str:
    return "" if promise is None else f"at most {shown.format(promise)}: {'kept' if measured <= promise else 'MISSED'}"


def memory_table(outcome: Outcome) -> Table:
    """Return one row for each target."""
    rows = []
    for key, idle in outcome.idle.items():
        figures = (idle.rss_bytes, idle.pss_bytes, outcome.loaded[key].rss_bytes)
        rows.append((outcome.plan.targets[key].title, *(f"{value / _MIB:.1f}" for value in figures)))
    return _MEMORY_HEAD, rows


def bytes_per_route(outcome: Outcome) -> float | None:
    """Return what one more route costs in resident memory, or None when the large table was not measured."""
    few, many = outcome.idle.get("gateway"), outcome.idle.get("gateway-many")
    if few is None or many is None:
        return None
    more_routes = outcome.plan.targets["gateway-many"].routes - outcome.plan.targets["gateway"].routes
    return (many.rss_bytes - few.rss_bytes) / more_routes if more_routes > 0 else None


def plain(table: Table) -> str:
    """Align the columns of a table with spaces."""
    head, rows = table
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in (head, *rows))
    return "\n".join("  ".join(row).rstrip() for row in padded)


def markdown(table: Table) -> str:
    """Write a table as Markdown."""
    head, rows = table
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in lines)


def terminal_report(outcome: Outcome, setting: Setting) -> str:
    """Return everything for a terminal."""
    parts = [plain(result_table(outcome)), plain(memory_table(outcome)), *_per_route(outcome), *setting.lines()]
    return "\n\n".join(parts[:2]) + "\n\n" + "\n".join(parts[2:])


def document_section(outcome: Outcome, setting: Setting) -> str:
    """Return the part of `docs/benchmarks.md` between the markers."""
    facts = [f"- {line}" for line in (*_per_route(outcome), *setting.lines())]
    return "\n\n".join([markdown(result_table(outcome)), markdown(memory_table(outcome)), "\n".join(facts)])


def _per_route(outcome: Outcome) -> list[str]:
    cost_bytes = bytes_per_route(outcome)
    return [] if cost_bytes is None else [f"Memory per route: {cost_bytes / 1024:.2f} KiB"]


def write_between_markers(path: Path, section: str) -> None:
    """Replace what stands between the markers of a file. Raises ValueError when a marker is missing."""
    text = path.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path}: expected the lines {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n\n{section}\n\n{END}{after}")
