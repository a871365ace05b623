"""The scoring runtime on each version of Python that images may have, with the wheels for that version."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
from tests.support.scoring_runtime import copy_runtime
from tests.unit.scoring.scoring_process import scoring_process, until
from uv import find_uv_bin

from modelyard.contract.scoring_runtime import RUNTIME_REQUIREMENTS

VERSIONS: Final = ("3.12", "3.13")
"""The versions beside 3.11, which all other tests have. docs/scoring.md names all of them."""

PICKLED: Final = """
import pickle, sys
class Scale:
    def __init__(self, factor):
        self.factor = factor
THREAD_SAFE = True
def init():
    global scale
    scale = pickle.loads(pickle.dumps(Scale(2)))
def run(data: list[float], factor: int = 1) -> dict:
    return {"values": [one * factor * scale.factor for one in data], "python": sys.version_info[:2]}
"""

ASYNC: Final = """
import asyncio
async def init():
    global lock
    lock = asyncio.Lock()
async def run(data):
    async with lock:
        await asyncio.sleep(0)
    async def pieces():
        for part in data:
            yield part
    return pieces()
"""

RAW: Final = """
import multiprocessing
from azureml.contrib.services.aml_request import rawhttp
from azureml.contrib.services.aml_response import AMLResponse
def double(number):
    return 2 * number
def init():
    pass
@rawhttp
def run(request):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        doubled = pool.map(double, [int(one) for one in request.args.getlist("n")])
    return AMLResponse(str(doubled), 202)
"""


def _interpreter(version: str) -> str:
    """Return the path of an interpreter of this version; skip the test if the machine has none."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    on_path = shutil.which(f"python{version}")
    candidates = [*map(str, sorted(root.glob(f"versions/{version}.*/bin/python"))), *filter(None, [on_path])]
    for candidate in candidates:
        if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    pytest.skip(f"there is no Python {version} on this machine")


@pytest.fixture(scope="module", params=VERSIONS)
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Return an interpreter, and a folder with the runtime and its wheels for the interpreter's version."""
    python = _interpreter(request.param)
    folder = tmp_path_factory.mktemp("runtime")
    command = [find_uv_bin(), "pip", "install", "--quiet", "--python", python, "--target", folder]
    subprocess.run([*command, "--require-hashes", "-r", RUNTIME_REQUIREMENTS], check=True, timeout=300)
    copy_runtime(folder)
    return python, folder


@pytest.mark.parametrize(
    ("driver", "path", "status", "body"),
    [
        (PICKLED, "/score", 200, {"values": [3.0, 6.0], "python": None}),
        (ASYNC, "/score", 200, '{"data": [0.5, 1], "factor": 3}'),
        (RAW, "/score?n=1&n=2", 202, "[2, 4]"),
    ],
    ids=["hints_and_pickles", "async_stream", "rawhttp_and_a_pool"],
)
def test_driver_answers(
    installed: tuple[str, Path], tmp_path: Path, driver: str, path: str, status: int, body: object
) -> None:
    python, runtime = installed
    with scoring_process(tmp_path, runtime, driver, python=python) as scoring:
        until(scoring.is_ready, "readiness")
        sent = b'{"data": [0.5, 1], "factor": 3}'
        response = scoring.request("POST", path, sent, {"content-type": "application/json"})
    text = response.body.decode()
    if isinstance(body, dict):
        found = json.loads(text)
        assert f"{found['python'][0]}.{found['python'][1]}" in VERSIONS
        assert found | {"python": None} == body
    else:
        assert text == body
    assert response.status == status
