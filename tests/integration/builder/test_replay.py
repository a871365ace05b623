"""`modelyard replay --image` with a real engine: the image answers, and its container is gone afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from tests.integration.builder.conftest import Builds
from tests.support.collected_rows import collected_row, write_rows

from modelyard.cli.main import main
from modelyard.replay.image import LABEL

DRIVER = """
import json, os, time
def init():
    if "BROKEN" in os.environ: raise ValueError("no model is here")
    time.sleep(float(os.environ.get("SECONDS_TO_LOAD", "0")))
def run(body): return {"sum": sum(json.loads(body)["data"]) + float(os.environ.get("MORE", "0"))}
"""
WINDOW = ["--namespace", "team", "--service", "m", "--from", "2026-11-03T08:00", "--to", "2026-11-03T09:00"]
ROWS = 200
WAIT_SECONDS = 60


@pytest.fixture
def image(builds: Builds) -> str:
    request = builds.request(driver=DRIVER)
    ran = builds.run(request)
    assert ran.code == 0, ran.log
    return f"{request.repository}@{ran.result.digest}"


@pytest.fixture
def arguments(builds: Builds, image: str) -> Callable[..., list[str]]:
    """The command line of a replay of ROWS rows. Arguments are the variables of the container."""
    store = builds.folder / "store"
    write_rows(store, [collected_row(n, {"data": [n, 1]}, {"sum": n + 1}) for n in range(ROWS)])

    def command(**variables: str) -> list[str]:
        file = builds.folder / "variables"
        file.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        report = builds.folder / "report.json"
        options = ["--image", image, "--env-file", str(file), "--json", str(report)]
        return ["replay", str(store), *WINDOW, *options]

    return command


@pytest.fixture
def containers(engine: docker.DockerClient, image: str) -> Callable[[], list[str]]:
    """Return the ids of the containers of replays of the image."""
    filters = {"label": LABEL, "ancestor": image}
    return lambda: [found["Id"] for found in engine.api.containers(all=True, filters=filters)]


def test_image_is_asked_and_its_container_is_removed(
    builds: Builds, arguments: Callable[..., list[str]], containers: Callable[[], list[str]]
) -> None:
    assert main(arguments()) == 0
    report = builds.folder / "report.json"
    assert json.loads(report.read_bytes())["equal"] == ROWS
    assert main(arguments(MORE="0.5")) == 1
    assert json.loads(report.read_bytes())["different"] == ROWS
    assert containers() == []


def test_image_that_does_not_start_fails_with_its_last_lines_or_those_of_docker(
    builds: Builds,
    arguments: Callable[..., list[str]],
    containers: Callable[[], list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(arguments(BROKEN="1")) == 2
    assert "no model is here" in capsys.readouterr().err
    assert containers() == []
    command = arguments()
    command[command.index("--image") + 1] = f"{builds.registry}/modelyard-tests/absent:1"
    assert main(command) == 2
    assert "docker run failed" in capsys.readouterr().err


def test_image_that_ends_at_once_fails_with_its_last_lines(
    builds: Builds,
    arguments: Callable[..., list[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A docker whose `run` returns once the container has ended, as a slow one may."""
    docker, programs = shutil.which("docker"), builds.folder / "programs"
    programs.mkdir()
    script = programs / "docker"
    name = """$(printf '%s\\n' "$@" | sed -n 's/^--name=//p')"""
    script.write_text(f'#!/bin/sh\n{docker} "$@" && {{ [ "$1" != run ] || {docker} wait "{name}"; }}\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    assert main(arguments(BROKEN="1")) == 2
    assert "no model is here" in capsys.readouterr().err


def test_sigterm_during_the_start_removes_the_container(
    arguments: Callable[..., list[str]], containers: Callable[[], list[str]]
) -> None:
    source = Path(__file__).parents[3] / "operator"
    command = [sys.executable, "-m", "modelyard", *arguments(SECONDS_TO_LOAD="600")]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(source)}) as process:
        end = time.monotonic() + WAIT_SECONDS
        while not containers():
            assert time.monotonic() < end
            time.sleep(0.1)
        process.terminate()
        assert process.wait(WAIT_SECONDS) == 130
    assert containers() == []
