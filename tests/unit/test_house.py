"""The rules of the house that no linter knows. Each failure names the files and the way out."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "api_gateway"
UNIT_TESTS = ROOT / "tests" / "unit"
MAX_LINES = 450

WITHOUT_OWN_TEST = {
    "__main__.py": "one call; the end-to-end tests start the gateway by it",
    "grpc/connectivity.py": "numbers, a list of states, a protocol, and a class that does nothing",
    "http2/handlers.py": "protocols: nothing in them runs, and the type check holds them against the calls",
    "model/policy.py": "a protocol: nothing in it runs, and the type check holds it against its classes",
    "model/websocket.py": "protocols and frozen values: nothing in them runs",
    "proxy/parts.py": "protocols: nothing in them runs, and the type check holds them against the parts",
    "model/upstream.py": "protocols: nothing in them runs, and the type check holds them against the channel",
}
"""Modules without a test file of the same name, each with the reason."""

FORBIDDEN_WORDS = {
    "base",
    "common",
    "core",
    "helper",
    "helpers",
    "manager",
    "managers",
    "misc",
    "tools",
    "util",
    "utils",
}
"""Names that say nothing; a file is named after its one subject."""

DISTRIBUTIONS = {
    "google.api": "googleapis-common-protos",
    "google.protobuf": "protobuf",
    "google.rpc": "googleapis-common-protos",
    "grpc": "grpcio",
    "grpc_health": "grpcio-health-checking",
    "grpc_reflection": "grpcio-reflection",
    "jwt": "pyjwt",
    "prometheus_client": "prometheus-client",
    "protobuf": "protobuf-py",
    "pydantic_core": "pydantic",
    "yaml": "pyyaml",
}
"""Packages whose import name is not the name they are installed by."""

IGNORE = re.compile(r"#\s*(type: ignore|noqa|pragma: no)")
IGNORE_WITH_REASON = re.compile(
    r"#\s*(type: ignore\[[\w-]+(, ?[\w-]+)*\]|noqa: [A-Z]+\d+(, ?[A-Z]+\d+)*|pragma: no (cover|branch))\s+([-#]+ ?)?\w"
)


def python_files(*folders: str) -> list[Path]:
    return [path for path in all_python_files(*folders) if not path.stem.endswith(("_pb2", "_pb2_grpc"))]


def all_python_files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def listing(way_out: str, offenders: list[str]) -> str:
    return "\n  ".join([f"{way_out}:", *offenders])


EVERYTHING = python_files("src", "tests", "bench", "scenarios", "scripts")
MODULES = [path for path in python_files("src") if path.name != "__init__.py"]


def test_every_module_has_a_test_file_of_its_name() -> None:
    """`grpc/framing.py` is tested in `grpc/test_framing.py`; if that grows long, in `grpc/test_framing_<aspect>.py`."""
    mirrors = {mirror_of(module) for module in MODULES}
    missing = [
        named(module)
        for module in MODULES
        if module.relative_to(SOURCE).as_posix() not in WITHOUT_OWN_TEST and not has_test(mirror_of(module), mirrors)
    ]
    assert not missing, listing("write their tests, or give the reason in WITHOUT_OWN_TEST", missing)


def test_modules_without_a_test_exist_and_have_none() -> None:
    modules = [SOURCE / name for name in WITHOUT_OWN_TEST]
    assert [named(module) for module in modules if not module.exists() or mirror_of(module).exists()] == []


def mirror_of(module: Path) -> Path:
    inside = module.relative_to(SOURCE)
    return UNIT_TESTS / inside.with_name(f"test_{inside.name}")


def has_test(mirror: Path, mirrors: set[Path]) -> bool:
    return mirror.exists() or any(path not in mirrors for path in mirror.parent.glob(f"{mirror.stem}_*.py"))


def test_files_have_a_bounded_length() -> None:
    lines = {named(path): path.read_text(encoding="utf-8").count("\n") for path in EVERYTHING}
    too_long = [f"{name}: {count} lines" for name, count in lines.items() if count > MAX_LINES]
    assert not too_long, listing("make folders of them, or move their second subject out", too_long)


def test_names_say_what_is_inside() -> None:
    words = {named(path): set(re.split(r"[/_.]", named(path))) & FORBIDDEN_WORDS for path in EVERYTHING}
    assert {name: found for name, found in words.items() if found} == {}


def test_files_begin_with_what_lives_there() -> None:
    """A docstring, as documentation tools and readers show it."""
    missing = [named(path) for path in EVERYTHING if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))]
    assert not missing, listing("begin with a docstring of one to five lines", missing)


def test_nothing_is_left_for_later() -> None:
    """What is not done is in an issue, with an owner; not in a comment."""
    mark = re.compile(r"#.*\b(TO" r"DO|FIX" r"ME|X" r"XX)\b")
    assert [named(path) for path in EVERYTHING if mark.search(path.read_text(encoding="utf-8"))] == []


def test_every_ignore_names_its_code_and_its_reason() -> None:
    """A reason tells the next reader when the ignore may go: `# noqa: S311 - spreads load, no secret`."""
    bare = [
        f"{named(path)}:{number}"
        for path in EVERYTHING
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if IGNORE.search(line) and not IGNORE_WITH_REASON.search(line)
    ]
    assert not bare, listing("write the code, then the reason", bare)


def test_every_folder_with_modules_is_a_package() -> None:
    """Two test files of one name clash, and checks skip modules, where `__init__.py` is missing."""
    folders = {path.parent for path in EVERYTHING}
    assert [named(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_everything_imported_at_run_time_is_declared() -> None:
    """A library that only the tests install would be missing from every real installation."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    run = {package_of(entry) for entry in project["dependencies"]}
    demo = run | {package_of(entry) for entry in project["optional-dependencies"]["demo"]}
    undeclared = [
        f"{named(module)}: {name}"
        for module in all_python_files("src")
        for name in imported_packages(module)
        if DISTRIBUTIONS.get(name, name) not in (demo if module.is_relative_to(SOURCE / "demo") else run)
    ]
    assert not undeclared, listing("add to pyproject.toml and requirements/run.in, then `make lock`", undeclared)


def test_every_dependency_is_used() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    used = {DISTRIBUTIONS.get(name, name) for module in python_files("src") for name in imported_packages(module)}
    assert {package_of(entry) for entry in project["dependencies"]} - used == set()


def imported_packages(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        for name in names:
            first, _, rest = name.partition(".")
            if first not in sys.stdlib_module_names and first != "api_gateway":
                # Several distributions share the package `google`.
                yield f"google.{rest.partition('.')[0]}" if first == "google" else first


def package_of(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement)[0].lower()


@pytest.mark.parametrize("name", ["run", "demo", "dev", "bench"])
def test_requirements_are_pinned_and_name_no_place(name: str) -> None:
    """`make lock` writes them; an address in them would only work where they were written."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^[a-z0-9][\w.-]*==\S+.*\\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^[A-Za-z0-9]", text, re.MULTILINE)) > 0
    assert not re.search(r"://|@ |--(index|find|extra|trusted)|\s/\w", text)


def test_pins_are_installed_and_nothing_else() -> None:
    """Resolved again, `pytest-cov` asks for `coverage[toml]`, whose newest release no pin and no hash allow."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    installs = [line for line in makefile.splitlines() if "pip install" in line and " -r " in line]
    assert installs
    assert [line for line in installs if "--no-deps" not in line or "--require-hashes" not in line] == []
    assert "-m pip check" in makefile, "without the resolver nothing else finds a pin that is missing"


def test_pins_agree_between_the_sets() -> None:
    """One environment serves all targets, so the sets must not fight over it."""
    versions: dict[str, set[str]] = {}
    for path in (ROOT / "requirements").glob("*.txt"):
        for package, version in re.findall(r"^([\w.-]+)==([^\s;]+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            versions.setdefault(package, set()).add(version)
    assert {package: found for package, found in versions.items() if len(found) > 1} == {}


def test_every_declared_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {"run": project["dependencies"], **project["optional-dependencies"]}
    for name, requirements in declared.items():
        text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").lower()
        pinned = set(re.findall(r"^([\w.-]+)==", text, re.MULTILINE))
        missing = {package_of(entry) for entry in requirements} - pinned - {"api-gateway"}
        assert not missing, f"run `make lock`: they are not in requirements/{name}.txt"
