"""Names in the registry that builds write and that image garbage collection reads."""

from __future__ import annotations

from typing import Final

LAYER_CACHE_REPOSITORY: Final = "layer__cache"
"""Last part of the name of the repository of cached layers.

No image of a user can have the name: names in Kubernetes have no underscore.
"""

UNATTESTED_SUFFIX: Final = "-unattested"
"""End of the tag of an image that a Docker engine has pushed, until its attestations are attached."""
