"""Small images in the local cluster's registry, and the real cosign."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import docker
import pytest
from tests.integration.builder.conftest import (
    Builds,
    remove_images,
)
from tests.support.programs import program

from modelyard.oci import (
    Descriptor,
    RegistryClient,
)
from modelyard.oci.media_types import OCI_MANIFEST
from modelyard.oci.reference import Reference
from modelyard.oci.registry_config import RegistryAccess

OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"


@dataclass(frozen=True)
class Images:
    """Pushes images without layers below a prefix that only one test uses."""

    registry: RegistryClient
    host: str
    prefix: str

    def repository(self, path: str) -> Reference:
        return Reference(self.host, f"{self.prefix}/{path}")

    def manifest(self, path: str, **fields: Any) -> bytes:
        """Upload the config of an image, with these additional fields, and return the image's manifest."""
        config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
        blob = self.registry.upload_bytes(self.repository(path), json.dumps(config | fields).encode())
        config = {"mediaType": OCI_CONFIG, "digest": blob.digest, "size": blob.size}
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}
        return json.dumps(manifest).encode()

    def push(self, path: str, tag: str, body: bytes | None = None) -> Descriptor:
        body = body or self.manifest(path, author=tag)
        self.registry.put_manifest(self.repository(path), body, OCI_MANIFEST, tag=tag)
        return descriptor(body)

    def has(self, path: str, digest: str) -> bool:
        return self.registry.resolve(str(self.repository(path).at(digest))) is not None


def descriptor(manifest: bytes) -> Descriptor:
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    return {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(manifest)}


@pytest.fixture
def images(kubeconfig: Path) -> Iterator[Images]:
    """Images in the registry of the local cluster, whose address `kubeconfig` puts into the environment."""
    host = os.environ["REGISTRY_PUSH"]
    with RegistryClient(RegistryAccess()) as registry:
        yield Images(registry, host, f"modelyard-tests/{uuid.uuid4().hex[:12]}")


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
def builds(kubeconfig: Path, tmp_path: Path) -> Iterator[Builds]:
    """Runs the program of build Jobs."""
    builds = Builds(
        folder=tmp_path,
        registry=os.environ["REGISTRY_PUSH"],
        base=os.environ["PYTHON_BASE_IMAGE"],
        docker_host=os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"),
    )
    yield builds
    client = docker.DockerClient(base_url=builds.docker_host)
    remove_images(client, builds)
    client.close()
