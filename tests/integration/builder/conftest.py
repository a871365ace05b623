"""A Docker engine, a registry, cosign, and the process of the build Job as the cluster runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import docker
import httpx
import pytest
from tests.support.programs import program
from tests.support.registry_images import RegistryImages, registry_images

from modelyard.builder.layers.tar_stream import tar_of
from modelyard.contract.build_pod import BuildVariable
from modelyard.contract.build_request import (
    AssetInput,
    BuilderKind,
    BuildRequest,
    BuildResult,
    ModelInput,
    Source,
)
from modelyard.contract.scoring_runtime import runtime_version
from modelyard.oci import RegistryClient
from modelyard.oci.registry_config import RegistryAccess
from modelyard.reconcile.builds.input_hash import input_hash

START_SECONDS: Final = 30
USERS: Final = b"me:$2b$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK\n"  # bcrypt
DRIVER: Final = """
import json, os
def init():
    global files
    root = os.environ["AZUREML_MODEL_DIR"]
    files = {os.path.relpath(os.path.join(at, name), root): open(os.path.join(at, name)).read()
             for at, _, names in os.walk(root) for name in names}
def run(body):
    return {"dir": os.environ["AZUREML_MODEL_DIR"], "files": files, "body": json.loads(body)}
"""


@dataclass(frozen=True)
class FinishedBuild:
    """A build that has ended."""

    code: int
    log: str
    result: BuildResult


@dataclass(frozen=True)
class Builds:
    """Runs builds with the certificate authorities and the package index of this machine."""

    folder: Path
    registry: str
    base: str
    docker_host: str
    repository: str = field(default_factory=lambda: f"modelyard-tests/build-{uuid.uuid4().hex[:12]}")

    def request(self, *models: ModelInput, driver: str = DRIVER, **fields: Any) -> BuildRequest:
        asset = AssetInput(id="driver", source=Source(content=driver))
        values = {
            "repository": f"{self.registry}/{self.repository}",
            "tag": "untagged",
            "base_image": self.base,
            "builder": BuilderKind.DOCKER,
            "driver": "driver",
            "models": models,
            "assets": (asset,),
            "labels": {"modelyard.dev/test": "build"},
        }
        request = BuildRequest.model_validate(values | fields)
        with RegistryClient(RegistryAccess()) as registry:
            base = registry.resolve(self.base) or ""
        return request.model_copy(update={"tag": input_hash(request, base, runtime_version())})

    @contextmanager
    def started(
        self, request: BuildRequest, *, umask: int = -1, **environment: str
    ) -> Iterator[tuple[subprocess.Popen[str], Path]]:
        """Start the process of the Job; yield the process and the path of its termination log."""
        folder = self.folder / uuid.uuid4().hex
        folder.mkdir()
        (folder / "request.json").write_text(request.model_dump_json(by_alias=True))
        ca_bundle = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or ""
        settings = {
            BuildVariable.REQUEST: str(folder / "request.json"),
            BuildVariable.WORKSPACE: str(folder / "workspace"),
            BuildVariable.TERMINATION_LOG: str(folder / "termination-log"),
            BuildVariable.DOCKER_HOST: self.docker_host,
            BuildVariable.DOCKER_NETWORK: "host",
            BuildVariable.CA_BUNDLE: ca_bundle,
        }
        command = [sys.executable, "-m", "modelyard", "build"]
        source = Path(__file__).parents[3] / "operator"
        variables = os.environ | {"PYTHONPATH": str(source)} | settings | environment
        with subprocess.Popen(
            command, env=variables, cwd=folder, stdout=subprocess.PIPE, text=True, umask=umask
        ) as process:
            try:
                yield process, folder / "termination-log"
            finally:
                process.kill()

    def run(self, request: BuildRequest, *, umask: int = -1, **environment: str) -> FinishedBuild:
        with self.started(request, umask=umask, **environment) as (process, termination_log):
            log, _ = process.communicate()
        return FinishedBuild(
            process.returncode, log, BuildResult.model_validate_json(termination_log.read_bytes())
        )


@pytest.fixture
def builds(kubeconfig: Path, tmp_path: Path) -> Builds:
    """Builds against the registry of the cluster. `kubeconfig` sets the environment variables."""
    missing = [name for name in ("REGISTRY_PUSH", "PYTHON_BASE_IMAGE") if name not in os.environ]
    if missing:
        pytest.fail(f"{' and '.join(missing)} unset: run `make cluster` and `. .cluster/env`", pytrace=False)
    return Builds(
        folder=tmp_path,
        registry=os.environ["REGISTRY_PUSH"],
        base=os.environ["PYTHON_BASE_IMAGE"],
        docker_host=os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"),
    )


@pytest.fixture(autouse=True)
def engine(builds: Builds) -> Iterator[docker.DockerClient]:
    """The engine. Images of the test are removed after it; their layers stay as the build cache."""
    client = docker.DockerClient(base_url=builds.docker_host)
    yield client
    _remove_images(client, builds)
    client.close()


def _remove_images(client: docker.DockerClient, builds: Builds) -> None:
    """Remove the tags of a test, not the image: a test of another process may have built the same image."""
    # Without a request for each image, as client.images has: another process may remove one.
    for image in client.api.images(filters={"label": "modelyard.dev/test=build"}):
        for name in image["RepoTags"] or []:
            if builds.repository in name:
                client.api.remove_image(name, noprune=True)


@pytest.fixture
def images(kubeconfig: Path) -> Iterator[RegistryImages]:
    """Images in the registry of the local cluster, whose address `kubeconfig` puts into the environment."""
    with registry_images() as images:
        yield images


@pytest.fixture(scope="session")
def cosign(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run cosign in the folder of a new key pair. It connects to no service of Sigstore."""
    folder = tmp_path_factory.mktemp("cosign")
    environment = {**os.environ, "COSIGN_PASSWORD": "hunter2", "HOME": str(folder)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [program("cosign"), *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    generated = run("generate-key-pair")
    assert generated.returncode == 0, generated.stderr
    (folder / "cosign.password").write_text("hunter2")
    return run


@pytest.fixture
def key_folder(cosign: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a key pair, with the file names of a Secret by `cosign generate-key-pair k8s://…`."""
    return next(path.parent for path in tmp_path_factory.getbasetemp().glob("cosign*/cosign.key"))


@pytest.fixture
def guarded_registry(engine: docker.DockerClient) -> Iterator[str]:
    """A second registry, with the user `me` and the password `s3cret`."""
    name = os.environ.get("REGISTRY_CONTAINER")
    if name is None:
        pytest.skip("REGISTRY_CONTAINER is unset: no image for a second registry")
    settings = {"REGISTRY_AUTH_HTPASSWD_REALM": "x", "REGISTRY_AUTH_HTPASSWD_PATH": "/users"}
    container = engine.containers.create(
        engine.containers.get(name).image, environment=settings, ports={"5000/tcp": ("127.0.0.1", None)}
    )
    try:
        container.put_archive("/", b"".join(tar_of({"users": USERS}).open()))
        container.start()
        container.reload()
        address = f"localhost:{container.ports['5000/tcp'][0]['HostPort']}"
        with httpx.Client(base_url=f"http://{address}") as client:
            _wait_for(lambda: _status(client, "/v2/") == 401, container)
        yield address
    finally:
        container.remove(force=True, v=True)


@pytest.fixture
def served(engine: docker.DockerClient) -> Iterator[Callable[..., httpx.Client]]:
    """Run an image as in the pod of a Service, and return an HTTP client. Options are those of the engine."""
    with ExitStack() as stack:

        def run(image: str, **options: Any) -> httpx.Client:
            container = engine.containers.run(
                image,
                detach=True,
                read_only=True,
                cap_drop=["ALL"],
                ports={"5001/tcp": ("127.0.0.1", None)},
                **options,
            )
            stack.callback(container.remove, force=True)
            container.reload()
            port = container.ports["5001/tcp"][0]["HostPort"]
            client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}"))
            _wait_for(lambda: _status(client, "/ready") == 200, container)
            return client

        yield run


def _status(client: httpx.Client, path: str) -> int | None:
    try:
        return client.get(path).status_code
    except httpx.TransportError:
        return None


def _wait_for(ready: Callable[[], bool], container: docker.models.containers.Container) -> None:
    end = time.monotonic() + START_SECONDS
    while not ready():
        assert time.monotonic() < end, container.logs().decode()
        time.sleep(0.1)
