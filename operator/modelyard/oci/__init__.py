"""A client of the registry API: https://github.com/opencontainers/distribution-spec/blob/main/spec.md."""

from __future__ import annotations

from modelyard.oci.client import RegistryClient
from modelyard.oci.content import (
    Blob,
    Content,
)
from modelyard.oci.media_types import Descriptor

__all__ = ["Blob", "Content", "Descriptor", "RegistryClient"]
