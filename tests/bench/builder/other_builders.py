"""The same work with other tools: curl, curl into curl, crane, `docker build`, and BuildKit."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from tests.bench.builder.registry import BenchRegistry
from tests.bench.builder.source import Model
from tests.support.programs import program
from tests.support.servers import wait_until

_MODEL: Final = "/var/azureml-models/model/"
_INSTALL: Final = "python3 -m pip install --no-cache-dir --requirement /tmp/in/requirements.txt"
_TIMEOUT: Final = 900
_PIPED_SCRIPT: Final = r"""
set -euo pipefail
ask="curl --fail --silent --show-error"
go="$ask --output /dev/null --write-out %header{location}"
mkfifo "$3"
sha256sum <"$3" >"$4" &
upload=$($go --request POST "$2")
sent=$($ask "$1" | tee "$3" | $go --request PATCH --header Content-Type:application/octet-stream \
  --upload-file - "$upload")
wait
read -r digest _ <"$4"
$ask --request PUT "$sent&digest=sha256:$digest"
"""
"""Arguments: the URL of the file, the URL of uploads, and two paths of temporary files."""


def curl(registry: BenchRegistry, model: Model) -> None:
    """Upload only the bytes, whose digest is known: the minimum of work."""
    uploads = f"http://{registry.host}/v2/curl/blobs/uploads/"
    ask = ["curl", "--fail", "--silent", "--show-error"]
    location = ("--output", "/dev/null", "--write-out", "%header{location}")
    upload = _run(*ask, "--request", "POST", *location, uploads)
    _run(*ask, "--upload-file", str(model.file), f"{upload}&digest={model.digest}")


def piped(registry: BenchRegistry, model: Model) -> None:
    """Upload the bytes from the web server, and hash them on the way, like Modelyard."""
    uploads = f"http://{registry.host}/v2/piped/blobs/uploads/"
    with tempfile.TemporaryDirectory() as folder:
        _run("bash", "-c", _PIPED_SCRIPT, "piped", model.url, uploads, f"{folder}/copy", f"{folder}/digest")


def crane(registry: BenchRegistry, model: Model) -> None:
    """Append a layer with the file to the base image. This includes the time to create the archive."""
    archive = model.file.with_suffix(".tar")
    try:
        with tarfile.open(archive, "w") as tar:
            tar.add(model.file, f"{_MODEL[1:]}model")
        target = f"{registry.host}/crane:{uuid.uuid4().hex}"
        append = ("append", "--insecure", f"--base={registry.base_image}", f"--new_tag={target}")
        _run(str(program("crane")), *append, f"--new_layer={archive}")
    finally:
        archive.unlink()


class DockerfileBuilder(Protocol):
    """Builds an image from a Dockerfile in a folder and pushes it."""

    name: str

    def build(self, folder: Path, tag: str, *, no_cache: bool = False) -> None:
        """Return once the image is in the registry with the tag."""


class DockerfileBench:
    """The work of a DockerfileBuilder. The constructor pushes the base image, so that later builds do not."""

    def __init__(self, builder: DockerfileBuilder, registry: BenchRegistry, folder: Path):
        self._builder = builder
        self._registry = registry
        self._folder = folder
        self.name = builder.name
        self._build("warm", f"FROM {registry.base_image}\nLABEL warm=1\n")

    def first(self, requirements: str, model: Model, driver: str) -> float:
        """Return the seconds to build packages, driver and model onto the base image."""
        dockerfile = (
            f"FROM {self._registry.base_image}\nCOPY requirements.txt ca.crt /tmp/in/\n"
            f"RUN PIP_CERT=/tmp/in/ca.crt {_INSTALL}\n"
            f"COPY driver.py /var/azureml-app/\nCOPY model {_MODEL}\n"
        )
        files = {"requirements.txt": requirements, "driver.py": driver}
        return self._build("first", dockerfile, model, files, no_cache=True)

    def changed(self, model: Model) -> float:
        """Return the seconds to build another model onto the image of `first`."""
        first = f"{self._registry.host}/{self.name}:first"
        return self._build("changed", f"FROM {first}\nCOPY model {_MODEL}\n", model)

    def _build(
        self,
        tag: str,
        dockerfile: str,
        model: Model | None = None,
        files: dict[str, str] | None = None,
        *,
        no_cache: bool = False,
    ) -> float:
        folder = self._folder / uuid.uuid4().hex
        folder.mkdir(parents=True)
        for name, text in {"Dockerfile": dockerfile, **(files or {})}.items():
            (folder / name).write_text(text, encoding="utf-8")
        shutil.copy(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"), folder / "ca.crt")
        if model:
            (folder / "model").hardlink_to(model.file)
        started = time.monotonic()
        self._builder.build(folder, tag, no_cache=no_cache)
        seconds = time.monotonic() - started
        shutil.rmtree(folder)
        return seconds


@dataclass
class Docker:
    """A DockerfileBuilder with `docker build` and `docker push`."""

    registry: BenchRegistry
    name: str = "docker"

    def build(self, folder: Path, tag: str, *, no_cache: bool = False) -> None:
        """Build and push with the Docker engine."""
        image = f"{self.registry.host}/{self.name}:{tag}"
        options = ["--no-cache"] if no_cache else []
        _run("docker", "build", "--quiet", "--network=host", *options, f"--tag={image}", str(folder))
        _run("docker", "push", "--quiet", image)


@contextlib.contextmanager
def docker(registry: BenchRegistry) -> Iterator[Docker]:
    """Yield the builder of the Docker engine, and remove its images afterwards."""
    try:
        yield Docker(registry)
    finally:
        # By id, because a moved tag leaves an image without a tag. Newest first, because of dependencies.
        images = _run("docker", "images", "--quiet", f"--filter=reference={registry.host}/*").split()
        for image in dict.fromkeys(images):
            _run("docker", "rmi", "--force", image)


@dataclass
class BuildKit:
    """A DockerfileBuilder with a buildkitd of its own."""

    registry: BenchRegistry
    address: str
    name: str = "buildkit"

    def build(self, folder: Path, tag: str, *, no_cache: bool = False) -> None:
        """Build and push with buildctl."""
        image = f"{self.registry.host}/{self.name}:{tag}"
        push = f"type=image,name={image},push=true,registry.insecure=true,compression=uncompressed"
        context = [f"--local=context={folder}", f"--local=dockerfile={folder}"]
        options = ["--no-cache"] if no_cache else []
        command = [str(program("buildctl")), f"--addr={self.address}", "build", "--frontend=dockerfile.v0"]
        _run(*command, *context, *options, "--progress=plain", f"--output={push}")


@contextlib.contextmanager
def buildkit(registry: BenchRegistry, folder: Path) -> Iterator[BuildKit]:
    """Run a buildkitd during the context. It needs root, and runc."""
    folder.mkdir()
    settings = folder / "buildkitd.toml"
    settings.write_text(f'[registry."{registry.host}"]\n  http = true\n', encoding="utf-8")
    socket = folder / "socket"
    command = [str(program("buildkitd")), f"--config={settings}", f"--root={folder / 'root'}"]
    command += [f"--addr=unix://{socket}", "--oci-worker-net=host", "--containerd-worker=false"]
    log = folder / "log"
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            wait_until(socket.exists, lambda: log.read_text(encoding="utf-8", errors="replace"))
            yield BuildKit(registry, f"unix://{socket}")
        finally:
            process.terminate()


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return done.stdout.strip()
