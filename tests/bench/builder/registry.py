"""A registry of the benchmark, which contains only the base image at first. Its log lists all uploads."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml
from tests.support.programs import program
from tests.support.servers import Server, free_port

_BASE: Final = "base/python"
_OCI: Final = "application/vnd.oci.image.manifest.v1+json"
_ACCEPT: Final = f"{_OCI}, application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True)
class BenchRegistry:
    """The registry that receives all images of the benchmark, over loopback."""

    server: Server

    @property
    def host(self) -> str:
        """Return `host:port`. The registry uses plain HTTP."""
        return self.server.address

    @property
    def base_image(self) -> str:
        """Return the name of the base image, a copy of the cluster's Python image."""
        return f"{self.host}/{_BASE}:3.11"

    def layers(self, reference: str) -> list[dict[str, Any]]:
        """Return the descriptors of an image's layers. `reference` is `repository:tag`."""
        repository, _, tag = reference.rpartition(":")
        url = f"http://{self.host}/v2/{repository}/manifests/{tag}"
        return httpx.get(url, headers={"Accept": _ACCEPT}, timeout=30).raise_for_status().json()["layers"]

    def environment_layer(self, reference: str) -> dict[str, Any]:
        """Return the descriptor of the largest layer that is not in the base image."""
        base = {layer["digest"] for layer in self.layers(f"{_BASE}:3.11")}
        own = [layer for layer in self.layers(reference) if layer["digest"] not in base]
        return max(own, key=lambda layer: layer["size"])

    def upload_count(self, digest: str) -> int:
        """Return how many uploads of a blob the log of the registry contains."""
        hexadecimal = digest.removeprefix("sha256:")
        commit = rf'"PUT /v2/\S+/blobs/uploads/\S*digest=sha256(?::|%3A){hexadecimal}'
        return len(re.findall(commit, self.server.log.read_text(encoding="utf-8")))


@contextlib.contextmanager
def bench_registry(folder: Path) -> Iterator[BenchRegistry]:
    """Run a registry on a free port during the context."""
    folder.mkdir()
    port = free_port()
    settings = {
        "version": 0.1,
        "http": {"addr": f"127.0.0.1:{port}"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    with Server([program("registry"), "serve", "config.yaml"], port, folder) as server:
        registry = BenchRegistry(server)
        cluster_base = os.environ["PYTHON_BASE_IMAGE"]
        copy = [program("crane"), "copy", "--insecure", cluster_base, registry.base_image]
        subprocess.run(copy, check=True, capture_output=True, timeout=300)
        yield registry
