"""Reads the Dockerfile as far as ours goes: stages, and the instructions in each."""

from __future__ import annotations

import fnmatch
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.processes import ROOT


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: where it begins and what it does, as pairs of instruction and argument."""

    name: str
    parent: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def arguments(self, instruction: str) -> list[str]:
        """Return the arguments of all instructions of a kind."""
        return [argument for each, argument in self.steps if each == instruction]


def read_stages() -> dict[str, Stage]:
    """Return the stages by name, in order."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    stages: dict[str, Stage] = {}
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        instruction, _, argument = line.partition(" ")
        if instruction == "FROM":
            parent, _, name = argument.partition(" AS ")
            stages[name] = Stage(name, parent)
        elif instruction:
            list(stages.values())[-1].steps.append((instruction, argument))
    return stages


def copy(argument: str, files: list[Path], target: Path) -> None:
    """Do what `COPY a b c/` does, with those of `files` (relative to the repository) that the context holds."""
    *sources, place = argument.split()
    for source in sources:
        found = [file for file in files if file == Path(source) or Path(source) in file.parents]
        assert found, f"COPY {source}: nothing of that name is in the build context"
        for file in found:
            inside = file.relative_to(source) if file != Path(source) else Path(file.name)
            destination = target / place / inside
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / file, destination)


def in_context(file: Path) -> bool:
    """Whether `.dockerignore` lets a file into the build; the last pattern that fits decides."""
    is_in = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!").removeprefix("**/")
        names = [str(file), *map(str, file.parents)] if not line.startswith("**/") else [file.name, *file.parts]
        if any(fnmatch.fnmatchcase(name, pattern) for name in names):
            is_in = line.startswith("!")
    return is_in
