"""The way out that many errors have in common."""

from __future__ import annotations

from typing import Final

DOCKER: Final = "set properties.builder of the manifest's targetRuntime to Docker, which can"
