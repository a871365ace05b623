"""The API server's resources of the four kinds."""

from __future__ import annotations

from typing import Final

from modelyard.api.kinds import KINDS
from modelyard.api.names import API_VERSION
from modelyard.kube.types import ApiResource

CUSTOM_RESOURCES: Final = {kind.name: ApiResource(API_VERSION, kind.name, kind.plural) for kind in KINDS}
"""The resource of each kind, by the kind's name."""
