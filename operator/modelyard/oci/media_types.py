"""Media types of manifests: https://github.com/opencontainers/image-spec/blob/main/media-types.md."""

from __future__ import annotations

from typing import Any, Final

OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
MANIFESTS: Final = (OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST)

Descriptor = dict[str, Any]
"""A descriptor: https://github.com/opencontainers/image-spec/blob/main/descriptor.md.

It has `mediaType`, `digest` and `size`, and optionally `artifactType`, `annotations` and `platform`.
"""
