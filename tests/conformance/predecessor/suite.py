"""A copy of the predecessor's tests with the runtime's fixtures, and their results."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance.scoring.servers import BUILD, ROOT

FOLDER = BUILD / "predecessor-tests"
PLUGIN = "tests.conformance.predecessor"
SERVER_CONFTEST = f"from {PLUGIN}.server_fixtures import *\n"
SERVER_COMMON = f"""from {PLUGIN}.scoring_app import Client as TestingClient, UserScript as TestingUserScript
def data_path(*names):
    return str(TestingUserScript.data.joinpath(*names))
"""
OWN_NETWORK = ("unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
"""The tests use fixed ports, such as 5001. They have a network of their own (util-linux, iproute2)."""

SCENARIO_CONFTEST = f"from {PLUGIN}.scenario_fixtures import free_port, named_differences\n"


@dataclass
class Result:
    """The result of one test, with the values that its fixtures have recorded."""

    outcome: str
    """`passed`, `failed`, `skipped` or `xfailed`."""
    failed_line: str = ""
    """The source of the assertion that failed, with those of its callers."""
    log_texts: list[str] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)


def prepare(checkout: Path) -> None:
    """Copy the tests of a checkout, with the runtime's fixtures in the place of those of the predecessor."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name in ("server", "azmlinfsrv"):
        shutil.copytree(checkout / "tests" / name, FOLDER / name)
    (FOLDER / "pytest.ini").write_text("[pytest]\n")  # in place of the one in this repository
    (FOLDER / "server" / "conftest.py").write_text(SERVER_CONFTEST)
    (FOLDER / "server" / "common.py").write_text(SERVER_COMMON)
    (FOLDER / "azmlinfsrv" / "scenarios" / "conftest.py").write_text(SCENARIO_CONFTEST)


def run(
    suite: Path, driver: Path, runtime: Path, tests: Sequence[str] = ("server", "azmlinfsrv")
) -> dict[str, Result]:
    """Run the tests. Return results by name.

    `suite` and `driver` are the environments of the tests and of the drivers.
    """
    commands = FOLDER / "bin"
    commands.mkdir(exist_ok=True)
    command = commands / "azmlinfsrv"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("azmlinfsrv.py")} "$@"\n')
    command.chmod(0o755)
    file = FOLDER / "results"
    file.unlink(missing_ok=True)
    variables = {
        **os.environ,
        "PATH": f"{commands}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "DRIVER_PYTHON": str(driver / "bin" / "python"),
        "RUNTIME_FOLDER": str(runtime),
        "SUITE_DATA": str(FOLDER / "server" / "data"),
        "RESULTS_FILE": str(file),
    }
    for part in ("server", "azmlinfsrv"):
        chosen = [test.removeprefix(part).removeprefix("/") or "." for test in tests if test.startswith(part)]
        if chosen:
            _run_part(suite, part, chosen, variables)
    return _results(file)


def _run_part(suite: Path, part: str, tests: list[str], variables: Mapping[str, str]) -> None:
    """Run tests in their folder: the scenarios open files relative to it."""
    options = [
        "--quiet",
        "-p",
        "no:cacheprovider",
        "--import-mode=importlib",
        f"--rootdir={FOLDER}",
        f"--config-file={FOLDER}/pytest.ini",
    ]
    plugin = ["-p", f"{PLUGIN}.results_plugin"]
    command = [*OWN_NETWORK, suite / "bin" / "python", "-m", "pytest", *options, *plugin, *tests]
    with (FOLDER / f"{part}.log").open("ab") as log:
        subprocess.run(command, cwd=FOLDER / part, env=variables, stdout=log, stderr=log, check=False)


def _results(file: Path) -> dict[str, Result]:
    results: dict[str, Result] = {}
    for text in file.read_text().splitlines():
        line = json.loads(text)
        result = results.setdefault(line["test"], Result(line["outcome"]))
        if line["outcome"] == "failed":
            result.outcome, result.failed_line = "failed", line["failed_line"]
        properties = [tuple(one) for one in line["properties"]]
        result.log_texts = [text for name, text in properties if name == "log_text"]
        result.documents = [text for name, text in properties if name == "openapi"]
    return results
