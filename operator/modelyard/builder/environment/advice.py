"""The way out that many errors of this builder share."""

from __future__ import annotations

from typing import Final

USE_DOCKER_BUILDER: Final = "set properties.builder of the manifest's targetRuntime to Docker"
