"""The version of this builder, as it stands in bills of materials and in provenance."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

VERSION: Final = version("modelyard")
