"""A function that pushes a file as an OCI artifact, as `oras push` does."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import oras.client


def publish(file: Path, repository: str, tag: str) -> str:
    """Push a file and return its digest. Its URL for pods is `oci://<registry inside>/<repository>:<tag>`."""
    insecure = os.environ.get("REGISTRY_SCHEME", "https") == "http"
    client = oras.client.OrasClient(insecure=insecure)
    target = f"{os.environ['REGISTRY_PUSH']}/{repository}:{tag}"
    client.push(
        target=target,
        files=[f"{file}:application/octet-stream"],
        manifest_annotations={},
        disable_path_validation=True,
    )
    return f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
