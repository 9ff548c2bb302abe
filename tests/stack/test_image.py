"""The Dockerfile's steps without a container engine: done one by one in clean folders, and what they give is run.

What they download is taken from the environment of the tests instead, and no compiler is found, for it takes minutes;
with `IMAGE_COMPILES=1` (`make image`) the request path is compiled as in the image.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.dockerfile import Stage, copy, in_context, read_stages
from tests.support.backends import Backend, grpcio_backend
from tests.support.gateway import listening_event, serving, write_config
from tests.support.processes import ROOT, ChildProcess

__all__ = ["grpcio_backend"]

COMPILES = os.environ.get("IMAGE_COMPILES") == "1"
BUILD_TIMEOUT_S = 900


@pytest.fixture(scope="module")
def stages() -> dict[str, Stage]:
    """The stages of the Dockerfile."""
    return read_stages()


@pytest.fixture(scope="module")
def environment(stages: dict[str, Stage], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`/opt/gateway` as the stage `build` leaves it, with our packages in the place of the downloaded ones."""
    place = tmp_path_factory.mktemp("image")
    source, gateway = place / "source", place / "gateway"
    listed = subprocess.run(("git", "ls-files"), cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [file for line in listed.splitlines() if in_context(file := Path(line)) and (ROOT / file).exists()]
    build = stages["build"]
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", gateway), check=True)
    (packages,) = gateway.glob("lib/python*/site-packages")
    (packages / "of_the_tests.pth").write_text(sysconfig.get_path("purelib"))
    for argument in build.arguments("COPY"):
        copy(argument, files, source)
    (script,) = (step for step in build.arguments("RUN") if "pip wheel" in step)
    for path, ours in (("/opt/build/bin/python", sys.executable), ("/opt/gateway", gateway), ("/dist", place / "dist")):
        script = script.replace(path, str(ours))
    path = os.environ["PATH"] if COMPILES else str(place / "nothing")
    done = subprocess.run(
        ("/bin/sh", "-euc", script),
        cwd=source,
        env={"PATH": path},
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return gateway


@pytest.fixture(scope="module")
def serving_image(
    stages: dict[str, Stage], environment: Path, grpcio_backend: Backend, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ChildProcess]:
    """What `docker run` starts, with the port and the configuration of this test."""
    directory = tmp_path_factory.mktemp("run")
    write_config(directory / "gateway.yaml", serving(grpcio_backend.endpoint))
    final = stages["gateway"]
    command = json.loads(final.arguments("ENTRYPOINT")[0]) + json.loads(final.arguments("CMD")[0])
    variables = {
        "PATH": str(environment / "bin"),
        "GATEWAY_CONFIG_PATH": str(directory / "gateway.yaml"),
        "PYTHONPATH": "",
    }
    program = environment / "bin" / command[0]
    with ChildProcess((str(program), *command[1:], "--port", "0"), environment=variables) as process:
        process.wait_until_ready(listening_event)
        yield process


def test_the_image_serves(serving_image: ChildProcess, stages: dict[str, Stage], environment: Path) -> None:
    """On every network, and well by the image's own health check, which fails once nobody answers."""
    assert serving_image.ready["host"] == "0.0.0.0"
    check = stages["gateway"].arguments("HEALTHCHECK")[0].partition("CMD ")[2]
    command = json.loads(check)

    def is_healthy(port: int) -> bool:
        url = f"http://127.0.0.1:{port}/health/live"
        program = (str(environment / "bin" / command[0]), *command[1:])
        return not subprocess.run(program, env={"GATEWAY_HEALTH_URL": url}, capture_output=True, timeout=30).returncode

    assert is_healthy(serving_image.ready["port"])
    assert not is_healthy(1)


def test_it_runs_what_was_built_and_no_other_copy(environment: Path) -> None:
    code = "import api_gateway as whole; from api_gateway.proxy import request; print(whole.__file__, request.__file__)"
    python = str(environment / "bin" / "python")
    done = subprocess.run(
        (python, "-c", code), cwd="/", env={}, capture_output=True, text=True, check=True
    ).stdout.split()
    assert all(Path(line).is_relative_to(environment) for line in done)
    assert done[1].endswith(".so") == COMPILES


def test_versions_of_packages_are_pinned_by_their_hashes(stages: dict[str, Stage]) -> None:
    for stage in stages.values():
        for script in stage.arguments("RUN"):
            for step in script.split("&&"):
                if "pip" in shlex.split(step) and "install" in step and "--no-index" not in step:
                    assert "--require-hashes" in step, step
                    assert "--no-deps" in step, f"pip would look for newer releases: {step}"
    pins = {
        name: set(re.findall(r"^\w[\w.-]*==\S+", (ROOT / f"requirements/{name}.txt").read_text(), re.M))
        for name in ("run", "build", "dev")
    }
    assert pins["run"] <= pins["build"] <= pins["dev"], "run make lock"


def test_it_is_small_and_nobody_is_root(stages: dict[str, Stage]) -> None:
    """No compiler, no pip and no sources in what is shipped."""
    final, base = stages["gateway"], stages["base"]
    assert (final.parent, base.parent) == ("base", "python:3.11-slim")
    assert list(stages)[-1] == "gateway"
    assert base.arguments("USER") == ["10001:10001"]
    assert not any("apt-get" in step for stage in (final, base) for step in stage.arguments("RUN"))
    assert final.arguments("COPY") == ["--from=build /opt/gateway /opt/gateway"]
    assert "--without-pip" in " ".join(stages["build"].arguments("RUN"))


def test_bases_are_named_without_a_registry(stages: dict[str, Stage]) -> None:
    for stage in stages.values():
        assert re.fullmatch(r"python:3\.\d+-slim|[a-z-]+", stage.parent)


@pytest.mark.parametrize(
    ("file", "is_in"),
    [
        ("src/api_gateway/app/gateway.py", True),
        ("requirements/run.txt", True),
        ("requirements/run.in", False),
        ("src/api_gateway/__pycache__/proxy.pyc", False),
        ("src/api_gateway/transcoding/_native.so", False),
        (".git/config", False),
        ("config/gateway-config.yaml", False),
    ],
)
def test_what_the_build_sees(file: str, is_in: bool) -> None:
    assert in_context(Path(file)) == is_in
