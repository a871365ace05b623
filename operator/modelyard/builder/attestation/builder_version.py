"""The version of the builder for bills of materials and provenance."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

VERSION: Final = version("modelyard")
