"""Images with a conda environment: Python from a channel, and packages from pip."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import httpx
import pytest
from tests.integration.builder.conftest import Builds
from tests.support.conda import PREFIX, CondaPackage, write_channel
from tests.support.conda_python import python_of_image

from modelyard.contract.build_pod import BuildVariable
from modelyard.contract.build_request import BuilderKind

PREFIX_IN_IMAGES: Final = "/opt/modelyard/environment"
DRIVER: Final = """
import os, subprocess, sys
import greeting, iniconfig
def init():
    pass
def run(body):
    return {
        "prefix": sys.prefix,
        "output": subprocess.run(["greet"], capture_output=True, text=True, check=True).stdout,
        "from": [greeting.__file__, iniconfig.__file__],
        "variables": [os.environ["GREETING"], os.environ["CONDA_PREFIX"]],
    }
"""
ENVIRONMENT: Final = """
dependencies: [python=3, greeting, {pip: [iniconfig==2.1.0]}]
variables: {GREETING: hello}
"""
GREETING: Final = CondaPackage(
    "greeting",
    "1.0",
    depends=["python", "greeter"],
    files={"site-packages/greeting/__init__.py": b""},
    subdir="noarch",
)
GREETER: Final = CondaPackage(
    "greeter",
    "1.0",
    depends=["python"],
    files={
        "bin/greet": f"#!{PREFIX}/bin/python3\nimport sys\nprint('hello from', sys.executable)\n".encode()
    },
    executable=["bin/greet"],
)


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a channel with the Python of the base image."""
    folder = tmp_path_factory.mktemp("conda") / "channel"
    python = python_of_image(os.environ["PYTHON_BASE_IMAGE"])
    write_channel(folder, [python, GREETING, GREETER])
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("builder", BuilderKind)
def test_driver_runs_in_its_conda_environment(
    builds: Builds, served: Callable[[str], httpx.Client], channel: str, builder: BuilderKind
) -> None:
    request = builds.request(driver=DRIVER, conda_env_file=ENVIRONMENT, builder=builder)
    ran = builds.run(
        request,
        **{BuildVariable.CONDA_CHANNELS: channel, BuildVariable.CONDA_VIRTUAL_PACKAGES: "__glibc=2.28"},
    )
    assert ran.code == 0, ran.log
    scored = served(f"{request.repository}@{ran.result.digest}").post("/score", json={}).json()
    assert all(file.startswith(f"{PREFIX_IN_IMAGES}/") for file in scored.pop("from"))
    assert scored == {
        "prefix": PREFIX_IN_IMAGES,
        "output": f"hello from {PREFIX_IN_IMAGES}/bin/python3\n",
        "variables": ["hello", PREFIX_IN_IMAGES],
    }
