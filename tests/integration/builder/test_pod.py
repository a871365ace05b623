"""The layers builder in its pod: the operator's image, an unprivileged user, a read-only root file system.

The registry has one name in pods and another name in image references.
"""

from __future__ import annotations

import base64
import gzip
import os
import platform
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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

ROOT = Path(__file__).parents[3]
OPERATOR_IMAGE = ROOT / "build" / "operator-image"
DRIVER = """
import os, pathlib, tomli_w
def init():
    global model
    (file,) = pathlib.Path(os.environ["AZUREML_MODEL_DIR"]).iterdir()
    model = file.read_text()
def run(body):
    return tomli_w.dumps({"model": model})
"""
DRIVER_OF_SOURCES = """
import arff, json
from markupsafe import _speedups  # the module in C
def init():
    pass
def run(body):
    return {"escaped": _speedups._escape_inner("<"), "relation": arff.loads(json.loads(body))["relation"]}
"""


@dataclass(frozen=True)
class Pod:
    """Runs the containers of a build's pod on a Docker engine, in the network of the cluster's nodes."""

    engine: docker.DockerClient
    network: str
    folder: Path
    settings: OperatorSettings

    def run(self, request: BuildRequest) -> tuple[int, str, BuildResult]:
        """Run both containers, and return the exit code of the build, the log and the result."""
        spec = build_pod(BuildAttempt("build", "default/m", 1, 1, "r.example/m:t"), self.settings)
        compressed = gzip.compress(request.model_dump_json(by_alias=True).encode())
        self._file(f"request/{REQUEST_FILE}", compressed)
        message = self._file("termination-log", b"", mode=0o666)
        build, packages = spec["containers"]
        log = [f"{message}:/dev/termination-log"]
        running = self._started(spec, build, volumes=log, network=self.network)
        # Both containers of a pod have one network.
        beside = self._started(spec, packages, volumes=[], network_mode=f"container:{running.id}")
        try:
            code = running.wait(timeout=300)["StatusCode"]
            text = running.logs().decode() + beside.logs().decode()
            assert beside.wait(timeout=30)["StatusCode"] == 0, text
        finally:
            beside.remove(force=True)
            running.remove(force=True)
        return code, text, BuildResult.model_validate_json(message.read_bytes())

    def _started(self, spec: Json, container: Json, volumes: list[str], **options: Any) -> Any:
        """Start a container with the user, the privileges and the mounts of the pod."""
        user, security = spec["securityContext"], container["securityContext"]
        return self.engine.containers.run(
            container["image"],
            container["args"],
            detach=True,
            user=f"{user['runAsUser']}:{user['runAsGroup']}",
            read_only=security["readOnlyRootFilesystem"],
            cap_drop=security["capabilities"]["drop"],
            security_opt=[] if security["allowPrivilegeEscalation"] else ["no-new-privileges"],
            environment={entry["name"]: entry["value"] for entry in container["env"]},
            mem_limit=container["resources"]["limits"]["memory"].removesuffix("i"),
            volumes=[*volumes, *self._mounts(spec, container)],
            **options,
        )

    def _mounts(self, spec: Json, container: Json) -> Iterator[str]:
        sources = {volume["name"]: volume for volume in spec["volumes"]}
        for mount in container["volumeMounts"]:
            folder = self.folder / mount["name"]
            folder.mkdir(exist_ok=True)
            folder.chmod(0o777 if "emptyDir" in sources[mount["name"]] else 0o755)
            yield f"{folder}:{mount['mountPath']}:{'ro' if mount.get('readOnly') else 'rw'}"

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


@pytest.fixture
def base_with_compiler() -> str:
    """A base image with gcc, built on first use."""
    script = ROOT / "tests" / "cluster" / "compiler.sh"
    made = subprocess.run([script], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.fail(f"the base image with a compiler cannot be built: {made.stderr}", pytrace=False)
    return made.stdout.strip()


def test_unprivileged_pod_compiles_a_source_distribution(
    pod: Pod, builds: Builds, served: Callable[[str], httpx.Client], base_with_compiler: str
) -> None:
    # A cache of its own, in which no earlier run has left the packages.
    request = replace(builds, base=base_with_compiler).request(
        repository=f"{builds.registry}/modelyard-tests-{uuid.uuid4().hex[:12]}/ns/image",
        driver=DRIVER_OF_SOURCES,
        pip_requirements="--no-binary markupsafe\nmarkupsafe==3.0.2\nliac-arff==2.5.0",
        builder=BuilderKind.LAYERS,
    )
    code, log, result = pod.run(request)
    assert code == 0, log
    assert f"linux_{platform.machine()}.whl made from" in log
    client = served(f"{request.repository}@{result.digest}")
    answer = client.post("/score", json="@relation r\n@attribute a numeric\n@data\n1\n")
    assert answer.json() == {"escaped": "&lt;", "relation": "r"}
