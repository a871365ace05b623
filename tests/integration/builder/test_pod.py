"""The layers builder in its pod: the operator's image, an unprivileged user, a read-only root file system.

The registry has one name in pods and another name in image references.
"""

from __future__ import annotations

import base64
import gzip
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import httpx
import pytest
from tests.integration.builder.conftest import Builds

from modelyard.contract.build_pod import REQUEST_FILE
from modelyard.contract.build_request import (
    BuilderKind,
    BuildRequest,
    BuildResult,
    ModelInput,
    Source,
)
from modelyard.kube.types import Json
from modelyard.resources.build_pod import BuildAttempt, build_pod
from modelyard.settings import OperatorSettings

OPERATOR_IMAGE = Path(__file__).parents[3] / "build" / "operator-image"
DRIVER = """
import os, pathlib, tomli_w
def init():
    global model
    (file,) = pathlib.Path(os.environ["AZUREML_MODEL_DIR"]).iterdir()
    model = file.read_text()
def run(body):
    return tomli_w.dumps({"model": model})
"""


@dataclass(frozen=True)
class Pod:
    """Runs the pod of a build on a Docker engine, in the network of the cluster's nodes."""

    engine: docker.DockerClient
    network: str
    folder: Path
    settings: OperatorSettings

    def run(self, request: BuildRequest) -> tuple[int, str, BuildResult]:
        """Run the container with user, privileges and mounts of the pod; return exit code, log, result."""
        spec = build_pod(BuildAttempt("build", "default/m", 1, 1, "r.example/m:t"), self.settings)
        (container,) = spec["containers"]
        user, security = spec["securityContext"], container["securityContext"]
        compressed = gzip.compress(request.model_dump_json(by_alias=True).encode())
        self._file(f"request/{REQUEST_FILE}", compressed)
        message = self._file("termination-log", b"", mode=0o666)
        running = self.engine.containers.run(
            container["image"],
            container["args"],
            detach=True,
            user=f"{user['runAsUser']}:{user['runAsGroup']}",
            read_only=security["readOnlyRootFilesystem"],
            cap_drop=security["capabilities"]["drop"],
            security_opt=[] if security["allowPrivilegeEscalation"] else ["no-new-privileges"],
            environment={entry["name"]: entry["value"] for entry in container["env"]},
            mem_limit=container["resources"]["limits"]["memory"].removesuffix("i"),
            network=self.network,
            volumes=[f"{message}:/dev/termination-log", *self._mounts(spec)],
        )
        try:
            code = running.wait(timeout=300)["StatusCode"]
            log = running.logs().decode()
        finally:
            running.remove(force=True)
        return code, log, BuildResult.model_validate_json(message.read_bytes())

    def _mounts(self, spec: Json) -> Iterator[str]:
        paths = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
        for volume in spec["volumes"]:
            folder = self.folder / volume["name"]
            folder.mkdir(exist_ok=True)
            folder.chmod(0o777 if "emptyDir" in volume else 0o755)
            yield f"{folder}:{paths[volume['name']]}:{'rw' if 'emptyDir' in volume else 'ro'}"

    def _file(self, name: str, content: bytes, mode: int = 0o644) -> Path:
        file = self.folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        file.chmod(mode)
        return file


@pytest.fixture
def pod(engine: docker.DockerClient, tmp_path: Path) -> Pod:
    registry = os.environ.get("REGISTRY_CONTAINER")
    if registry is None:
        pytest.skip("REGISTRY_CONTAINER is unset: no network to run the pod in")
    if not OPERATOR_IMAGE.exists():
        pytest.fail("the image of the operator is missing: run `make image`", pytrace=False)
    networks = engine.containers.get(registry).attrs["NetworkSettings"]["Networks"]
    values: Json = {
        "registry": {
            "push": os.environ["REGISTRY_PUSH"],
            "internal": os.environ["REGISTRY_INTERNAL"],
            "insecure": os.environ["REGISTRY_SCHEME"] == "http",
        },
        "build": {"image": OPERATOR_IMAGE.read_text().strip()},
    }
    if ca_bundle := os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE"):
        (tmp_path / "ca").mkdir()
        (tmp_path / "ca" / "ca.crt").write_bytes(Path(ca_bundle).read_bytes())
        values["build"]["caBundleConfigMap"] = "ca"
    return Pod(engine, next(iter(networks)), tmp_path, OperatorSettings.model_validate(values))


def test_unprivileged_pod_builds_an_image(
    pod: Pod, builds: Builds, served: Callable[[str], httpx.Client]
) -> None:
    content = base64.b64encode(b"weights").decode()
    model = ModelInput(name="m", version=1, source=Source(url=f"data:;base64,{content}"))
    request = builds.request(
        model, driver=DRIVER, pip_requirements="tomli-w==1.2.0", builder=BuilderKind.LAYERS
    )
    code, log, result = pod.run(request)
    assert code == 0, log
    client = served(f"{request.repository}@{result.digest}")
    assert client.post("/score", json={}).json() == 'model = "weights"\n'
    assert list((pod.folder / "workspace").iterdir()) == []
