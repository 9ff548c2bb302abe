"""Documents: links that lead somewhere, pages that are found, examples that load, tables that agree with the code."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api_gateway import __version__
from api_gateway.config.loader import load_settings
from api_gateway.model.status import Code, http_status
from api_gateway.telemetry.access_log import AccessLog
from tests.unit.telemetry.capture import Capture, finished

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def links_of(page: Path) -> Iterator[str]:
    yield from LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8")))


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", DOCUMENTS, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links_of(page):
        if link.startswith("https://"):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", DOCUMENTS, ids=named)
def test_pages_belong_to_no_machine(page: Path) -> None:
    """Paths and addresses of the place where something was written help nobody else."""
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(work|home|root|tmp|Users)/", text)
    assert not re.search(r"pypi|pythonhosted|npmjs|deb\.debian", text, re.IGNORECASE)


def test_every_page_is_in_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link).resolve() for link in links_of(index)}
    assert [
        named(page) for page in (ROOT / "docs").glob("*.md") if page != index and page.resolve() not in linked
    ] == []


def examples() -> list[tuple[str, str]]:
    marked = re.compile(r"^<!-- is checked -->\n```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [(named(page), text) for page in DOCUMENTS for text in marked.findall(page.read_text(encoding="utf-8"))]


def test_marked_examples_are_right(tmp_path: Path) -> None:
    assert examples()
    for number, (_, text) in enumerate(examples()):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text, encoding="utf-8")
        assert load_settings(path, environ={}).settings.services


def test_make_targets_exist() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", text, re.MULTILINE))
    named_targets = {
        target for page in DOCUMENTS for target in re.findall(r"^make ([a-z]+)|`make ([a-z]+)`", page.read_text(), re.M)
    }
    assert {first or second for first, second in named_targets} <= targets


def test_statuses_are_those_of_the_table() -> None:
    """semantics 19: docs/transcoding.md shows them."""
    text = (ROOT / "docs" / "transcoding.md").read_text(encoding="utf-8")
    shown = {
        name: int(status)
        for names, status in re.findall(r"\| ([A-Z_]+(?:, [A-Z_]+)*)(?:, any other)? \| (\d{3})", text)
        for name in names.split(", ")
    }
    assert shown.pop("OK") == 200
    assert shown == {code.name: http_status(code) for code in Code if code is not Code.OK}


def test_changelog_and_package_know_the_same_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    newest = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[0]
    assert newest == project["version"] == __version__


def test_floors_are_those_that_are_enforced() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    for page in (ROOT / "CONTRIBUTING.md", ROOT / "docs" / "design.md"):
        found = re.search(r"^```\n(__main__ >.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        assert found is not None, page
        assert [floor.strip() for floor in re.sub(r"\s+", " ", found[1]).split(" > ")] == layers, page


def logged_events() -> Iterator[tuple[str, str]]:
    """Iterate over level and message of every event that the source logs."""
    for path in sorted((ROOT / "src" / "api_gateway").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=level), args=[message, *_]) if (
                    name.endswith("_log") and level in ("debug", "info", "warning", "error", "exception")
                ):
                    texts = (message.body, message.orelse) if isinstance(message, ast.IfExp) else (message,)
                    for text in texts:
                        assert isinstance(text, ast.Constant), f"{path}:{node.lineno}: messages are constant"
                        yield {"warning": "WARN", "exception": "ERROR"}.get(level, level.upper()), str(text.value)


def test_every_event_is_in_the_page_about_logs() -> None:
    """Messages and levels, and no others."""
    text = (ROOT / "docs" / "logging.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|[^|]*\| (`[^|]+`) \| (DEBUG|INFO|WARN|ERROR) \|", text, re.MULTILINE)
    shown = {(level, message) for messages, level in rows for message in re.findall(r"`([^`]+)`", messages)}
    logged = set(logged_events())
    assert len(logged) > 30
    assert shown == logged


def test_every_field_of_a_request_is_in_the_page_about_logs() -> None:
    facts: dict[str, Any] = {
        "trace_id": "1" * 32,
        "span_id": "1" * 16,
        "route": "/",
        "service": "s",
        "grpc_code": 0,
        "attempts": 2,
        "error_reason": "R",
        "error_detail": "d",
        "user_id": "u",
    }
    with Capture() as capture:
        AccessLog(capture.writer).record(finished(**facts))
        (line,) = capture.lines
    text = (ROOT / "docs" / "logging.md").read_text(encoding="utf-8")
    table = text[text.index("## Requests") : text.index("## Events")]
    rows = re.findall(r"^\| (`[^|]+`) \|", table, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row)} | {"message"} == set(line["fields"])
