"""Small images in the local cluster's registry."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from modelyard.oci import Descriptor, RegistryClient
from modelyard.oci.media_types import OCI_INDEX, OCI_MANIFEST
from modelyard.oci.reference import Reference
from modelyard.oci.registry_config import RegistryAccess

_OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"


@dataclass(frozen=True)
class RegistryImages:
    """Pushes images without layers below a prefix that only one test uses."""

    registry: RegistryClient
    host: str
    prefix: str

    def repository(self, path: str) -> Reference:
        """Return the reference of a repository below the prefix."""
        return Reference(self.host, f"{self.prefix}/{path}")

    def manifest(self, path: str, **fields: Any) -> bytes:
        """Upload the config of an image, with these additional fields, and return the image's manifest."""
        config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
        blob = self.registry.upload_bytes(self.repository(path), json.dumps(config | fields).encode())
        config = {"mediaType": _OCI_CONFIG, "digest": blob.digest, "size": blob.size}
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []}
        return json.dumps(manifest).encode()

    def push(self, path: str, tag: str, body: bytes | None = None) -> Descriptor:
        """Push a manifest with a tag, by default that of an image whose author is the tag."""
        body = body or self.manifest(path, author=tag)
        self.registry.put_manifest(self.repository(path), body, OCI_MANIFEST, tag=tag)
        return descriptor(body)

    def push_index(self, path: str, tag: str) -> tuple[str, str]:
        """Push an image index with one image, which has no tag, and return the digests of both."""
        image = self.manifest(path, author=f"in the index {tag}")
        self.registry.put_manifest(self.repository(path), image, OCI_MANIFEST, tag=None)
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(image)]}
        body = json.dumps(index).encode()
        digest = self.registry.put_manifest(self.repository(path), body, OCI_INDEX, tag=tag)
        return digest, str(descriptor(image)["digest"])

    def has(self, path: str, digest: str) -> bool:
        """Return True if a repository has a manifest with this digest."""
        return self.registry.resolve(str(self.repository(path).at(digest))) is not None


def descriptor(manifest: bytes) -> Descriptor:
    """Return the descriptor of a manifest."""
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    return {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(manifest)}


@contextlib.contextmanager
def registry_images() -> Iterator[RegistryImages]:
    """Connect to the registry of the environment for the context, with a new prefix."""
    with RegistryClient(RegistryAccess()) as registry:
        yield RegistryImages(
            registry, os.environ["REGISTRY_PUSH"], f"modelyard-tests/{uuid.uuid4().hex[:12]}"
        )
