"""What an image says of one of its layers."""

from __future__ import annotations

from dataclasses import dataclass

from modelyard.oci.media_types import Descriptor


@dataclass(frozen=True)
class Layer:
    """A layer that is in a registry."""

    media_type: str
    digest: str
    size: int
    """Of the blob, in bytes."""
    diff_id: str
    """The digest of the tar in it: https://github.com/opencontainers/image-spec/blob/main/config.md."""
    holds: str
    """What is in it, for the image's history."""

    @property
    def descriptor(self) -> Descriptor:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
