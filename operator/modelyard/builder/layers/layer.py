"""A layer of an image."""

from __future__ import annotations

from dataclasses import dataclass

from modelyard.oci.media_types import Descriptor


@dataclass(frozen=True)
class Layer:
    """A layer in a registry."""

    media_type: str
    digest: str
    size: int
    """Bytes of the blob."""
    diff_id: str
    """Digest of the uncompressed tar: https://github.com/opencontainers/image-spec/blob/main/config.md."""
    created_by: str
    """Content of the layer, for the history of the image: `environment` for example."""

    @property
    def descriptor(self) -> Descriptor:
        """Return the entry for the layer in an image manifest."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
