"""The kind Image: a Manifest built into a Docker image, pinned by digest."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from modelyard.api.base import ApiType
from modelyard.api.names import DisplayName, ManifestRef


class ImageType(StrEnum):
    """Type of image to build."""

    DOCKER = "Docker"


class ImageSpec(ApiType):
    """A build of a Manifest. If manifestId has no version, each new version of the Manifest is built."""

    name: DisplayName | None = None
    """Display name. Default: metadata.name."""
    manifest_id: ManifestRef
    """Manifest to build: `name` follows the newest version, `name:version` pins one version."""
    image_type: ImageType
    """Type of image to build. The only value is Docker."""
    compute_resource_id: Annotated[str, Field(max_length=255)] | None = None
    """Accepted for clients of the 2017 API and ignored: the image is built in this cluster."""
    description: Annotated[str, Field(max_length=4096)] | None = None
    """Purpose of the image, for human readers. A change makes no new version."""
