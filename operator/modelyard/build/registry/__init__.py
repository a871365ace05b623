"""A client of the registry API: https://github.com/opencontainers/distribution-spec/blob/main/spec.md."""

from __future__ import annotations

from modelyard.build.registry.client import Registry
from modelyard.build.registry.content import Blob, Content
from modelyard.build.registry.media_types import Descriptor

__all__ = ["Blob", "Content", "Descriptor", "Registry"]
