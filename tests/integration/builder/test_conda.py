"""Images with a conda environment: Python from a channel, and packages from pip."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import docker
import httpx
import pytest
from tests.integration.builder.conftest import Builds
from tests.support.conda import PREFIX, CondaPackage, write_channel

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
# Debian's Python does not search the folder site-packages, where conda installs packages.
SITE: Final = b"""
import site, sys
site.addsitedir(f"{sys.prefix}/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages")
"""
NOT_NEEDED: Final = {"test", "site-packages", "dist-packages", "__pycache__"}
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


def _python(base: str, engine: docker.DockerClient) -> CondaPackage:
    """Return the Python of the base image as a conda package: a machine may not reach conda's channels."""
    describe = ["python3", "-c", "import sys; print(sys.base_prefix, *sys.version_info[:3])"]
    prefix, *numbers = engine.containers.run(base, describe, remove=True, entrypoint=[]).decode().split()
    program = f"python{'.'.join(numbers[:2])}"
    container = engine.containers.create(base)
    try:
        files = {
            f"{folder}/{name}": content
            for folder in ("bin", "lib")
            for name, content in _files(container, f"{prefix}/{folder}/{program}")
        }
    finally:
        container.remove()
    return CondaPackage(
        "python",
        ".".join(numbers),
        files=files | {f"lib/{program}/sitecustomize.py": SITE},
        executable=[f"bin/{program}"],
        links={"bin/python3": program},
    )


def _files(container: docker.models.containers.Container, path: str) -> Iterator[tuple[str, bytes]]:
    """Yield the path and content of each file that Python needs, relative to the parent folder."""
    chunks, _ = container.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        for entry in archive:
            file = archive.extractfile(entry) if entry.isreg() else None
            if file and not NOT_NEEDED.intersection(entry.name.split("/")):
                yield entry.name, file.read()


@pytest.fixture
def channel(builds: Builds, engine: docker.DockerClient, tmp_path: Path) -> Iterator[str]:
    """The URL of a channel with a Python."""
    folder = tmp_path / "channel"
    write_channel(folder, [_python(builds.base, engine), GREETING, GREETER])
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
