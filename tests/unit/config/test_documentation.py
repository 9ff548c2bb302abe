"""What is written about the settings is true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_gateway.config.keys import known_keys, section_at
from api_gateway.config.loader import load_settings
from api_gateway.config.problem import ConfigError, KeyPath
from api_gateway.config.section import Section
from api_gateway.config.settings import Settings
from scripts.configuration_reference import DOCUMENT, renewed, tables

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "config" / "gateway-config.yaml"


def sections(section: type[Section] = Settings, path: KeyPath = ()) -> Iterator[tuple[KeyPath, type[Section]]]:
    yield path, section
    for name in section.model_fields:
        for inner in ((*path, name), (*path, name, "<key>"), (*path, name, 0)):
            below = section_at(inner)
            if below is not None:
                yield from sections(below, inner)


def test_tables_of_the_document_are_current() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert document == renewed(document), "run `make docs`"


@pytest.mark.parametrize(("path", "section"), [pytest.param(*pair, id=str(pair[0])) for pair in sections()])
def test_every_key_has_a_row_with_a_meaning(path: KeyPath, section: type[Section]) -> None:
    for name in section.model_fields:
        row = re.search(rf"^\| `{name}` \| [^|]+ \| [^|]+ \| (.+) \|$", tables(), re.MULTILINE)
        assert row is not None, (path, name)


def test_document_without_its_marks_is_not_overwritten() -> None:
    with pytest.raises(ValueError, match="lost the marks"):
        renewed("# Configuration\n")


def test_example_file_loads() -> None:
    settings = load_settings(EXAMPLE, environ={}).settings
    assert list(settings.services) == ["user-service"]


def test_example_file_loads_with_everything_commented_in(tmp_path: Path) -> None:
    """What a comment shows must be as right as the rest of the file."""
    text = EXAMPLE.read_text(encoding="utf-8")
    file = tmp_path / "g.yaml"
    file.write_text(re.sub(r"^( *)# ( *(?:- )?[\w-]+:.*|.*\{ \w+:.*)$", _comment_in, text, flags=re.MULTILINE))
    settings = load_settings(file, environ={}).settings
    assert settings.cors.enabled
    assert settings.auth is not None and settings.auth.jwt is not None and settings.auth.public_routes
    assert settings.body_limit.upload_paths and settings.trusted_proxies
    assert settings.services["payment-service"].tls_client_key_path is not None


def _comment_in(match: re.Match[str]) -> str:
    key = re.sub(r"[-{ ]*([\w-]+):.*", r"\1", match[2])
    every_key = {name for path, _ in sections() for name in known_keys(path)} | {"payment-service"}
    return match[1] + match[2] if key in every_key else match[0]


def test_document_shows_mistakes_as_they_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("config/gateway-config.yaml")
    file.parent.mkdir()
    file.write_text('server:\n  port: 1\n  prt: 2\nservices:\n  users:\n    endpoint: "http://users"\n')
    with pytest.raises(ConfigError) as caught:
        load_settings(None, environ={"API_GATEWAY__LOG__LEVEL": "loud"})
    assert f"```text\n{caught.value}\n```" in DOCUMENT.read_text(encoding="utf-8")
