"""Layers by what they were made from: an image of one layer each, tagged with the hash of that.

They are images so that every registry takes them, and that its garbage collection keeps their blobs. All are
in one repository, whose name no image of a user can have: Kubernetes names have no underscore.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from modelyard.builder.layers.image_documents import (
    CONFIG_TYPE,
    Document,
)
from modelyard.builder.layers.image_repository import Store
from modelyard.builder.layers.layer import Layer
from modelyard.contract.registry_names import LAYER_CACHE_REPOSITORY
from modelyard.oci import RegistryClient
from modelyard.oci.errors import (
    RegistryError,
    RegistryForbiddenError,
    RegistryNotFoundError,
    RegistryRefusedError,
)
from modelyard.oci.media_types import OCI_MANIFEST
from modelyard.oci.reference import Reference

_KEPT: Final = "dev.modelyard.layer"
"""Annotation with all that is known of the layer, as JSON."""
_CONFIG: Final = Document.of(CONFIG_TYPE, {
    "architecture": "unknown", "os": "unknown", "rootfs": {"type": "layers", "diff_ids": []},
})  # fmt: skip
"""Of all of them alike, and so in the repository when the second one comes."""


@dataclass(frozen=True)
class Kept:
    """A layer, and what only its maker knew of it, as JSON: the packages in it, say."""

    layer: Layer
    facts: Mapping[str, Any] = field(default_factory=dict)


def cache_of(image: Reference) -> Reference:
    """The repository for the layers of an image's: of <prefix>/<namespace>/<image>, below the prefix."""
    folders = image.repository.split("/")
    return image.with_repository("/".join([*(folders[:-2] or folders[:1]), LAYER_CACHE_REPOSITORY]))


class LayerCache:
    """Between that repository and the one that an image goes to.

    An image can be made without: a registry that does not let it be used is no failure.
    """

    def __init__(
        self, registry: RegistryClient, place: Store, image: Store, log: Callable[[str], None]
    ) -> None:
        self._registry = registry
        self._place = place
        self._image = image
        self._log = log

    def take(self, key: str) -> Kept | None:
        """Bring what was made from the same to where the image goes; None when it must be made."""
        kept = self._find(key)
        if kept is None:
            return None
        try:
            self._image.bring(kept.layer.descriptor, self._place.repository)
        except RegistryNotFoundError:  # the blob was deleted alone
            return None
        self._log(f"{kept.layer.holds}: found in the registry")
        return kept

    def keep(self, key: str, kept: Kept) -> None:
        """Share a layer that was made for the image with those to come."""
        layer = kept.layer.descriptor
        try:
            if self._place.mount(layer, self._image.repository) or self._place.has(layer):
                self._put(key, kept)
        except RegistryError as error:
            self._log(f"{kept.layer.holds}: not kept for other images: {error}")

    def _find(self, key: str) -> Kept | None:
        try:
            manifest, _ = self._registry.manifest(self._place.repository.tagged(key))
            known = json.loads(manifest["annotations"][_KEPT])
            return Kept(Layer(**known["layer"]), known["facts"])
        except (RegistryNotFoundError, RegistryForbiddenError):  # some registries forbid what is not there
            return None
        except (KeyError, TypeError, ValueError):  # of another version
            return None

    def _put(self, key: str, kept: Kept) -> None:
        manifest = Document.of(
            OCI_MANIFEST,
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": _CONFIG.descriptor,
                "layers": [kept.layer.descriptor],
                "annotations": {_KEPT: json.dumps(asdict(kept), sort_keys=True)},
            },
        )
        try:
            self._registry.put_manifest(self._place.repository, manifest.body, OCI_MANIFEST, tag=key)
        except (RegistryNotFoundError, RegistryRefusedError):  # its configuration is not there yet
            self._registry.upload_bytes(self._place.repository, _CONFIG.body)
            self._registry.put_manifest(self._place.repository, manifest.body, OCI_MANIFEST, tag=key)
