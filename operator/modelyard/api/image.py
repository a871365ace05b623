"""Image: a manifest built into a Docker image, pinned by digest."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from modelyard.api.base import ApiType
from modelyard.api.names import DisplayName, ManifestRef


class ImageType(StrEnum):
    """What is built."""

    DOCKER = "Docker"


class ImageSpec(ApiType):
    """A build of a manifest; each new version of the manifest is built when manifestId has no version."""

    name: DisplayName | None = None
    """Display name; metadata.name by default."""
    manifest_id: ManifestRef
    """Manifest to build: name follows the newest version, name:version stays at one."""
    image_type: ImageType
    """Docker."""
    compute_resource_id: Annotated[str, Field(max_length=255)] | None = None
    """Accepted for clients of the 2017 API; this cluster builds."""
    description: Annotated[str, Field(max_length=4096)] | None = None
    """What the image is for, for people."""
