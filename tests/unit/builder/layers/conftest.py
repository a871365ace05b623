"""A fake registry with a base image, and builds that push to it."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.support.web_server import WebServer
from tests.unit.oci.fake_registry import (
    FakeRegistry,
    digest_of,
)

from modelyard.builder.attestation.bundle import Signer
from modelyard.builder.environment.guarded_installer import LayerInstaller
from modelyard.builder.environment.package_job import (
    InstalledPackages,
    PackageJob,
    PackageKind,
)
from modelyard.builder.environment.packages import find_packages
from modelyard.builder.environment.registry_files import RegistryFiles
from modelyard.builder.layers.layer_builder import LayerBuilder
from modelyard.builder.log import BuildLog
from modelyard.builder.sources.context import FetchContext
from modelyard.contract.build_request import (
    AssetInput,
    BuildRequest,
    ModelInput,
    Source,
)
from modelyard.retry import Retry

BASE_LAYER = b"files of the base image"
BASE_CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "config": {"Env": ["PATH=/usr/bin", "PYTHON_VERSION=3.11.9"], "Labels": {"of": "base"}},
    "rootfs": {"type": "layers", "diff_ids": [digest_of(BASE_LAYER)]},
}


class Builds:
    """Builds into a fake registry. `installed` records each installation of packages instead of pip."""

    def __init__(self, fake: FakeRegistry, web: WebServer, folder: Path, retry: Retry) -> None:
        self.fake = fake
        self.web = web
        self.out = io.StringIO()
        self.log = BuildLog(self.out)
        self.installed: list[str] = []
        self.installer: LayerInstaller = self.install
        self._folder = folder
        self._context = FetchContext(retry=retry, log=self.log.write)
        self._count = 0
        config = json.dumps(BASE_CONFIG).encode()
        manifest = {
            "config": {"digest": digest_of(config), "size": len(config)},
            "layers": [
                {
                    "mediaType": "application/vnd.docker.image.rootfs.diff.tar",
                    "digest": digest_of(BASE_LAYER),
                    "size": len(BASE_LAYER),
                }
            ],
        }
        for blob in (config, BASE_LAYER):
            fake.blobs["bases/python", digest_of(blob)] = blob
        fake.manifests["bases/python", "3.11"] = json.dumps(manifest).encode()

    def model(self, path: str = "/model.bin", **fields: Any) -> ModelInput:
        name, version = fields.pop("name", "m"), fields.pop("version", 1)
        return ModelInput(name=name, version=version, source=Source(url=self.web.url + path, **fields))

    def request(self, *models: ModelInput, image: str = "ns/image", **fields: Any) -> BuildRequest:
        values = {
            "repository": f"{self.fake.address}/prefix/{image}",
            "tag": "t",
            "base_image": f"{self.fake.address}/bases/python:3.11",
            "driver": "driver",
            "models": models,
            "assets": (AssetInput(id="driver", source=Source(content="def run(x): ...")),),
            "labels": {"a": "b"},
        }
        return BuildRequest.model_validate(values | fields)

    def publish(
        self, request: BuildRequest, signer: Signer | None = None, *, max_age_seconds: int = 0
    ) -> str:
        self._count += 1
        workspace = self._folder / f"workspace-{self._count}"
        workspace.mkdir()
        builder = LayerBuilder(
            platform="linux/amd64", signer=signer, max_age_seconds=max_age_seconds, install=self.installer
        )
        return builder.publish(request, workspace, self._context, self.log)

    def manifest(self, digest: str, image: str = "ns/image") -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads(self.fake.manifests[f"prefix/{image}", digest])
        return manifest

    def config(self, digest: str) -> dict[str, Any]:
        """Return the config of an image."""
        blob = self.fake.blobs["prefix/ns/image", self.manifest(digest)["config"]["digest"]]
        config: dict[str, Any] = json.loads(blob)
        return config

    def files(self, digest: str) -> dict[str, bytes]:
        """Return the content of all files in the layers above the base image."""
        files: dict[str, bytes] = {}
        for layer in self.manifest(digest)["layers"][1:]:
            with tarfile.open(fileobj=io.BytesIO(self.fake.blobs["prefix/ns/image", layer["digest"]])) as tar:
                for entry in tar:
                    file = tar.extractfile(entry) if entry.isreg() else None
                    files |= {entry.name: file.read()} if file else {}
        return files

    def sent_bytes(self) -> int:
        """Return the bytes of all uploads so far."""
        return sum(call.size for call in self.fake.calls if "/uploads/" in call.path)

    def install(
        self, job: PackageJob, log: BuildLog, files: RegistryFiles | None = None
    ) -> InstalledPackages:
        if job.kind is PackageKind.RUNTIME:
            name, file = "runtime", job.folder / "modelyard/__init__.py"
        else:
            name, file = job.requirements or "", job.folder / "lib/python3.11/site-packages/x.py"
        self.installed.append(name)
        file.parent.mkdir(parents=True)
        file.write_text(name)
        return InstalledPackages(python=job.python or "", packages=tuple(find_packages(job.folder)))


@pytest.fixture
def builds(fake: FakeRegistry, web: WebServer, tmp_path: Path, retry: Retry) -> Builds:
    return Builds(fake, web, tmp_path, retry)
